"""Metrics of equipment and devices by hand: three steps of half an hour."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cosim.devices.curtailable_load import CurtailableLoad
from cosim.experiments.metrics import measure_report
from cosim.experiments.storage_life import ageing_percent_of, deepest_cycle_of
from cosim.feeder.unbalance import TURN, highest_unbalance_percent, three_phase_buses
from cosim.run.battery_ageing import BatteryAgeing
from tests.report.records import SITE, STORAGE, record_of, step

UNITS = ("kw", "kvar")


def values_of(rows, site=SITE, **manifest):
    record = replace(record_of(rows, **manifest), site=site)
    return {name: figure.run for name, figure in measure_report(record, None).figures.items()}


def test_unbalance_is_the_negative_over_the_positive_sequence():
    nodes = ("a.1", "b.1", "b.2", "b.3", "c.1", "c.2", "d.1", "d.2", "d.3")
    buses = three_phase_buses(nodes)
    assert buses.tolist() == [[1, 2, 3], [6, 7, 8]]
    # At b positive sequence 100, negative 3, zero 7; at d the other way round in the drawing order.
    volts = np.zeros(9, dtype=np.complex128)
    volts[1:4] = 100 * np.array([1, TURN**2, TURN]) + 3 * np.array([1, TURN, TURN**2]) + 7
    assert highest_unbalance_percent(volts, buses) == pytest.approx(3.0)
    volts[6:] = 50 * np.array([1, TURN**2, TURN]) + 2 * np.array([1, TURN, TURN**2])
    assert highest_unbalance_percent(volts, buses) == pytest.approx(4.0)
    assert highest_unbalance_percent(volts, three_phase_buses(nodes[:3])) == 0.0


def test_unbalance_transformers_and_capacitors_of_three_steps():
    rows = [
        step(
            k,
            unbalance_percent=(1.0, 2.0, 2.5)[k],
            transformer_loading=(0.9, 1.2, 1.0)[k],
            capacitor_closed=np.array([(1.0, 0.0), (0.0, 0.0), (1.0, 1.0)][k]),
        )
        for k in range(3)
    ]
    found = values_of(rows)
    assert (found["highest_unbalance_percent"], found["unbalanced_h"]) == (2.5, 0.5)
    assert (found["highest_transformer_loading"], found["transformer_overloaded_h"]) == (1.2, 0.5)
    assert found["capacitor_operations"] == 3
    earlier = values_of([step(k) for k in range(3)])
    assert earlier["highest_unbalance_percent"] is earlier["capacitor_operations"] is None


def test_the_deepest_cycle_and_the_ageing_of_a_battery():
    # 10, 13, 13, 11 of 20 kWh: half cycles of 0.15 and 0.10 in 1.5 h.
    found = values_of([step(k) for k in range(3)])
    assert found["storage_deepest_cycle"] == pytest.approx(0.15)
    by_default = 100 * (0.125 / 5000 + 1.5 / (15 * 8766))
    assert found["storage_ageing_percent"] == pytest.approx(by_default)
    law = {"calendar_years": 10.0, "full_cycles": 1000.0, "depth_exponent": 2.0}
    given = values_of([step(k) for k in range(3)], metrics={"battery_ageing": law})
    by_hand = 100 * (0.5 * (0.15**2 + 0.10**2) / 1000 + 1.5 / (10 * 8766))
    assert given["storage_ageing_percent"] == pytest.approx(by_hand)
    idle = np.array([0.5, 0.5])
    assert deepest_cycle_of(idle) == 0.0
    assert ageing_percent_of(idle, 8766.0, BatteryAgeing(calendar_years=20.0)) == pytest.approx(5.0)


def test_tracking_is_the_distance_from_the_set_points():
    asked, given = (-6.0, 0.0, 9.0), (-6.0, -0.5, 4.0)
    rows = [
        step(k, requested_storage_kw=np.array([asked[k]]), storage_kw=np.array([given[k]]))
        for k in range(3)
    ]
    # At rest half a kilowatt is the standby of one battery, and is missed by the other.
    assert values_of(rows)["tracking_error_kw"] == pytest.approx((0 + 0.5 + 5) / 3)
    resting = replace(SITE, devices=(replace(STORAGE, idling_kw=0.5), SITE.devices[1]))
    assert values_of(rows, site=resting)["tracking_error_kw"] == pytest.approx(5 / 3)
    assert values_of(rows, commanded=False)["tracking_error_kw"] is None
    assert values_of(rows, site=replace(SITE, devices=SITE.devices[1:]))["tracking_error_kw"] is None


def test_what_was_shed_is_unserved_and_paid_for():
    assert values_of([step(k) for k in range(3)])["unserved_kwh"] is None
    load = CurtailableLoad(
        name="shop", bus="a", phases=(1,), delta=False, kw=4.0, kva=4.0, loads=(0,), share=1.0,
        since_midnight_s=0.0, depth=1.0, allowance_kwh=8.0, cost_per_kwh=0.5,
    )  # fmt: skip
    site = replace(SITE, devices=(*SITE.devices, load))
    rows = []
    for k in range(3):
        shed = np.array([(0.0, 2.0, 4.0)[k]])
        own = {
            f"{kind}_curtailable_load_{unit}": shed for kind in ("requested", "accepted") for unit in UNITS
        }
        own |= {"curtailable_load_kw": shed, "curtailable_load_reason": [""]}
        own |= {"curtailable_load_stored_kwh": np.array([(8.0, 7.0, 5.0)[k]])}
        own |= {"measured_curtailable_load_stored_kwh": np.array([(8.0, 8.0, 7.0)[k]])}
        rows.append(step(k, **own, curtailable_load_available_kw=np.array([4.0])))
    found = values_of(rows, site=site)
    assert (found["unserved_kwh"], found["discomfort_cost"]) == (3.0, 1.5)
