"""What a tariff makes of the power at the substation. Power is constant within a step."""

from __future__ import annotations

import numpy as np

from cosim.experiments.measured import Measured
from cosim.experiments.run_metrics import column


def import_payment(measured: Measured) -> float:
    """Sum of imported energy times price, currency."""
    import_kw, price = column(measured.record, "import_kw"), column(measured.record, "price_per_kwh")
    return float(np.maximum(import_kw, 0.0) @ price) * measured.record.step_h


def export_revenue(measured: Measured) -> float:
    """Sum of exported energy times price, currency; negative where export costs."""
    import_kw, price = column(measured.record, "import_kw"), column(measured.record, "price_per_kwh")
    return float(np.maximum(-import_kw, 0.0) @ price) * measured.record.step_h


def demand_charge(measured: Measured) -> float:
    """Highest import of the run, and within each demand window and month, times their charges, currency."""
    rate = float(measured.facts.get("demand_charge_per_kw", 0.0))
    return rate * max(measured.run.peak_import_kw, 0.0) + measured.run.demand_windows_charge


def reverse_power_h(measured: Measured) -> float:
    """Hours in which the feeder exports."""
    return float(np.count_nonzero(column(measured.record, "import_kw") < 0.0)) * measured.record.step_h
