"""A horizon cut in time: windows that agree have the plan of one controller."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cosim.errors import FormulationRefused
from cosim.opf.distributed.temporal_admm import TemporalAdmmPlanner, TemporalOptions
from cosim.opf.options import Objective, Terminal
from cosim.opf.planners import lindistflow
from tests.opf.test_admm import SHARED, day, planned, seen_by

assert day  # a fixture


def windows(day, shared, **chosen) -> TemporalAdmmPlanner:
    return TemporalAdmmPlanner(day.site, day.forecast.horizon, shared, options=TemporalOptions(**chosen))


@pytest.mark.parametrize("count", [2, 4])
def test_windows_plan_what_one_controller_plans(day, count):
    """Energy is cheap first and must be back at the end, so it is carried across all windows."""
    shared = replace(SHARED, terminal=Terminal("hard"))
    central = lindistflow(day.site, day.forecast.horizon, shared)
    one = planned(central, day)
    assert one.stored_kwh[2, 0] > one.stored_kwh[0, 0] + 1.0
    cut = planned(windows(day, shared, windows=count, rounds=100), day)
    assert cut.certificate.status == "settled"
    assert seen_by(central, cut, day)[0] == pytest.approx(seen_by(central, one, day)[0], rel=2e-3)
    assert cut.voltage_pu.shape == one.voltage_pu.shape
    # Windows agree to half a percent of a battery.
    assert np.abs(cut.stored_kwh - one.stored_kwh).max() < 0.02 * one.stored_kwh.max()


def test_one_window_is_one_controller(day):
    one = planned(lindistflow(day.site, day.forecast.horizon, SHARED), day)
    cut = planned(windows(day, SHARED, windows=1), day)
    assert np.allclose(cut.import_kw, one.import_kw, atol=1e-2)
    assert cut.certificate.rounds == 1


def test_what_windows_cannot_share_is_refused(day):
    with pytest.raises(FormulationRefused, match="a demand charge couples all windows"):
        windows(day, replace(SHARED, objective=Objective(peak_per_kw=1.0)))
    with pytest.raises(FormulationRefused, match="4 periods cannot be cut into 5 windows"):
        windows(day, SHARED, windows=5)
