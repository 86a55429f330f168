"""Networks that are no tree of two-winding branches under one source: plant, twin, and refusals by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.as_the_master_says import apart
from cosim.devices.storage import SiteStorage
from cosim.errors import FeederError
from cosim.feeder.compiled import FeederModel
from cosim.feeder.reading import twin_data
from cosim.run.siting import load_sites, placement
from cosim.twin.acceptance import Acceptance
from cosim.twin.model_error import ModelError
from tests.conftest import a_feeder, a_storage, setpoints

HEAD = (
    "clear",
    "new circuit.c basekv=12.47 pu=1.02 bus1=s mvasc3=200 mvasc1=180",
    "new line.l bus1=s bus2=m r1=0.3 x1=0.6 r0=0.6 x0=1.5 c1=0 c0=0 length=1",
    "new load.d bus1=m phases=3 kv=12.47 kw=400 pf=0.95",
)
TAIL = ("set voltagebases=[69 12.47 4.16 0.48 0.24]", "calcvoltagebases", "solve")
DELTA = (
    "new transformer.t phases=3 windings=2 buses=(m g) conns=(wye delta) kvs=(12.47 0.48) kvas=(300 300)"
)
WYE = "new transformer.t phases=3 windings=2 buses=(m g) conns=(delta wye) kvs=(12.47 0.48) kvas=(300 300)"
FAR = "new line.far bus1=m bus2=g r1=2 x1=1 r0=2 x0=1 c1=0 c0=0 length=1"

NETWORKS: dict[str, tuple[str, ...]] = {
    "tertiary": (
        "new transformer.t phases=3 windings=3 buses=(m g e) conns=(wye wye delta) kvs=(12.47 4.16 0.48)",
        "edit transformer.t kvas=(900 900 300) xhl=6 xht=8 xlt=7",
        "new load.g bus1=g kv=4.16 kw=200 pf=0.9",
        "new load.e bus1=e conn=delta kv=0.48 kw=60 pf=0.9",
    ),
    "two secondaries": (
        "new transformer.t phases=3 windings=3 buses=(m g e) conns=(delta wye wye) kvs=(12.47 0.48 4.16)",
        "new load.g bus1=g kv=0.48 kw=100 pf=0.9",
        "new load.e bus1=e kv=4.16 kw=100 pf=0.9",
    ),
    "service on two buses": (
        "new transformer.t phases=1 windings=3 buses=(m.1 g.1.0 e.0.2) kvs=(7.2 0.12 0.12)",
        "edit transformer.t kvas=(50 50 50) xhl=2 xht=2 xlt=1.5",
        "new load.g bus1=g.1 phases=1 kv=0.12 kw=9 pf=0.95",
        "new load.e bus1=e.2 phases=1 kv=0.12 kw=5 pf=0.95",
    ),
    "second source in the network": (
        "new vsource.dg bus1=g basekv=12.47 pu=1.01 angle=-1 mvasc3=60 mvasc1=50",
        FAR,
        "new load.g bus1=g kv=12.47 kw=300 pf=0.9",
    ),
    "island with a source of its own": (
        "new vsource.dg bus1=g basekv=12.47 pu=1.01 mvasc3=60 mvasc1=50",
        "new line.i bus1=g bus2=e r1=0.4 x1=0.4 length=1",
        "new load.e bus1=e kv=12.47 kw=300 pf=0.9",
    ),
    "two sources at one bus": (
        "new vsource.dg bus1=s basekv=12.47 pu=1.01 mvasc3=60 mvasc1=50",
    ),
    "open switch": (
        FAR,
        "new line.sw bus1=g bus2=e switch=yes",
        "new load.e bus1=e kv=12.47 kw=150 pf=0.9",
        "new load.g bus1=g kv=12.47 kw=100 pf=0.9",
        "open line.sw 1",
    ),
    "open in one phase": (
        FAR,
        "new load.g bus1=g kv=12.47 kw=100 pf=0.9",
        "open line.far 1 3",
    ),
    "misspelt bus": ("new load.x bus1=gg kv=12.47 kw=30 pf=0.9",),
    "node that nothing feeds": (
        "new line.far phases=2 bus1=m.1.2 bus2=g.1.2 r1=2 x1=1 r0=2 x0=1 c1=0 c0=0 length=1",
        "new load.x bus1=g phases=3 kv=12.47 kw=30 pf=0.9",
    ),
    "capacitor in the air": ("new capacitor.x bus1=gg kv=12.47 kvar=50",),
    "wye load behind a delta": (DELTA, "new load.g bus1=g kv=0.48 kw=100 pf=0.95"),
    "uneven wye loads behind a delta": (
        DELTA,
        "new load.g bus1=g kv=0.48 kw=60 pf=0.95",
        "new load.h bus1=g.1 phases=1 kv=0.277 kw=2 pf=0.95",
    ),
    "wye generator behind a delta": (
        DELTA,
        "new load.g bus1=g conn=delta kv=0.48 kw=40 pf=0.95",
        "new generator.g bus1=g phases=3 kv=0.48 kw=60 pf=1",
    ),
    "generator above its window": (FAR, "new generator.g bus1=g kv=12.47 kw=900 pf=1 vmaxpu=1.01"),
    "generator below its window": (FAR, "new generator.g bus1=g kv=14 kw=200 pf=0.9 vminpu=0.97"),
    "generator of one phase above its window": (
        "new line.far bus1=m bus2=g r1=20 x1=10 r0=20 x0=10 c1=0 c0=0 length=1",
        "new generator.g bus1=g.1.2 phases=1 kv=12.47 kw=900 pf=1",
    ),
    **{
        f"generator of model {model}": (FAR, f"new generator.g bus1=g kv=12.47 kw=200 pf=0.9 model={model}")
        for model in (2, 4, 5, 7)
    },
    "storage of constant impedance": (
        WYE,
        "new storage.x bus1=g kv=0.48 kwrated=50 kwhrated=100 state=discharging model=2",
    ),
    "four wires": (
        "new transformer.t phases=3 windings=2 buses=(m g.1.2.3.4) conns=(delta wye) kvs=(12.47 0.48)",
        "new reactor.earth phases=1 bus1=g.4 bus2=g.0 r=5 x=0",
        "new line.f phases=4 bus1=g.1.2.3.4 bus2=e.1.2.3.4 length=0.2 units=km",
        "~ rmatrix=[0.3|0.05 0.3|0.05 0.05 0.3|0.05 0.05 0.05 0.3] cmatrix=[0|0 0|0 0 0|0 0 0 0]",
        "~ xmatrix=[0.35|0.28 0.35|0.27 0.28 0.35|0.27 0.27 0.27 0.35]",
        "new load.e1 bus1=e.2.4 phases=1 kv=0.277 kw=8 pf=0.95",
        "new load.e2 bus1=e.1.2.3.4 phases=3 kv=0.48 kw=15 pf=0.95",
    ),
}  # fmt: skip


def master_of(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "m.dss"
    path.write_text("\n".join([*HEAD, *lines, *TAIL]), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", NETWORKS)
def test_a_plant_without_commands_is_plain_opendss(name, tmp_path):
    found = apart(master_of(tmp_path, *NETWORKS[name]))
    assert found.voltage_pu < 1e-6, f"{found.voltage_pu:.2g} pu at {found.node}"


@pytest.mark.parametrize("name", NETWORKS)
def test_the_twin_does_as_the_plant_does(name, tmp_path):
    """At rest, where opening a twin compares them, and with a battery that discharges."""
    battery = a_storage(bus="m", initial_kwh=300.0)
    with a_feeder(master_of(tmp_path, *NETWORKS[name]), devices=(battery,)) as feeder:
        found = [device for device in feeder.site.devices if device is not battery]
        model = feeder.twin_model(ModelError())
        twin = model.open()
        measured = feeder.measure(0)
        twin.set_forecast(measured, (measured.demand_kw + 1j * measured.demand_kvar)[None, :])
        rest = [0.0] * len(found)
        feeder.apply(setpoints([80.0, *rest], [20.0, *rest]))
        result = feeder.commit()
        power = (result.p_kw + 1j * result.q_kvar)[None, :]
        flow = twin.flow(power, twin.at_rest(1), held=True)
        assert np.abs(flow.voltage_pu[:, 0] - result.voltage_pu).max() < 1e-6
        assert flow.import_kva[0].real == pytest.approx(result.import_kw, abs=2e-2)
        assert flow.losses_kw[0] == pytest.approx(result.losses_kw, abs=2e-2)
        assert not result.events


def test_the_import_is_that_of_the_main_source(tmp_path):
    with a_feeder(master_of(tmp_path, *NETWORKS["second source in the network"])) as feeder:
        seen = feeder.measure(0)
        feeder.engine.dss.Circuit.SetActiveElement("vsource.source")
        kw = -sum(feeder.engine.dss.CktElement.Powers()[0::2])
        assert seen.import_kw == pytest.approx(kw, abs=1e-6)
        assert "2 voltage sources (vsource.source, vsource.dg)" in feeder.site.no_network_reason


def test_the_radial_model_refuses_an_element_of_three_buses_by_name(tmp_path):
    with a_feeder(master_of(tmp_path, *NETWORKS["tertiary"])) as feeder:
        assert "transformer.t joins 3 buses (e, g, m)" in feeder.site.no_network_reason


def test_voltages_are_watched_and_devices_connected_to_the_neutral(tmp_path):
    model = FeederModel(master_of(tmp_path, *NETWORKS["four wires"]))
    asked = {text: placement(text, model, delta=False) for text in ("e.2", "e.2.4", "e.2.0", "e", "e.5")}
    assert [asked[text].neutral for text in ("e.2", "e.2.4", "e.2.0", "e")] == [4, 4, None, 4]
    assert asked["e.2.0"].phases == (2,)
    assert "'e.5' is no node" in asked["e.5"]
    assert "e.4" in asked["e.5"]
    site = load_sites(
        model, SiteStorage(kind="storage", share_of_load_buses=1.0, times_local_load=1.0, seed=1)
    )
    assert [(where.bus, where.neutral) for where in site] == [("e", 4), ("m", None)]
    model.close()
    battery = a_storage(bus="e", phases=(2,), neutral=4, kw=5.0, kva=6.0)
    with a_feeder(master_of(tmp_path, *NETWORKS["four wires"]), devices=(battery,)) as feeder:
        seen = feeder.measure(0)
        volts = dict(zip(feeder.engine.node_names(), feeder.engine.voltages(), strict=True))
        at = feeder.site.nodes.index("e.2-4")
        across = abs(volts["e.2"] - volts["e.4"]) / (480.0 / np.sqrt(3.0))
        assert seen.voltage_pu[at] == pytest.approx(across, abs=1e-9)
        assert feeder.site.network is not None
        feeder.apply(setpoints([5.0], [0.0]))
        assert feeder.commit().p_kw[0] == pytest.approx(5.0, abs=1e-4)
        feeder.engine.dss.Circuit.SetActiveElement("storage.b1")
        assert list(feeder.engine.dss.CktElement.NodeOrder()) == [2, 4]


REFUSED = {
    "generator that holds its voltage": (
        (FAR, "new generator.g bus1=g kv=12.47 kw=200 model=3"), ("generator.g (model 3)", "constant_power"),
    ),
    "current source": (("new isource.x bus1=m amps=3",), ("isource.x",)),
    "induction machine": (
        (WYE, "new indmach012.x bus1=g kv=0.48 kw=50 kva=60"), ("indmach012.x", "control.twin.constant_power"),
    ),
    "busbar without impedance": (
        ("new line.bus bus1=m bus2=g r1=1e-10 x1=1e-10 r0=1e-10 x0=1e-10 c1=0 c0=0 length=1",
         "new load.g bus1=g kv=12.47 kw=500 pf=0.9"),
        ("line.bus couples its buses", "at least 1e-6 ohm"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_twin_does_not_know_is_refused_by_name(name, tmp_path):
    lines, words = REFUSED[name]
    with a_feeder(master_of(tmp_path, *lines)) as feeder, pytest.raises(FeederError) as refusal:
        feeder.twin_model(ModelError())
    for word in words:
        assert word in str(refusal.value)


@pytest.mark.parametrize("name", ["generator that holds its voltage", "induction machine"])
def test_what_the_twin_does_not_know_may_count_as_constant_power(name, tmp_path):
    lines, (element, _) = REFUSED[name]
    asked = Acceptance(constant_power=(element.partition(" ")[0],))
    with a_feeder(master_of(tmp_path, *lines)) as feeder:
        feeder.twin_model(ModelError(), asked)


def test_a_twin_that_is_off_plans_if_it_may_and_says_so(tmp_path):
    lines, _ = REFUSED["busbar without impedance"]
    with a_feeder(master_of(tmp_path, *lines)) as feeder:
        model = feeder.twin_model(ModelError(), Acceptance(tolerance_pu=0.05))
        assert 1e-5 < model.open().apart_pu < 0.05


def test_an_element_that_does_not_follow_its_law_is_named(tmp_path, monkeypatch):
    """As if the engine had a load model that the twin takes for another one."""
    read = twin_data._read_load

    def misread(engine, element):
        base_v, law = read(engine, element)
        return base_v, replace(law, model=2) if element == "load.odd" else law

    monkeypatch.setattr(twin_data, "_read_load", misread)
    lines = (
        FAR,
        "new load.odd bus1=g kv=12.47 kw=300 pf=0.9",
        "new load.even bus1=g kv=12.47 kw=300 pf=0.9",
    )
    with a_feeder(master_of(tmp_path, *lines)) as feeder, pytest.raises(FeederError) as refusal:
        feeder.twin_model(ModelError())
    assert "load.odd draws 300 kW and 145.297 kvar in the engine and" in str(refusal.value)
