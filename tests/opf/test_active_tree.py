"""The reduction to what devices can influence loses nothing."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.sparse.linalg import spsolve

from cosim.opf.active_tree import active_tree
from cosim.opf.linear_flow import LinearFlow
from tests.conftest import a_feeder, a_storage, shipped_master


@pytest.mark.parametrize(
    ("name", "buses"), [("ieee13", ("675", "611.3", "645.2")), ("ieee123", ("65", "83", "11.1", "114.1"))]
)
def test_reduced_and_full_equations_agree(name, buses):
    phases = {"675": (1, 2, 3), "65": (1, 2, 3), "83": (1, 2, 3)}
    storages = tuple(
        a_storage(name=f"b{i}", bus=bus.split(".")[0],
                  phases=phases.get(bus) or (int(bus.split(".")[1]),))
        for i, bus in enumerate(buses)
    )  # fmt: skip
    rng = np.random.default_rng(3)
    with a_feeder(shipped_master(name), devices=storages, steps=1) as feeder:
        network = feeder.site.network
        assert network is not None
    flow = LinearFlow(network)
    inject = flow.device_share(network.device_share, len(storages))
    tree = active_tree(flow, inject, np.full(len(storages), 120.0))
    power = rng.uniform(-100, 100, len(storages)) + 1j * rng.uniform(-50, 50, len(storages))

    full_flow = flow._flows.solve(np.asarray(inject @ power).astype(complex))
    full_change = flow._voltages.solve(2.0 * (flow.drop @ np.conj(full_flow)).real)

    size = len(tree.flow_nodes)
    reduced_flow = spsolve((sp.identity(size) - tree.share).tocsc(), np.asarray(tree.inject @ power))
    assert reduced_flow == pytest.approx(full_flow[tree.flow_nodes])
    count = len(tree.voltage_nodes)
    reduced_change = spsolve(
        (sp.identity(count) - tree.gain).tocsc(), 2.0 * (tree.drop @ np.conj(reduced_flow)).real
    )
    groups = np.asarray(tree.groups @ reduced_change)
    members = tree.group_of >= 0
    rebuilt = groups[tree.group_of[members]] * tree.group_scale[members]
    # Branches below a millionth of a pu were merged.
    assert rebuilt == pytest.approx(full_change[members], abs=5e-6)
    assert full_change[~members] == pytest.approx(0.0, abs=5e-6)
    assert len(tree.flow_nodes) < network.size


def test_the_tightest_member_sets_the_bound_of_a_group():
    with a_feeder(shipped_master("ieee13"), devices=(a_storage(bus="671"),), steps=1) as feeder:
        network = feeder.site.network
        assert network is not None
        measured = feeder.measure(0)
    flow = LinearFlow(network)
    inject = flow.device_share(network.device_share, 1)
    tree = active_tree(flow, inject, np.array([120.0]))
    squared = (measured.voltage_pu**2)[:, None]
    lower, upper = tree.bounds(squared, 0.95, 1.05)
    touching = np.zeros(len(lower), dtype=bool)
    for node in np.flatnonzero(tree.group_of >= 0):
        group, scale = tree.group_of[node], tree.group_scale[node]
        assert lower[group, 0] * scale >= 0.95**2 - squared[node, 0] - 1e-12
        assert upper[group, 0] * scale <= 1.05**2 - squared[node, 0] + 1e-12
        touching[group] |= bool(np.isclose(lower[group, 0] * scale, 0.95**2 - squared[node, 0], atol=1e-12))
    assert touching.all()  # each bound is some member's own, not tighter than all of them
