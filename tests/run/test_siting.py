"""Devices of a scenario get real places: buses and phases as a user writes them, and rules that choose."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cosim.devices.kind import Placement
from cosim.devices.pv import SitePv
from cosim.feeder.compiled import FeederModel
from cosim.model.timegrid import TimeGrid
from cosim.run.scenario import Scenario
from cosim.run.siting import Devices, devices_of, load_sites, placement
from tests.conftest import START, shipped_master, small_scenario

LOAD_BUSES = {"611", "632q", "634", "645", "646", "652", "671", "675", "692"}
"""Of IEEE 13, the distributed load of its line 632-671 included."""


@pytest.fixture(scope="module")
def ieee13() -> Iterator[FeederModel]:
    model = FeederModel(shipped_master("ieee13"))
    yield model
    model.close()


def rule(**changes: Any) -> dict[str, Any]:
    return {"kind": "pv", "share_of_load_buses": 0.5, "times_local_load": 0.4, "seed": 1} | changes


def sited(model: FeederModel, *rules: dict[str, Any], **changes: Any) -> Devices:
    given = {"storages": [], "pvs": [], "siting": list(rules)} | changes
    scenario = Scenario.model_validate(small_scenario(**given))
    return devices_of(scenario, model, TimeGrid(START, 900, 4), Path())


# --- buses and phases as written ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "delta", "bus", "phases"),
    [
        ("675", False, "675", (1, 2, 3)),
        ("675.3.1", False, "675", (3, 1)),
        ("632Q.2", False, "632q", (2,)),
        ("611", False, "611", (3,)),
        ("645", True, "645", (2, 3)),
        ("646.2.3", True, "646", (2, 3)),
    ],
)
def test_a_bus_stands_for_its_phases_unless_some_are_named(ieee13, text, delta, bus, phases):
    found = placement(text, ieee13, delta=delta)
    assert isinstance(found, Placement)
    assert (found.bus, found.phases, found.delta) == (bus, phases, delta)


@pytest.mark.parametrize(
    ("text", "delta", "expected"),
    [
        ("67", False, "'67' is no bus of master.dss; nearest: 67"),
        ("", False, "'' is no bus of master.dss; nearest: "),
        ("675.4", False, "'675.4' is no node of master.dss; this bus has 675.1, 675.2, 675.3"),
        ("675.0", False, "'675.0' is not a bus with phases, each once, such as 675.1"),
        ("645.1.2", False, "'645.1' is no node of master.dss; this bus has 645.2, 645.3"),
        ("675.1.1", False, "'675.1.1' is not a bus with phases, each once, such as 675.1"),
        ("675.a", False, "'675.a' is not a bus with phases, each once, such as 675.1"),
        ("675..1", False, "'675..1' is not a bus with phases"),
        ("611", True, "'611': a delta connection needs two or three phases"),
    ],
)
def test_a_place_that_does_not_exist_is_named_with_what_does(ieee13, text, delta, expected):
    found = placement(text, ieee13, delta=delta)
    assert isinstance(found, str)
    assert expected in found


def test_a_node_behind_an_open_switch_is_no_place(tmp_path):
    master = tmp_path / "open.dss"
    master.write_text(
        f'redirect "{shipped_master("ieee13")}"\nopen line.sw671_692 1\nsolve\n', encoding="utf-8"
    )
    model = FeederModel(master)
    try:
        assert "'692.1' has no voltage: nothing feeds this node of open.dss" in str(
            placement("692", model, delta=False)
        )
        whole = SitePv.model_validate(rule(share_of_load_buses=1.0))
        assert {site.bus for site in load_sites(model, whole)} == LOAD_BUSES - {"692", "675"}
    finally:
        model.close()


def test_all_misplaced_devices_are_named_with_their_places_in_the_scenario(ieee13):
    found = sited(
        ieee13,
        storages=[{"name": "b1", "bus": "676", "kw": 1, "kwh": 4}, {"name": "b2", "bus": "675", "kw": 1, "kwh": 4}],
        pvs=[{"name": "p1", "bus": "611.1", "kw": 1}],
    )  # fmt: skip
    assert [place for place, _ in found.problems] == [("storages", 0, "bus"), ("pvs", 0, "bus")]
    assert [device.name for device in found.devices] == ["b2"]


# --- rules ----------------------------------------------------------------------------------------


def test_every_load_bus_gets_one_where_the_share_is_one(ieee13):
    found = sited(ieee13, rule(share_of_load_buses=1.0))
    assert found.problems == ()
    assert {device.bus for device in found.devices} == LOAD_BUSES


def test_a_device_is_sized_by_the_loads_of_its_bus_and_connected_as_the_largest(ieee13):
    by_bus = {device.bus: device for device in sited(ieee13, rule(share_of_load_buses=1.0)).devices}
    # loads.dss: 485 + 68 + 290 kW at 675, of which phase 1 has the largest.
    assert (by_bus["675"].kw, by_bus["675"].phases, by_bus["675"].delta) == (
        pytest.approx(0.4 * 843.0), (1,), False,
    )  # fmt: skip
    assert (by_bus["646"].kw, by_bus["646"].phases, by_bus["646"].delta) == (
        pytest.approx(0.4 * 230.0), (2, 3), True,
    )  # fmt: skip
    # 1155 kW and a third of the distributed 17 + 66 + 117 kW; written in three decimals.
    assert by_bus["671"].kw == pytest.approx(0.4 * (1155 + 200 / 3), abs=1e-3)
    assert (by_bus["671"].phases, by_bus["671"].delta) == ((1, 2, 3), True)


@pytest.mark.parametrize(
    ("share", "at_most", "count"), [(0.01, None, 1), (0.5, None, 4), (1.0, 3, 3), (0.5, 100, 4)]
)
def test_a_share_is_rounded_to_at_least_one_and_bounded(ieee13, share, at_most, count):
    found = sited(ieee13, rule(share_of_load_buses=share, at_most=at_most))
    assert len(found.devices) == count


def test_the_seed_alone_decides_where(ieee13):
    places = [
        tuple(device.bus for device in sited(ieee13, rule(seed=seed)).devices) for seed in (1, 1, 2, 3)
    ]
    assert places[0] == places[1]
    assert len(set(places)) > 1


def test_two_rules_of_different_kinds_share_buses(ieee13):
    storages = rule(kind="storage", share_of_load_buses=1.0)
    found = sited(ieee13, rule(share_of_load_buses=1.0), storages)
    assert found.problems == ()
    assert len(found.devices) == 2 * len(LOAD_BUSES)


def test_two_rules_of_one_kind_that_choose_a_bus_twice_are_refused(ieee13):
    found = sited(ieee13, rule(share_of_load_buses=1.0), rule(share_of_load_buses=1.0, at_most=1, seed=0))
    ((place, sentence),) = found.problems
    assert place == ("siting",)
    assert sentence.startswith("two devices are called pv_")
    assert sentence.endswith("; rename or site fewer")


def test_a_rule_and_a_listed_device_of_one_name_are_refused(ieee13):
    found = sited(ieee13, rule(share_of_load_buses=1.0), pvs=[{"name": "pv_675", "bus": "680", "kw": 10}])
    assert [sentence for _, sentence in found.problems] == [
        "two devices are called pv_675; rename or site fewer"
    ]


def test_a_feeder_without_load_has_no_site(tmp_path):
    master = tmp_path / "bare.dss"
    master.write_text(
        "clear\nnew circuit.bare basekv=12.47 bus1=a\nnew line.l bus1=a bus2=b length=1 units=km\n"
        "set voltagebases=[12.47]\ncalcvoltagebases\nsolve\n",
        encoding="utf-8",
    )
    model = FeederModel(master)
    try:
        found = sited(model, rule())
    finally:
        model.close()
    assert found.devices == ()
    assert found.problems == ((("siting", 0), "this feeder has no load to site devices at"),)


# --- names of the master, network devices ---------------------------------------------------------


def test_a_name_that_the_master_uses_is_refused(tmp_path):
    master = tmp_path / "own.dss"
    master.write_text(
        f'redirect "{shipped_master("ieee13")}"\n'
        "new pvsystem.roof bus1=680.1.2.3 phases=3 kv=4.16 kva=100 pmpp=100\nsolve\n",
        encoding="utf-8",
    )
    model = FeederModel(master)
    try:
        found = sited(model, pvs=[{"name": "roof", "bus": "675", "kw": 10}], feeder={"master": str(master)})
    finally:
        model.close()
    sentences = [sentence for _, sentence in found.problems]
    assert any("the master defines a" in text and "roof too; rename yours" in text for text in sentences)


def test_a_capacitor_is_moved_by_one_device(ieee13):
    bank = {"kind": "capacitor_bank", "capacitor": "cap675"}
    names = list(ieee13.engine.dss.Capacitors.AllNames())
    bank["capacitor"] = names[0]
    found = sited(ieee13, devices=[{"name": "c1"} | bank, {"name": "c2"} | bank])
    assert [device.name for device in found.network_devices] == ["c1"]
    ((_, sentence),) = found.problems
    assert sentence == f"{names[0]} is moved by c1 already"
