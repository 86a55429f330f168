"""Owners that answer prices: the plan of one controller, though nobody but the owners knows their costs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cosim.opf.distributed.area_setting import AreaSetting
from cosim.opf.distributed.dual_price import DualPriceOptions, DualPricePlanner
from cosim.opf.distributed.exchange import exchange
from cosim.opf.options import Terminal
from cosim.opf.planners import lindistflow
from tests.opf.test_admm import CUTS, SHARED, banded, day, planned, seen_by

assert day  # a fixture


def owners(day, shared, **chosen) -> DualPricePlanner:
    options = DualPriceOptions(**{"cuts": CUTS, **chosen})
    return DualPricePlanner(day.site, day.forecast.horizon, shared, options=options)


def test_owners_plan_what_one_controller_plans_also_where_a_voltage_limit_binds(day):
    shared = banded(0.98, 1.1)
    central = lindistflow(day.site, day.forecast.horizon, shared)
    cost, _ = seen_by(central, planned(central, day), day)
    plan = planned(owners(day, shared, rounds=60), day)
    answered, lowest_pu = seen_by(central, plan, day)
    assert answered == pytest.approx(cost, rel=1e-3)
    # The limit is kept in the linear model; loads that follow the voltage move it by some 1e-4.
    assert lowest_pu > 0.98 - 1e-3
    assert np.abs(plan.voltage_pu.min() - lowest_pu) < 1e-3


def test_energy_is_moved_to_dear_hours_though_the_aggregator_knows_no_battery(day):
    shared = replace(SHARED, terminal=Terminal("hard"))
    central = lindistflow(day.site, day.forecast.horizon, shared)
    cost, _ = seen_by(central, planned(central, day), day)
    plan = planned(owners(day, shared), day)
    assert seen_by(central, plan, day)[0] == pytest.approx(cost, rel=1e-3)
    assert plan.certificate.planner == "dual_price"


def test_messages_are_powers_of_the_owners_devices(day):
    """From and to the aggregator: kW and kvar of each device and period, and nothing else."""
    options = DualPriceOptions(cuts=CUTS, rounds=2)
    planner = owners(day, SHARED, rounds=2)
    horizon, areas = day.forecast.horizon, planner.areas
    agents = [
        DualPricePlanner.agent_of(AreaSetting(day.site, areas, place, horizon, SHARED, options))
        for place in range(len(areas.areas))
    ]
    for agent in agents:
        agent.begin(day.measurement, day.forecast)
    values = 2 * len(areas.areas[1].devices) * len(horizon)
    sent = agents[1].round(1, {})
    assert {to: message.size for to, message in sent.items()} == {"area1": values}
    assert {to: message.size for to, message in agents[0].round(1, {}).items()} == {"area2": values}
    answers = exchange(agents, planner.slots_of(areas, options))
    assert sum(answer.figures.messages for answer in answers) == 2 + 2 * 2
