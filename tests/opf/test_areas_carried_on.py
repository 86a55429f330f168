"""A planner of areas that takes over the state of another plans on as that one would, to the last bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cosim.model.roles import is_resumable
from cosim.opf.distributed.dual_price import DualPriceOptions, DualPricePlanner
from cosim.opf.distributed.enapp import EnappOptions, EnappPlanner
from cosim.opf.distributed.planner import AreasPlanner
from cosim.run.checkpoint import Checkpoints
from tests.opf.test_admm import CUTS, SHARED, admm, day, planned

assert day  # a fixture
LINKS = {"loss": 0.2, "delay_rounds": 1, "hold_s": 0.0}


def made(day, name: str) -> AreasPlanner:
    horizon = day.forecast.horizon
    if name == "admm":
        return admm(day, SHARED, rounds=6, **LINKS)
    if name == "enapp":
        return EnappPlanner(day.site, horizon, SHARED, options=EnappOptions(cuts=CUTS, **LINKS))
    links = {} if name == "sums" else LINKS
    privacy = "sums" if name == "sums" else "none"
    chosen = DualPriceOptions(cuts=CUTS, rounds=6, privacy=privacy, **links)
    return DualPricePlanner(day.site, horizon, SHARED, options=chosen)


@pytest.mark.parametrize("name", ["admm", "enapp", "dual_price", "sums"])
def test_a_restored_planner_plans_what_the_first_one_plans(day, tmp_path, name):
    one, other = made(day, name), made(day, name)
    planned(one, day)
    planned(one, replace(day, measurement=replace(day.measurement, step=1, time_s=900.0)))
    assert is_resumable(one)
    states = Checkpoints(tmp_path)
    states.keep(1, one.state())
    other.restore(states.read(1))
    later = replace(day, measurement=replace(day.measurement, step=2, time_s=1800.0))
    plans = [planned(planner, later) for planner in (one, other)]
    for quantity in ("p_kw", "q_kvar", "voltage_pu", "import_kw", "stored_kwh"):
        assert np.array_equal(*(getattr(plan, quantity) for plan in plans)), quantity
    assert plans[0].certificate.claim == plans[1].certificate.claim
    # A planner that has planned nothing before plans something else.
    assert not np.array_equal(planned(made(day, name), later).p_kw, plans[0].p_kw)
