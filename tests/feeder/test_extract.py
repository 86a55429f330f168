"""The radial model: exact where linear theory is exact, honest where it is not."""

from __future__ import annotations

import itertools

import networkx as nx
import numpy as np
import pytest

from cosim.errors import MeshedFeeder
from cosim.feeder.branch import watched_voltages
from cosim.feeder.circuit import read_circuit
from cosim.feeder.engine import Engine
from cosim.feeder.plant import Feeder
from cosim.feeder.script.reader import read_script
from cosim.model.state import Setpoints
from cosim.opf.linear_flow import LinearFlow
from tests.conftest import a_feeder, a_storage, published_feeder, shipped_master

FEEDERS = [
    "13Bus/IEEE13Nodeckt.dss",
    "34Bus/ieee34Mod1.dss",
    "37Bus/ieee37.dss",
    "123Bus/IEEE123Master.dss",
]


def change(feeder: Feeder, kw: list[float], kvar: list[float]) -> tuple[np.ndarray, np.ndarray]:
    """Change of squared voltage in OpenDSS with taps held, and as the linear model has it."""
    network = feeder.site.network
    assert network is not None
    flow = LinearFlow(network)
    before = feeder.measure(0)
    feeder.apply(Setpoints(np.array(kw), np.array(kvar)))
    feeder.engine.solve(controls=False)
    actual = feeder.meters.voltage_pu() ** 2 - before.voltage_pu**2
    share = flow.device_share(network.device_share, len(kw))
    der = np.asarray(share @ (np.array(kw) + 1j * np.array(kvar)))
    anchor = flow.anchor(before, np.zeros(network.size, dtype=complex))
    predicted = flow.predict(anchor, before.demand_kw[:, None], before.demand_kvar[:, None], der[:, None])
    return actual, predicted.squared_pu[:, 0] - before.voltage_pu**2


def test_at_the_measured_state_the_anchored_model_is_the_measurement():
    with a_feeder(shipped_master("ieee123"), devices=(a_storage(bus="65"),), steps=1) as feeder:
        actual, predicted = change(feeder, [0.0], [0.0])
        assert np.abs(actual).max() < 1e-7
        assert np.abs(predicted).max() < 1e-9


@pytest.mark.parametrize("name", ["ieee13", "ieee123"])
def test_a_small_change_is_predicted_to_a_seventh_of_itself(name):
    bus = {"ieee13": "675", "ieee123": "65"}[name]
    with a_feeder(shipped_master(name), devices=(a_storage(bus=bus),), steps=1) as feeder:
        actual, predicted = change(feeder, [50.0], [30.0])
        # The lossless model ignores how loads and losses answer; that is the rest.
        assert np.abs(predicted - actual).max() < 0.15 * np.abs(actual).max()


@pytest.mark.parametrize("relative", FEEDERS)
def test_every_published_feeder_is_read(relative):
    with a_feeder(published_feeder(relative), steps=1) as feeder:
        network = feeder.site.network
        assert network is not None
        assert network.nodes == feeder.site.nodes
        share = LinearFlow(network).share
        # Without losses no power is gained or lost on the way to the source.
        columns = np.asarray(share.sum(axis=0)).ravel()
        downstream = np.setdiff1d(np.arange(network.size), network.head)
        assert np.abs(columns[downstream] - 1.0).max() < 1e-5  # line charging is all that is left over


def test_ieee37_is_watched_phase_to_phase():
    """Its zero-sequence impedance is a megohm: a voltage to ground says nothing there."""
    with a_feeder(published_feeder("37Bus/ieee37.dss"), steps=1) as feeder:
        inner = [node for node in feeder.site.nodes if not node.startswith("sourcebus")]
        assert all("-" in node for node in inner)
        voltages = dict(zip(feeder.site.nodes, feeder.measure(0).voltage_pu, strict=True))
        assert 0.9 < min(voltages.values()) < max(voltages.values()) < 1.06


def test_an_open_delta_regulator_is_followed_by_its_two_taps():
    with a_feeder(published_feeder("37Bus/ieee37.dss"), steps=1) as feeder:
        network = feeder.site.network
        assert network is not None
        exponents = LinearFlow(network)._exponent.toarray()
        behind = [i for i, node in enumerate(network.nodes) if node.startswith("799r.")]
        assert exponents[behind].sum(axis=1) == pytest.approx([1.0, 1.0, 1.0], abs=1e-3)


def test_a_regulator_lifts_the_model_as_it_lifts_the_feeder():
    with a_feeder(shipped_master("ieee13"), steps=1) as feeder:
        network = feeder.site.network
        assert network is not None
        flow = LinearFlow(network)
        before = feeder.measure(0)
        none = np.zeros(network.size, dtype=complex)
        anchor = flow.anchor(before, none)
        demand = before.demand_kw[:, None], before.demand_kvar[:, None]
        held = flow.predict(anchor, *demand, none[:, None]).squared_pu[:, 0]
        flow.set_taps(before.tap * 1.00625)
        lifted = flow.predict(anchor, *demand, none[:, None]).squared_pu[:, 0]
        behind = [i for i, node in enumerate(network.nodes) if node.startswith("rg60.")]
        # One step up is 0.625 % of the voltage, 1.25 % of its square (about one per unit).
        assert lifted[behind] - held[behind] == pytest.approx(0.0125 * np.ones(3), abs=0.0015)


def test_a_loop_is_named():
    with Engine() as engine:
        engine.compile(read_script(shipped_master("ieee123")))
        engine.command("edit line.sw54_94 enabled=yes")
        engine.solve(controls=True)
        circuit = read_circuit(engine)
        loop = circuit.loop()
        assert {"54", "94"} <= set(loop)
        around = [*loop, loop[0]]
        assert all(circuit.graph.has_edge(a, b) for a, b in itertools.pairwise(around))
        assert str(MeshedFeeder(loop)).startswith("the feeder is meshed: loop ")
        assert len(watched_voltages(circuit)) > 200


def test_an_open_switch_is_no_branch():
    with Engine() as engine:
        engine.compile(read_script(shipped_master("ieee123")))
        engine.command("edit line.sw54_94 enabled=yes")
        engine.command("open line.sw54_94 1")
        engine.solve(controls=True)
        circuit = read_circuit(engine)
        assert circuit.loop() == ()
        assert nx.is_tree(circuit.graph)


def test_centre_tapped_services_are_followed():
    with a_feeder(published_feeder("8500-Node/Master.dss"), steps=1) as feeder:
        network = feeder.site.network
        assert network is not None
        assert network.size > 8000
        exponents = LinearFlow(network)
        measured = feeder.measure(0)
        none = np.zeros(network.size, dtype=complex)
        anchor = exponents.anchor(measured, none)
        # Losses and mutual coupling of legs with loads are the whole difference, a few per cent.
        assert np.abs(anchor.squared_pu).max() < 0.2
