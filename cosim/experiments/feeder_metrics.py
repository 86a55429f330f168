"""Unbalance, transformers and capacitors in a run; None in a record that lacks their columns."""

from __future__ import annotations

import numpy as np

from cosim.experiments.measured import Measured

PLANNING_PERCENT = 2.0
"""Unbalance that EN 50160:2010 allows for 95 % of the 10-minute values of a week."""


def highest_unbalance_percent(measured: Measured) -> float | None:
    """Highest negative-sequence ratio of all buses and steps."""
    found = measured.column("unbalance_percent")
    return None if found is None else float(found.max())


def unbalanced_h(measured: Measured) -> float | None:
    """Hours with a bus above 2 %."""
    found = measured.column("unbalance_percent")
    if found is None:
        return None
    return float(np.count_nonzero(found > PLANNING_PERCENT)) * measured.record.step_h


def highest_transformer_loading(measured: Measured) -> float | None:
    """Highest current over the normal rating."""
    found = measured.column("transformer_loading")
    return None if found is None else float(found.max())


def transformer_overloaded_h(measured: Measured) -> float | None:
    """Hours with a transformer above its normal rating."""
    found = measured.column("transformer_loading")
    return None if found is None else float(np.count_nonzero(found > 1.0)) * measured.record.step_h


def capacitor_operations(measured: Measured) -> float | None:
    """Changes between in service and not, from the end of one step to that of the next."""
    closed = measured.matrix("capacitor_closed")
    return None if closed is None else float(np.abs(np.diff(closed, axis=0)).sum())
