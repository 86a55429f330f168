"""What is no feeder is refused, with the name of the offender."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cosim.errors import FeederError, MeshedFeeder
from cosim.networks.layout import tree_layout
from cosim.networks.sweep import power_flow
from cosim.networks.tables import read_tables, write_tables
from cosim.networks.tree import outward_order
from tests.networks.feeders import shipped_tables


def test_tables_survive_a_round_trip(tmp_path):
    feeder = shipped_tables("ieee123_1ph")
    write_tables(feeder, tmp_path)
    again = read_tables(tmp_path, name=feeder.name, title=feeder.title, base_kv=2.4018, source_pu=1.03)
    assert again.buses == feeder.buses
    for table in ("branches", "loads", "pvs", "storages", "places"):
        for column, values in vars(getattr(feeder, table)).items():
            assert np.array_equal(getattr(getattr(again, table), column), values), (table, column)


def test_the_reference_systems_have_their_published_totals():
    # MultiPeriodDistOPF, rawData/ieee123_1ph.
    feeder = shipped_tables("ieee123_1ph")
    assert feeder.size == 128
    assert feeder.loads.kw.sum() == pytest.approx(1163.197)
    assert feeder.loads.kvar.sum() == pytest.approx(640.012)
    assert (len(feeder.pvs.bus), len(feeder.storages.bus)) == (17, 26)
    assert feeder.storages.kwh.sum() == pytest.approx(527.274)


def test_branches_in_any_order_are_ordered_outwards():
    buses, rows = outward_order(["b", "a", "s"], ["c", "b", "a"])
    assert buses == ("s", "a", "b", "c")
    assert rows.tolist() == [2, 1, 0]


@pytest.mark.parametrize(
    ("from_bus", "to_bus", "error", "message"),
    [
        (["s", "s", "a"], ["a", "b", "b"], FeederError, "bus b is fed from s and from a"),
        (["s", "t"], ["a", "b"], FeederError, "s, t are not fed"),
        (["s", "b", "c"], ["a", "c", "b"], MeshedFeeder, "loop"),
        ([], [], FeederError, "no branch"),
    ],
)
def test_what_is_no_tree_is_refused(from_bus, to_bus, error, message):
    with pytest.raises(error, match=message):
        outward_order(from_bus, to_bus)


@pytest.mark.parametrize(
    ("table", "changes", "message"),
    [
        ("branches", {"from_bus": np.array([0, 0, 0, 1, 1, 1, 8, 6, 8])}, "not before its own"),
        ("branches", {"r_ohm": np.zeros(9), "x_ohm": np.zeros(9)}, "without impedance"),
        ("branches", {"r_ohm": -np.ones(9)}, "negative resistance"),
        ("branches", {"r_ohm": np.ones(8)}, "shape"),
        ("loads", {"kw": np.full(8, np.nan)}, "finite"),
        ("loads", {"bus": np.arange(8) // 2}, "two of load"),
        ("loads", {"bus": np.arange(8) + 5}, "no bus"),
        ("storages", {"kva": np.ones(2)}, "kva below kw"),
        ("storages", {"soc_start": 0.2}, "ascend"),
    ],
)
def test_unsound_numbers_are_refused(table, changes, message):
    feeder = shipped_tables("ads10_1ph")
    with pytest.raises(FeederError, match=message):
        replace(feeder, **{table: replace(getattr(feeder, table), **changes)})


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"name": "A feeder"}, "no name"), ({"base_kv": 0.0}, "positive"), ({"buses": ("1",) * 10}, "twice")],
)
def test_unsound_facts_are_refused(changes, message):
    with pytest.raises(FeederError, match=message):
        replace(shipped_tables("ads10_1ph"), **changes)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("branches.csv", "from_bus,to_bus,r_ohm\n1,2,1\n", "no column x_ohm"),
        ("branches.csv", "from_bus,to_bus,r_ohm,x_ohm\n1,2,1,much\n", "column x_ohm"),
        ("loads.csv", "bus,p_kw,q_kvar\n7,1,1\n", "names bus 7"),
        ("buses.csv", "1,0,0\n", "no coordinates of bus 2"),
    ],
)
def test_unsound_tables_are_refused(tmp_path, name, text, message):
    (tmp_path / "branches.csv").write_text("from_bus,to_bus,r_ohm,x_ohm\n1,2,1,1\n")
    (tmp_path / "loads.csv").write_text("bus,p_kw,q_kvar\n2,1,1\n")
    (tmp_path / name).write_text(text)
    with pytest.raises(FeederError, match=message):
        read_tables(tmp_path, name="f", title="f", base_kv=2.4, source_pu=1.0)


def test_a_load_beyond_what_the_feeder_carries_is_an_error():
    feeder = shipped_tables("ads10_1ph")
    kw, kvar = feeder.peak_demand()
    with pytest.raises(FeederError, match="does not converge"):
        power_flow(feeder, 3000 * kw, 3000 * kvar)


def test_a_layout_gives_every_dead_end_a_row_of_its_own():
    feeder = shipped_tables("ieee123_1ph")
    places = tree_layout(feeder.branches.from_bus)
    dead_ends = np.setdiff1d(np.arange(feeder.size), feeder.branches.from_bus)
    assert sorted(places.y[dead_ends]) == list(range(len(dead_ends)))
    assert np.all(places.x[1:] - places.x[feeder.branches.from_bus] == 1)
