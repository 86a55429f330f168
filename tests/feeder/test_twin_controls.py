"""Taps and switches predicted outside the engine are those the engine's own controls settle at."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csc_matrix

from cosim.errors import ContractError
from cosim.feeder.engine import Engine
from cosim.feeder.reading.controls import read_controls
from cosim.feeder.script.reader import read_script
from cosim.twin.controls import ControlState, tap_scaled
from tests.conftest import published_feeder

SMALL = """
clear
new circuit.small bus1=source basekv=34.5 pu=1.02 r1=0.1 x1=1 r0=0.1 x0=1
new transformer.station windings=2 buses=(source head) conns=(delta wye) kvs=(34.5 12.47) kvas=(9000 9000)
~ xhl=7 wdg=2 numtaps=16 %noloadloss=0.2 %imag=0.5
new regcontrol.station transformer=station winding=2 vreg=121 band=2.5 ptratio=60 ptphase=max delay=30
new line.first bus1=head bus2=middle length=5 units=km r1=0.25 x1=0.5 r0=0.6 x0=1.4 c1=9 c0=4
new transformer.booster phases=1 buses=(middle.1 far.1) conns=(wye wye) kvs=(7.2 7.2) kvas=(2000 2000) xhl=0.1
new regcontrol.booster transformer=booster winding=2 vreg=122 band=2 ptratio=60 ctprim=300 r=4 x=6
new line.others bus1=middle.2.3 bus2=far.2.3 phases=2 length=0.1 units=km r1=0.25 x1=0.5 r0=0.6 x0=1.4
new line.second bus1=far bus2=end length=4 units=km r1=0.3 x1=0.5 r0=0.7 x0=1.5 c1=9 c0=4
new transformer.open phases=1 buses=(end.1.2 shop.1.2) conns=(delta delta) kvs=(12.47 12.47) kvas=(800 800) xhl=1
new regcontrol.open transformer=open winding=2 tapwinding=1 vreg=120 band=2 ptratio=104 maxtapchange=3
new capacitor.bank bus1=end kv=12.47 kvar=900
new capcontrol.bank capacitor=bank element=line.second terminal=1 type=kvar onsetting=420 offsetting=-300
~ voltoverride=yes ptratio=60 vmin=112 vmax=126 delay=100 delayoff=90
new capacitor.triangle bus1=far conn=delta kv=12.47 kvar=600
new capcontrol.triangle capacitor=triangle element=line.second terminal=1 type=voltage ptratio=104 ptphase=2
~ onsetting=117.5 offsetting=122 delay=40 delayoff=40
new load.a bus1=end.1 phases=1 kv=7.2 kw=1100 kvar=500 vminpu=0.7 vmaxpu=1.3
new load.b bus1=end.2 phases=1 kv=7.2 kw=800 kvar=300 vminpu=0.7 vmaxpu=1.3
new load.c bus1=far.3 phases=1 kv=7.2 kw=900 kvar=450 vminpu=0.7 vmaxpu=1.3
new load.shop bus1=shop.1.2 phases=1 conn=delta kv=12.47 kw=300 kvar=120 vminpu=0.7 vmaxpu=1.3
set voltagebases=[34.5 12.47]
calcvoltagebases
"""


class Bench:
    """An engine whose taps, banks and load can be set, and whose controls start without a past."""

    def __init__(self, master, *commands):
        self.engine = Engine()
        self.engine.compile(read_script(master))
        for command in commands:
            self.engine.command(command)
        self.engine.command("set maxiterations=100 maxcontroliter=100 tolerance=1e-9")
        self.engine.solve(controls=False)
        self.windings = self.engine.regulated_windings()
        self.controls = read_controls(self.engine, self.engine.node_names())
        self.fresh = self.controls.present
        self.nodes = self.controls.nodes

    def load(self, multiplier):
        self.engine.dss.Solution.LoadMult(multiplier)

    def forget(self):
        """Let the controls forget what they did, which also closes the terminals of open banks."""
        multiplier = self.engine.dss.Solution.LoadMult()
        self.engine.command("set mode=snapshot controlmode=off")
        self.load(multiplier)

    def put(self, state):
        dss = self.engine.dss
        dss.Solution.ControlMode(-1)
        for winding, tap in zip(self.controls.windings, state.taps, strict=True):
            dss.Transformers.Name(winding.transformer)
            dss.Transformers.Wdg(self.windings[winding.transformer])
            dss.Transformers.Tap(tap)
        for bank, closed in zip(self.controls.banks, state.closed, strict=True):
            dss.Capacitors.Name(bank.name)
            dss.Capacitors.States([int(closed)])
            dss.Circuit.SetActiveElement(f"capacitor.{bank.name}")
            (dss.CktElement.Close if closed else dss.CktElement.Open)(1, 0)

    def positions(self):
        dss, taps, closed = self.engine.dss, [], []
        for winding in self.controls.windings:
            dss.Transformers.Name(winding.transformer)
            dss.Transformers.Wdg(self.windings[winding.transformer])
            taps.append(dss.Transformers.Tap())
        for bank in self.controls.banks:
            dss.Capacitors.Name(bank.name)
            dss.Circuit.SetActiveElement(f"capacitor.{bank.name}")
            closed.append(bool(dss.Capacitors.States()[0]) and not dss.CktElement.IsOpen(1, 0))
        return tuple(taps), tuple(closed)

    def solve(self, state):
        self.put(state)
        self.engine.solve(controls=False)
        return self.engine.voltages()[self.nodes]

    def predicted(self, start):
        return self.controls.settle(start, self.solve)

    def by_the_engine(self, start, *, mistaken=False):
        self.put(start)
        self.forget()
        if not mistaken:
            self.put(start)
        report = self.engine.solve(controls=True)
        return *self.positions(), report.control_overrun

    def random_start(self, rng):
        """Taps within 6 steps of the present ones, banks open or closed, nothing remembered."""
        banks = len(self.controls.banks)
        no = (False,) * banks
        increments = {c.winding.transformer: c.increment for c in self.controls.regulators}
        taps = [
            float(np.clip(w.tap + increments[w.transformer] * rng.integers(-6, 7), 0.9, 1.1))
            for w in self.controls.windings
        ]
        closed = tuple(rng.integers(2, size=banks).astype(bool).tolist())
        return ControlState(tuple(taps), closed, no, no, (False,) * len(taps))

    def matrix(self):
        values, rows, columns = self.engine.dss.YMatrix.getYsparse(False)
        return csc_matrix((values, rows, columns))


@pytest.fixture
def small(tmp_path):
    master = tmp_path / "small.dss"
    master.write_text(SMALL)
    return master


def agrees(bench, start, **how):
    """Whether prediction and engine end at the same taps and switches; exactly, not nearly."""
    mine = bench.predicted(start)
    return (mine.state.taps, mine.state.closed, mine.overrun) == bench.by_the_engine(start, **how)


@pytest.mark.parametrize("multiplier", [0.2, 0.5, 0.8, 1.1])
def test_controls_settle_where_the_engine_does(small, multiplier):
    bench, rng = Bench(small), np.random.default_rng(1)
    bench.load(multiplier)
    assert not bench.controls.left_alone
    starts = [bench.random_start(rng) for _ in range(12)]
    assert any(bench.predicted(start).moves for start in starts)
    assert all(agrees(bench, start) for start in starts)


@pytest.mark.parametrize(
    "setting",
    [
        "batchedit regcontrol..* vlimit=119",
        "batchedit regcontrol..* inversetime=yes",
        "batchedit regcontrol..* r=0 x=0 ldc_z=3",
        "regcontrol.booster.bus=end.1",
        "regcontrol.station.ptphase=min",
        "regcontrol.station.winding=1 tapwinding=2 ptratio=166",
        "batchedit regcontrol..* maxtapchange=0",
        "capcontrol.bank.type=current onsetting=160 offsetting=100 ctratio=1 ctphase=avg",
        "capcontrol.bank.type=pf onsetting=0.93 offsetting=-0.97",
        "capcontrol.bank.vbus=far ptphase=min vmin=117 vmax=121",
        "capcontrol.triangle.ptphase=max ptratio=60",
    ],
)
def test_every_setting_is_understood(small, setting):
    bench, rng = Bench(small, setting), np.random.default_rng(2)
    assert not bench.controls.left_alone
    for multiplier in (0.3, 0.7, 1.1):
        bench.load(multiplier)
        assert all(agrees(bench, bench.random_start(rng)) for _ in range(3))


@pytest.mark.parametrize(
    "master", ["13Bus/IEEE13Nodeckt.dss", "34Bus/ieee34Mod1.dss", "123Bus/IEEE123Master.dss"]
)
def test_published_feeders_settle_where_the_engine_does(master):
    bench, rng = Bench(published_feeder(master)), np.random.default_rng(3)
    for multiplier in rng.uniform(0.3, 1.1, size=8):
        bench.load(multiplier)
        assert agrees(bench, bench.random_start(rng))


def test_predictions_follow_each_other(small):
    """A bank opened earlier waits out its dead time, which decides who acts before it."""
    bench = Bench(small, "batchedit capcontrol..* delay=5 delayoff=5")
    rng = np.random.default_rng(4)
    state = replace(bench.fresh, opened=(False, False))
    bench.put(state)
    bench.forget()
    opened = 0
    for multiplier in rng.uniform(0.1, 1.2, size=30):
        bench.load(multiplier)
        start, state = state, bench.predicted(state).state
        bench.put(start)
        bench.engine.solve(controls=True)
        assert bench.positions() == (state.taps, state.closed)
        opened += sum(state.opened)
    assert opened > 0


def test_a_bank_that_is_taken_for_closed_acts_as_the_engine_has_it(small):
    """Low voltage does not close it, because its control believes it has done so already."""
    bench, rng = Bench(small, "capcontrol.bank.onsetting=5000 vmin=119"), np.random.default_rng(5)
    differs = 0
    for multiplier in (0.2, 0.6, 1.0, 1.1, 1.3):
        bench.load(multiplier)
        start = replace(bench.random_start(rng), closed=(False, False), mistaken=(True, True))
        assert agrees(bench, start, mistaken=True)
        differs += (
            bench.predicted(start).state != bench.predicted(replace(start, mistaken=(False,) * 2)).state
        )
    assert differs


def test_a_change_of_mode_leaves_banks_mistaken(small):
    bench = Bench(small)
    bench.put(replace(bench.fresh, closed=(False, True)))
    bench.forget()
    bench.engine.solve(controls=False)
    present = read_controls(bench.engine, bench.engine.node_names()).present
    assert (present.closed, present.opened, present.mistaken) == (
        (False, True),
        (False, False),
        (True, False),
    )


@pytest.mark.parametrize(
    "setting", ["revvreg=120 revband=2 revr=1 revx=2", "revneutral=yes tapdelay=20 revdelay=10"]
)
def test_reversible_regulators_turn_with_the_power(small, setting):
    generator = "new generator.sun bus1=end kv=12.47 kw=2500 pf=1"
    bench = Bench(small, generator, f"batchedit regcontrol..* reversible=yes revthreshold=50 {setting}")
    state = replace(bench.fresh, opened=(False, False), backwards=(False,) * 3)
    bench.put(state)
    bench.forget()
    looked = []
    for multiplier in (1.2, 0.2, 0.6, 0.1, 1.2, 0.9):
        bench.load(multiplier)
        start, state = state, bench.predicted(state).state
        bench.put(start)
        bench.engine.solve(controls=True)
        assert bench.positions() == (state.taps, state.closed)
        looked.append(state.backwards)
    assert len(set(looked)) > 1


def test_controls_that_hunt_are_reported(small):
    bench = Bench(small, "regcontrol.booster.band=0.1")
    bench.load(0.9)
    start = replace(bench.fresh, opened=(False, False))
    assert bench.predicted(start).overrun
    assert agrees(bench, start)


def test_a_state_changes_the_admittance_as_in_the_engine(small):
    bench, rng = Bench(small), np.random.default_rng(6)
    before = bench.matrix()
    nodes = bench.controls.switching_nodes
    for _ in range(4):
        state = bench.random_start(rng)
        bench.solve(state)
        found = (bench.matrix() - before).toarray()
        change = bench.controls.admittance_change(state)
        found[np.ix_(nodes, nodes)] -= change
        assert np.abs(found).max() < 1e-9 * np.abs(change).max()  # rounding


@pytest.mark.parametrize("tap", [0.9, 1.1])
def test_an_admittance_scales_with_the_tap(small, tap):
    bench = Bench(small)
    bench.solve(replace(bench.fresh, taps=(tap,) * 3))
    for winding in bench.controls.windings:
        bench.engine.dss.Circuit.SetActiveElement(f"transformer.{winding.transformer}")
        admittance, _ = bench.engine.admittance()
        scaled = tap_scaled(winding.admittance, winding.rows, tap / winding.tap)
        assert np.abs(scaled - admittance).max() < 1e-12 * np.abs(admittance).max()  # rounding


def test_reading_leaves_open_banks_open(small):
    bench = Bench(small)
    state = replace(bench.fresh, closed=(False, False))
    bench.solve(state)
    again = read_controls(bench.engine, bench.engine.node_names())
    assert bench.positions()[1] == (False, False)
    for bank, other in zip(bench.controls.banks, again.banks, strict=True):
        assert np.array_equal(bank.admittance, other.admittance)


def test_what_is_not_reproduced_is_named_and_stays(small):
    bench = Bench(
        small,
        "capcontrol.bank.type=time onsetting=4 offsetting=8",
        "regcontrol.open.cogen=yes",
        "capacitor.triangle.numsteps=3",
    )
    assert set(bench.controls.left_alone) == {
        "capcontrol.bank",
        "regcontrol.open",
        "capcontrol.triangle",
    }
    start = replace(bench.fresh, taps=(1.0, 0.95, 1.0125))
    after = bench.controls.settle(start, lambda state: np.full(len(bench.nodes), 7200.0 + 0j)).state
    assert after.taps[1] == 0.95
    assert after.closed == start.closed


def test_a_feeder_without_controls_is_settled(tmp_path):
    master = tmp_path / "plain.dss"
    master.write_text("new circuit.plain\nnew load.l bus1=sourcebus kw=1\ncalcvoltagebases\n")
    bench = Bench(master)
    settled = bench.predicted(bench.fresh)
    assert (settled.moves, settled.overrun) == (0, False)
    assert bench.controls.admittance_change(bench.fresh).shape == (0, 0)


def test_a_state_of_another_feeder_is_refused(small):
    bench = Bench(small)
    with pytest.raises(ContractError, match="3 regulated windings"):
        bench.controls.admittance_change(ControlState((1.0,), (), (), (), (False,)))
