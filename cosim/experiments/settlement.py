"""What the meter at the head of the feeder costs and earns. Power is constant within a step."""

from __future__ import annotations

import numpy as np

from cosim.model.arrays import FloatArray
from cosim.run.record import Record
from cosim.run.tariff import Tariff


def import_payment(record: Record) -> float:
    """Sum of imported energy times its price, currency."""
    return float(np.maximum(_import_kw(record), 0.0) @ _price(record)) * record.step_h


def export_revenue(record: Record) -> float:
    """Sum of exported energy times its price, currency; negative where export costs."""
    exported_kw = np.maximum(-_import_kw(record), 0.0)
    price = _export_price(record)
    return float(exported_kw @ (_price(record) if price is None else price)) * record.step_h


def energy_cost(record: Record) -> float:
    """Payment for import minus revenue of export, currency."""
    if "export_tariff" not in record.manifest:
        return float((_import_kw(record) * _price(record)).sum()) * record.step_h
    return import_payment(record) - export_revenue(record)


def _export_price(record: Record) -> FloatArray | None:
    """Price of energy sent back in each step on record; None: that of import."""
    told = record.manifest.get("export_tariff")
    if told is None:
        return None
    tariff, steps = Tariff.model_validate(told), record.steps["step"].to_numpy(dtype=np.int64)
    return np.asarray(tariff.export_price_per_kwh(record.site.grid)[steps])


def _import_kw(record: Record) -> FloatArray:
    return record.steps["import_kw"].to_numpy(dtype=np.float64)


def _price(record: Record) -> FloatArray:
    return record.steps["price_per_kwh"].to_numpy(dtype=np.float64)
