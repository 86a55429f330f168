"""Feeders are cut into areas at named elements and by the rule."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosim.errors import FormulationRefused
from cosim.model.network import RadialNetwork
from cosim.opf.distributed.areas import Areas
from cosim.opf.distributed.cut import cut_at, cut_evenly
from cosim.run.assembly import bare_feeder
from cosim.run.inspect import inspect_feeder
from tests.conftest import shipped_master


def network_of(name: str) -> RadialNetwork:
    with bare_feeder(shipped_master(name)) as feeder:
        network = feeder.site.network
    assert network is not None
    return network


@pytest.fixture(scope="module")
def ieee13() -> RadialNetwork:
    return network_of("ieee13")


@pytest.fixture(scope="module")
def ieee123() -> RadialNetwork:
    return network_of("ieee123")


def must_be_a_partition(areas: Areas, network: RadialNetwork) -> None:
    """Every node and load in one area, every branch between areas at a boundary."""
    assert sorted(np.concatenate([area.nodes for area in areas.areas])) == list(range(network.size))
    loads = np.concatenate([area.loads for area in areas.areas])
    assert sorted(loads) == list(range(len(network.loads)))
    owner = areas.area_of_node(network.size)
    crossing = {
        (int(owner[parent]), int(owner[node]), int(parent))
        for node, parent in zip(network.gain.row, network.gain.column, strict=True)
        if owner[parent] != owner[node]
    }
    assert crossing == {(b.upstream, b.downstream, int(n)) for b in areas.boundaries for n in b.nodes}


@settings(max_examples=12, deadline=None)
@given(count=st.integers(1, 12))
def test_the_rule_cuts_a_feeder_into_connected_areas(ieee123, count):
    areas = cut_evenly(ieee123, 0, count)
    assert len(areas.areas) == count
    must_be_a_partition(areas, ieee123)
    assert [boundary.downstream for boundary in areas.boundaries] == list(range(1, count))


def test_four_areas_of_ieee123_are_of_similar_size(ieee123):
    sizes = [len(area.nodes) for area in cut_evenly(ieee123, 0, 4).areas]
    # A quarter of the 274 nodes is 68.
    assert min(sizes) >= 50
    assert max(sizes) <= 90


def test_a_switch_is_cut_by_its_name(ieee13):
    areas = cut_at(ieee13, 0, ["line.sw671_692"])
    must_be_a_partition(areas, ieee13)
    assert areas.areas[1].buses == ("692", "675")
    assert [ieee13.nodes[node] for node in areas.boundaries[0].nodes] == ["671.1", "671.2", "671.3"]
    short = cut_at(ieee13, 0, ["sw671_692"])
    assert short.areas[1].buses == areas.areas[1].buses


def test_a_bank_of_regulators_is_cut_by_one_of_them(ieee13):
    boundary = cut_at(ieee13, 0, ["transformer.reg1_b"]).boundaries[0]
    assert boundary.branches == ("transformer.reg1_a", "transformer.reg1_b", "transformer.reg1_c")
    assert [ieee13.nodes[node] for node in boundary.nodes] == ["650.1", "650.2", "650.3"]


def test_areas_in_a_row_know_their_depth(ieee13):
    areas = cut_at(ieee13, 0, ["l632_632q", "sw671_692"])
    assert areas.depths == (0, 1, 2)
    assert [boundary.downstream for boundary in areas.downstream_of(0)] == [1]
    assert areas.upstream_of(2).upstream == 1


@pytest.mark.parametrize(
    ("elements", "sentence"),
    [
        (["line.nowhere"], "'line.nowhere' is no line, switch or transformer that feeds a bus"),
        (["vsource"], "'vsource' is no line"),
        (["sw671_692", "line.sw671_692"], "into bus 692 is cut twice, by line.sw671_692"),
    ],
)
def test_a_cut_that_is_none_is_refused_by_name(ieee13, elements, sentence):
    with pytest.raises(FormulationRefused, match=sentence):
        cut_at(ieee13, 0, elements)


def test_more_areas_than_buses_are_refused_with_the_number_that_is_possible(ieee13):
    with pytest.raises(FormulationRefused, match=r"cannot be cut into 40 areas .* ask for \d+ or fewer"):
        cut_evenly(ieee13, 0, 40)


def test_inspect_lists_the_areas():
    found = inspect_feeder(Path("ieee13"), ask_planners=False, areas=2)
    rows = {fact.title: fact.text for fact in found.facts}
    assert rows["area1"].endswith("at the substation")
    assert rows["area2"].startswith("19 nodes at 8 buses (632q, 671, 680, 684, 692, 611, 2 more); 13 loads")
    assert rows["area2"].endswith("fed from area1 at 632.1, 632.2, 632.3 through line.l632_632q")
