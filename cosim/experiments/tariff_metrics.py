"""What a tariff makes of the power at the substation. Power is constant within a step."""

from __future__ import annotations

import numpy as np

from cosim.experiments import settlement
from cosim.experiments.measured import Measured
from cosim.experiments.run_metrics import column


def import_payment(measured: Measured) -> float:
    """Sum of imported energy times price, currency."""
    return settlement.import_payment(measured.record)


def export_revenue(measured: Measured) -> float:
    """Sum of exported energy times price, currency; negative where export costs."""
    return settlement.export_revenue(measured.record)


def demand_charge(measured: Measured) -> float:
    """Highest import of the run, and within each demand window and month, times their charges, currency."""
    rate = float(measured.facts.get("demand_charge_per_kw", 0.0))
    return rate * max(measured.run.peak_import_kw, 0.0) + measured.run.demand_windows_charge


def reverse_power_h(measured: Measured) -> float:
    """Hours in which the feeder exports."""
    return float(np.count_nonzero(column(measured.record, "import_kw") < 0.0)) * measured.record.step_h


def metered_cost(measured: Measured) -> float | None:
    """Payment minus revenue of all meters of the scenario, currency; None without meters."""
    meters = settlement.metered(measured.record)
    return sum(meter.cost for meter in meters.values()) if meters else None
