"""The controller's own model of the feeder, held against OpenDSS."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cosim.devices.pv import PvRating
from cosim.devices.storage import StorageRating
from cosim.errors import FeederError
from cosim.model.state import Setpoints
from cosim.model.twin import Prices, Quantity, TwinFlow
from cosim.twin.feeder_twin import FeederTwin
from cosim.twin.load_model import LoadModel, LoadModels
from tests.conftest import a_feeder, a_storage, published_feeder, shipped_master
from tests.feeder.twins import PERIODS, demand_of, twin_of

FEEDERS = (
    "13Bus/IEEE13Nodeckt.dss",
    "34Bus/ieee34Mod1.dss",
    "34Bus/ieee34Mod2.dss",
    "37Bus/ieee37.dss",
    "123Bus/IEEE123Master.dss",
    "8500-Node/Master.dss",
    "8500-Node/Master-unbal.dss",
)


def three_devices() -> tuple[tuple[StorageRating, ...], tuple[PvRating, ...]]:
    """A three-phase and a single-phase battery and a PV system on IEEE 123, one of them delta."""
    storages = (
        a_storage(name="b1", bus="47", phases=(1, 2, 3), kw=150.0, kva=180.0),
        a_storage(name="b2", bus="65", phases=(3, 1), delta=True, kw=60.0, kva=80.0),
    )
    return storages, (PvRating("p1", "83", (3,), delta=False, kw=120.0, kva=130.0),)


@pytest.mark.parametrize("feeder_name", FEEDERS)
def test_flows_are_those_of_opendss(feeder_name: str) -> None:
    """Opening a twin compares it with the engine; a second operating point is compared here."""
    with a_feeder(published_feeder(feeder_name), multiplier=1.0) as feeder:
        twin, measured = twin_of(feeder)
        twin.set_forecast(measured, demand_of(feeder, np.array([0.6])))
        flow = twin.flow(np.zeros((1, 0), dtype=np.complex128), twin.at_rest(1), held=True)
        loads = feeder.measure(0)
        feeder.inputs.demand.write(0.6 * loads.demand_kw, 0.6 * loads.demand_kvar)
        feeder.engine.solve(controls=False)
        assert np.abs(flow.voltage_pu[:, 0] - feeder.meters.voltage_pu()).max() < 1e-6
        power, losses = feeder.meters.head()
        assert abs(flow.import_kva[0] - power) < 1e-4 * abs(power)
        assert flow.losses_kw[0] == pytest.approx(losses, rel=1e-3, abs=1e-2)


LOADS = {
    "constant power": "model=1",
    "constant impedance": "model=2",
    "motor": "model=3",
    "exponents": "model=4 cvrwatts=0.8 cvrvars=3",
    "exponents one and two": "model=4 cvrwatts=1 cvrvars=2",
    "constant current": "model=5",
    "fixed kvar": "model=6",
    "fixed reactance": "model=7",
    "ZIPV": "model=8 zipv=[0.3 0.3 0.4 0.2 0.5 0.3 0]",
    "ZIPV that drops out": "model=8 zipv=[0.3 0.3 0.4 0.2 0.5 0.3 0.62]",
    "narrow window": "model=1 vminpu=0.97 vmaxpu=1.02 vlowpu=0.6",
}
CONNECTIONS = {
    "wye": "bus1=b phases=3 conn=wye kv=4.16",
    "delta": "bus1=b phases=3 conn=delta kv=4.16",
    "one phase": "bus1=b.2 phases=1 kv=2.4",
    "between phases": "bus1=b.1.3 phases=1 conn=delta kv=4.16",
    "open delta": "bus1=b.1.2.3 phases=2 conn=delta kv=4.16",
}


@pytest.mark.parametrize("connection", CONNECTIONS)
@pytest.mark.parametrize("load", LOADS)
def test_every_load_model_in_every_voltage_region(tmp_path: Path, load: str, connection: str) -> None:
    """From a third to 1.3 times the rated voltage: through all four regions of the laws."""
    master = tmp_path / "master.dss"
    master.write_text(
        "clear\nnew circuit.c basekv=4.16 pu=0.35 r1=0.01 x1=0.02 r0=0.01 x0=0.02\n"
        "new line.l bus1=sourcebus bus2=b r1=0.1 x1=0.2 r0=0.2 x0=0.5 length=1\n"
        f"new load.x {CONNECTIONS[connection]} kw=200 kvar=90 {LOADS[load]}\n"
        "set voltagebases=[4.16]\ncalcvoltagebases\nset tolerance=1e-10 maxiterations=500\nsolve\n",
        encoding="utf-8",
    )
    with a_feeder(master, tolerance=1e-10) as feeder:
        for source_pu in (0.35, 0.55, 0.74, 0.93, 1.0, 1.04, 1.09, 1.3):
            feeder.engine.set_source_pu({"source": source_pu})
            _, measured = twin_of(feeder)
            assert measured.voltage_pu[:3] == pytest.approx(source_pu, rel=0.02)


def test_controls_react_as_in_opendss() -> None:
    """Taps along a day of changing load and battery power, period by period, on IEEE 123."""
    storages, _ = three_devices()
    with a_feeder(shipped_master("ieee123"), devices=storages, steps=24, tolerance=1e-8) as feeder:
        twin, measured = twin_of(feeder)
        multipliers = 0.7 + 0.3 * np.sin(np.arange(24) / 3.0)
        kw = np.stack([150 * np.sin(np.arange(24) / 2.0), 60 * np.cos(np.arange(24))], axis=1)
        demand = demand_of(feeder, multipliers)
        twin.set_forecast(measured, demand)
        flow = twin.flow(kw.astype(np.complex128))
        assert flow.hunting == 0
        assert len(np.unique(flow.tap, axis=0)) > 3
        for period in range(24):
            feeder._next_step = period
            feeder.measure(period)
            feeder.inputs.demand.write(demand[period].real, demand[period].imag)
            feeder._devices.write(Setpoints(kw[period], np.zeros(2)))
            feeder.engine.solve(controls=True)
            assert np.abs(feeder.taps.ratios() - flow.tap[period]).max() < 1e-9, f"period {period}"
            assert np.abs(feeder.meters.voltage_pu() - flow.voltage_pu[:, period]).max() < 1e-6


def a_loaded_twin() -> tuple[FeederTwin, np.ndarray]:
    """A twin of IEEE 123 with devices, looking at some periods, and their powers."""
    storages, pvs = three_devices()
    with a_feeder(shipped_master("ieee123"), devices=(*storages, *pvs), irradiance=0.5) as feeder:
        twin, measured = twin_of(feeder)
        twin.set_forecast(measured, demand_of(feeder, np.linspace(0.5, 1.1, PERIODS)))
    random = np.random.default_rng(1)
    power = random.uniform(-50, 50, (PERIODS, 3)) + 1j * random.uniform(-30, 30, (PERIODS, 3))
    return twin, power


def test_one_period_alone_flows_as_among_others() -> None:
    """A flow does not depend on the periods it is solved with."""
    twin, power = a_loaded_twin()
    settling, solver = twin._equilibrium, twin._equilibrium._solver
    among = settling.solve(power, (settling.measured,) * PERIODS, None, 1e-11)
    for period in range(PERIODS):
        one = slice(period, period + 1)
        state = settling.switching((settling.measured,))
        alone = solver.solve(
            settling.demand_kva[one], power[one], state, source_ratio=np.ones(1), tolerance=1e-11
        )
        apart = alone.parts - among.parts[:, [period, PERIODS + period]]
        assert np.abs(apart[:-1] * solver._scale[:, None]).max() < 1e-9


def test_sensitivities_of_a_shifted_horizon_are_those_of_its_periods() -> None:
    """The periods keep their own tap states when they are reordered, repeated or left out."""
    twin, power = a_loaded_twin()
    flow = twin.flow(power)
    assert len({tuple(tap) for tap in flow.tap}) > 1, "equal taps in all periods prove nothing"
    whole = twin.import_slope(flow)
    for order in (np.arange(PERIODS)[::-1], np.array([PERIODS - 1] * 2), np.arange(1, PERIODS)):
        for part, expected in zip(twin.import_slope(twin.moved(flow, order)), whole, strict=True):
            assert part == pytest.approx(expected[order], abs=1e-12)


def test_sensitivities_of_a_flow_do_not_change_when_another_is_solved() -> None:
    """A flow carries its own tap states: nothing depends on which flow was solved last."""
    twin, power = a_loaded_twin()
    flow = twin.flow(power)
    before = twin.import_slope(flow)
    other = twin.flow(power - 800.0)
    assert (other.tap != flow.tap).any(), "equal taps prove nothing"
    for now, then in zip(twin.import_slope(flow), before, strict=True):
        assert np.array_equal(now, then)


def central_difference(twin: FeederTwin, power: np.ndarray, device: int, unit: complex, what):
    base = twin.flow(power)
    step = np.zeros_like(power)
    step[:, device] = 0.5 * unit
    up, down = (twin.flow(power + sign * step, base, held=True) for sign in (1, -1))
    return what(up) - what(down)


@pytest.mark.parametrize("unit", [1.0, 1.0j])
def test_slopes_of_the_objective_are_exact(unit: complex) -> None:
    twin, power = a_loaded_twin()
    flow = twin.flow(power)
    part = 0 if unit == 1.0 else 1
    for device in range(3):
        measured = central_difference(twin, power, device, unit, lambda f: f.import_kva.real)
        assert measured == pytest.approx(twin.import_slope(flow)[part][:, device], abs=1e-4)


def charged(flow: TwinFlow, prices: Prices) -> np.ndarray:
    """What a flow costs in each period."""
    apart = ((flow.voltage_pu**2 - prices.centre_pu**2) ** 2).sum(axis=0)
    return (
        prices.import_kw * flow.import_kva.real
        + prices.losses_kw * flow.losses_kw
        + (prices.deviation_pu2 * apart)
    )


PRICES = [
    Prices(np.linspace(1, 2, PERIODS), np.zeros(PERIODS), np.zeros(PERIODS), 1.0),
    Prices(np.zeros(PERIODS), np.linspace(1, 2, PERIODS), np.zeros(PERIODS), 1.0),
    Prices(np.zeros(PERIODS), np.zeros(PERIODS), np.linspace(1e3, 2e3, PERIODS), 1.0),
    Prices(np.ones(PERIODS), np.ones(PERIODS), np.full(PERIODS, 1e3), 0.99),
]


@pytest.mark.parametrize("unit", [1.0, 1.0j])
@pytest.mark.parametrize("prices", PRICES, ids=["import", "losses", "deviation", "all"])
def test_slopes_of_the_cost_are_exact(unit: complex, prices: Prices) -> None:
    twin, power = a_loaded_twin()
    flow = twin.flow(power)
    slope = twin.cost_slope(flow, prices, np.zeros((0, PERIODS)))[0 if unit == 1.0 else 1]
    for device in range(3):
        measured = central_difference(twin, power, device, unit, lambda f: charged(f, prices))
        assert measured == pytest.approx(slope[:, device], abs=1e-4, rel=1e-3)


def test_worth_of_taps_is_what_they_give_back() -> None:
    """What a tap changes of the cost is what it changes of the regulated voltages at their worth."""
    storages, pvs = three_devices()
    with a_feeder(shipped_master("ieee123"), devices=(*storages, *pvs), irradiance=0.5) as feeder:
        twin, measured = twin_of(feeder)
        demand = demand_of(feeder, np.array([0.9]))
    prices = Prices(np.ones(1), np.full(1, 0.5), np.zeros(1), 1.0)
    power = np.array([[40 + 10j, -30 + 5j, 20 + 0j]])
    taps = np.full(len(measured.tap), 1.0125)

    def at(tap: np.ndarray) -> TwinFlow:
        twin.set_forecast(replace(measured, tap=tap), demand)
        return twin.flow(power, twin.at_rest(1), held=True)

    flow = at(taps)
    worth = twin.tap_worth(flow, prices)[:, 0]
    assert (np.abs(worth) > 1.0).any()
    for regulator in range(len(taps)):
        step = np.zeros(len(taps))
        step[regulator] = 1e-5
        up, down = at(taps + step), at(taps - step)
        paid = (charged(up, prices) - charged(down, prices))[0] / 2e-5
        held = (twin.regulated(up) - twin.regulated(down))[:, 0] / 2e-5
        assert worth @ held == pytest.approx(paid, rel=1e-3, abs=0.1)
    twin.set_forecast(replace(measured, tap=np.full(len(taps), 1.1)), demand)
    at_the_end = twin.flow(power, twin.at_rest(1), held=True)
    assert not twin.tap_worth(at_the_end, prices).any(), "taps at their end follow nothing"


def test_what_taps_give_back_is_foreseen() -> None:
    """Reactive power moves 77 taps; to first order, and but for their steps, that costs what was foreseen."""
    storages, pvs = three_devices()
    with a_feeder(shipped_master("ieee123"), devices=(*storages, *pvs), irradiance=0.5) as feeder:
        twin, measured = twin_of(feeder)
        twin.set_forecast(measured, demand_of(feeder, np.linspace(0.5, 1.1, PERIODS)))
    prices = PRICES[0]
    start = twin.flow(np.zeros((PERIODS, 3), dtype=np.complex128))
    worth, rest = twin.tap_worth(start, prices), twin.regulated(start)
    absorbing = np.full((PERIODS, 3), -250j)
    held = twin.flow(absorbing, start, held=True)
    reacted = twin.flow(absorbing, held)
    assert np.abs(reacted.tap - start.tap).sum() > 10 * 0.00625
    paid = charged(reacted, prices).sum() - charged(held, prices).sum()
    foreseen = float((worth * (rest - twin.regulated(held))).sum())
    assert abs(paid) > 5.0
    assert foreseen == pytest.approx(paid, rel=0.25)


def test_laws_that_jump_are_known() -> None:
    """Exponents and fixed reactive power leave a step at vmin and vmax; power, current, impedance none."""
    models = {1: False, 2: False, 3: True, 4: True, 5: False, 6: True, 7: False}
    laws = LoadModels.of([LoadModel(model, 0.5, 0.95, 1.05, (0.8, 3.0)) for model in models])
    assert laws.jumps()[:, 1:].any(axis=1).tolist() == list(models.values())


LIMITS = [quantity for quantity in Quantity if quantity is not Quantity.SWITCHING]


@pytest.mark.parametrize("quantity", LIMITS)
def test_slopes_of_limits_are_exact(quantity: Quantity) -> None:
    twin, power = a_loaded_twin()
    check_slopes(twin, power, quantity)


def test_slopes_of_capacitor_controls_are_exact(tmp_path: Path) -> None:
    """A bank that follows the reactive power through the head of IEEE 13."""
    master = tmp_path / "master.dss"
    master.write_text(
        f'redirect "{shipped_master("ieee13")}"\n'
        "new capcontrol.c capacitor=c675 element=line.l650_632 terminal=1 type=kvar ptratio=1 ctratio=1 "
        "onsetting=900 offsetting=-300 delay=30\nsolve\n",
        encoding="utf-8",
    )
    storages = (a_storage(name="b1"), a_storage(name="b2", bus="611", phases=(3,)))
    pvs = (PvRating("p1", "680", (1, 2, 3), delta=False, kw=300.0, kva=330.0),)
    with a_feeder(master, devices=(*storages, *pvs), irradiance=0.5) as feeder:
        assert feeder.site.capacitors == ("c675",)
        twin, measured = twin_of(feeder)
        twin.set_forecast(measured, demand_of(feeder, np.linspace(0.5, 1.1, PERIODS)))
    random = np.random.default_rng(1)
    power = random.uniform(-50, 50, (PERIODS, 3)) + 1j * random.uniform(-30, 30, (PERIODS, 3))
    assert (twin.values(twin.flow(power), Quantity.SWITCHING) < 1.0).all()
    check_slopes(twin, power, Quantity.SWITCHING)


def test_shares_of_ratings_are_those_of_opendss_at_other_taps() -> None:
    """Lines and transformers, after the regulators have moved; regulated transformers are left out."""
    with a_feeder(shipped_master("ieee123")) as feeder:
        twin, measured = twin_of(feeder)
        twin.set_forecast(measured, demand_of(feeder, np.array([0.4])))
        flow = twin.flow(np.zeros((1, 0), dtype=np.complex128))
        assert not np.array_equal(flow.tap[0], measured.tap)
        feeder.inputs.demand.write(0.4 * measured.demand_kw, 0.4 * measured.demand_kvar)
        feeder.engine.solve(controls=True)
        element, quantities = feeder.engine.dss.CktElement, twin._quantities
        for quantity in (Quantity.LINE, Quantity.TRANSFORMER):
            shares = twin.values(flow, quantity)[:, 0]
            for place, share in zip(quantities._conductors(quantity), shares, strict=True):
                name, _, phase = quantities._data.ampacity.names[place].rpartition(".")
                assert not name.startswith("transformer.reg")
                feeder.engine.dss.Circuit.SetActiveElement(name)
                amps = element.CurrentsMagAng()[2 * (int(phase) - 1)]
                assert share == pytest.approx(amps / element.NormalAmps(), abs=1e-5), name


def test_a_disabled_capacitor_control_switches_nothing(tmp_path: Path) -> None:
    master = tmp_path / "master.dss"
    master.write_text(
        f'redirect "{shipped_master("ieee13")}"\n'
        "new capcontrol.c capacitor=c675 element=line.l650_632 type=kvar onsetting=9 offsetting=-9\n"
        "edit capcontrol.c enabled=no\nsolve\n",
        encoding="utf-8",
    )
    with a_feeder(master) as feeder:
        assert feeder.site.capacitors == ()
        twin, _ = twin_of(feeder)
        assert twin.places(Quantity.SWITCHING) == 0


def check_slopes(twin: FeederTwin, power: np.ndarray, quantity: Quantity) -> None:
    flow = twin.flow(power)
    random = np.random.default_rng(2)
    place = random.integers(0, twin.places(quantity), 10)
    period = random.integers(0, PERIODS, 10)
    for part, unit in enumerate((1.0, 1.0j)):
        slope = twin.slope(flow, quantity, place, period)[part]
        for device in range(3):
            measured = central_difference(
                twin, power, device, unit, lambda f: twin.values(f, quantity)[place, period]
            )
            assert measured == pytest.approx(slope[:, device], rel=2e-3, abs=1e-3 * np.abs(slope).max())


def test_curvature_of_the_losses_is_that_of_the_flow() -> None:
    """With all modes kept it is the second difference of the import, up to the loads' own response."""
    twin, power = a_loaded_twin()
    flow = twin.flow(power)
    curvature = twin.loss_curvature(flow, 2, modes=3)
    change = np.zeros_like(power)
    change[2] = [6 - 4j, -5 + 3j, 4 + 6j]
    up, down = (twin.flow(power + sign * change, flow, held=True) for sign in (1, -1))
    measured = (up.import_kva.real + down.import_kva.real - 2 * flow.import_kva.real)[2] / 2
    modes = curvature.mode_p @ change[2].real + curvature.mode_q @ change[2].imag
    told = modes @ modes + curvature.rest @ np.abs(change[2]) ** 2
    assert told == pytest.approx(measured, rel=0.05)


def test_what_the_twin_has_no_law_for_is_named(tmp_path: Path) -> None:
    master = tmp_path / "master.dss"
    master.write_text(
        "clear\nnew circuit.c basekv=4.16\nnew line.l bus1=sourcebus bus2=b\n"
        "new isource.odd bus1=b.1 phases=1 amps=1\n"
        "set voltagebases=[4.16]\ncalcvoltagebases\nsolve\n",
        encoding="utf-8",
    )
    with a_feeder(master) as feeder, pytest.raises(FeederError, match=r"isource\.odd"):
        twin_of(feeder)


def test_laws_are_continuous_where_the_engine_is() -> None:
    """At the upper edge constant power turns into the impedance that draws it there."""
    power, _ = LoadModel(1, 0.5, 0.95, 1.05).factors()
    assert power[3][0] * 1.05**2 == pytest.approx(1.0)
    slope, start, *_ = power[1]
    assert slope * 0.95**2 + start * 0.95 == pytest.approx(1.0)
    assert slope * 0.5**2 + start * 0.5 == pytest.approx(0.5**2)
