"""Cost of a flow, against sums by hand."""

from __future__ import annotations

import numpy as np
import pytest

from cosim.model.timegrid import Horizon
from cosim.model.twin import TwinFlow
from cosim.opf.flow_cost import FlowCost
from cosim.opf.options import Limits, Objective


def flow_of(import_kw: list[float], losses_kw: list[float], voltage_pu: float = 1.0) -> TwinFlow:
    periods = len(import_kw)
    return TwinFlow(
        device_kva=np.zeros((periods, 0), dtype=np.complex128),
        tap=np.zeros((periods, 0)),
        capacitor_closed=np.zeros((periods, 0), dtype=bool),
        voltage_pu=np.full((1, periods), voltage_pu),
        import_kva=np.array(import_kw, dtype=np.complex128),
        losses_kw=np.array(losses_kw),
        converged=np.ones(periods, dtype=bool),
        hunting=0,
        iterations=1,
        inner=None,
    )


def cost_of(flow: TwinFlow, peak_so_far_kw: float = 0.0, *, objective: dict, limits: dict) -> float:
    cost = FlowCost(Objective(**objective), Limits(**limits), Horizon(np.array([900.0, 3600.0])))
    cost.update(np.array([0.2, 0.4]), peak_so_far_kw)
    return cost.of(flow)


def test_energy_and_losses_are_paid_by_the_hour() -> None:
    flow = flow_of([100.0, 50.0], [4.0, 2.0])
    paid = cost_of(flow, objective={"energy_cost": 1.0, "losses_per_kwh": 0.5}, limits={})
    assert paid == pytest.approx(0.2 * 100 * 0.25 + 0.4 * 50 + 0.5 * (4 * 0.25 + 2))


def test_a_peak_that_was_paid_already_is_the_least_that_is_paid() -> None:
    flow, objective = flow_of([100.0, 50.0], [0.0, 0.0]), {"energy_cost": 0.0, "peak_per_kw": 3.0}
    assert cost_of(flow, objective=objective, limits={}) == pytest.approx(300.0)
    assert cost_of(flow, 140.0, objective=objective, limits={}) == pytest.approx(420.0)


def test_import_beyond_its_limits_is_paid_by_the_kwh() -> None:
    limits = {"import_max_kw": 80.0, "import_min_kw": 60.0, "power_penalty_per_kwh": 100.0}
    paid = cost_of(flow_of([100.0, 50.0], [0.0, 0.0]), objective={"energy_cost": 0.0}, limits=limits)
    assert paid == pytest.approx(100.0 * (20.0 * 0.25 + 10.0))
