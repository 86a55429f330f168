"""What meters cost and earn: that at the head of the feeder, and those of the scenario.

Power is constant within a step.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cosim.model.arrays import FloatArray
from cosim.run.record import Record
from cosim.run.tariff import Tariff


@dataclass(frozen=True)
class Settled:
    """The energy of a meter over a run.

    Attributes:
        import_kwh, export_kwh: each at least 0.
        peak_kw: highest power of a step.
        payment, revenue: import and export times their prices, currency.
    """

    import_kwh: float
    export_kwh: float
    peak_kw: float
    payment: float
    revenue: float

    @property
    def cost(self) -> float:
        """Payment minus revenue, currency."""
        return self.payment - self.revenue


def import_payment(record: Record) -> float:
    """Sum of imported energy times its price at the head of the feeder, currency."""
    return _head(record).payment


def export_revenue(record: Record) -> float:
    """Sum of exported energy times its price at the head, currency; negative where export costs."""
    return _head(record).revenue


def energy_cost(record: Record) -> float:
    """Payment for import minus revenue of export at the head of the feeder, currency."""
    if "export_tariff" not in record.manifest:
        return (
            float((_column(record, "import_kw") * _column(record, "price_per_kwh")).sum()) * record.step_h
        )
    return _head(record).cost


def metered(record: Record) -> dict[str, Settled]:
    """Every meter of the scenario by its name, by its own tariff or the price of the run."""
    tariffs = record.manifest.get("meter_tariffs", ())
    if not tariffs or "meter_kw" not in record.steps:
        return {}
    names = [str(meter["name"]) for meter in record.manifest["metrics"]["meters"]]
    power_kw = record.vector("meter_kw")
    return {
        name: _settled(record, power_kw[:, i], told)
        for i, (name, told) in enumerate(zip(names, tariffs, strict=True))
    }


def _head(record: Record) -> Settled:
    """The meter at the head: import at the price of the run, export by its tariff where it has one."""
    price, told = _column(record, "price_per_kwh"), record.manifest.get("export_tariff")
    earned = price if told is None else _earned(record, Tariff.model_validate(told))
    return _of_prices(record, _column(record, "import_kw"), price, earned)


def _settled(record: Record, power_kw: FloatArray, told: object) -> Settled:
    if told is None:
        price = _column(record, "price_per_kwh")
        return _of_prices(record, power_kw, price, price)
    tariff = Tariff.model_validate(told)
    price = tariff.price_per_kwh(record.site.grid)[_steps(record)]
    return _of_prices(record, power_kw, price, _earned(record, tariff))


def _of_prices(record: Record, power_kw: FloatArray, price: FloatArray, earned: FloatArray) -> Settled:
    """Energy and money of a meter.

    Args:
        record: knows the length of a step.
        power_kw: positive import, shape (step,).
        price, earned: per kWh of import and of export, shape (step,).
    """
    bought, sold = np.maximum(power_kw, 0.0), np.maximum(-power_kw, 0.0)
    step_h = record.step_h
    return Settled(
        import_kwh=float(bought.sum()) * step_h,
        export_kwh=float(sold.sum()) * step_h,
        peak_kw=float(power_kw.max()),
        payment=float(bought @ price) * step_h,
        revenue=float(sold @ earned) * step_h,
    )


def _earned(record: Record, tariff: Tariff) -> FloatArray:
    return np.asarray(tariff.export_price_per_kwh(record.site.grid)[_steps(record)])


def _steps(record: Record) -> np.ndarray:
    return record.steps["step"].to_numpy(dtype=np.int64)


def _column(record: Record, name: str) -> FloatArray:
    return record.steps[name].to_numpy(dtype=np.float64)
