"""Traps of the engine that were paid for once, one test each. A new release is accepted by these."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import weakref
from pathlib import Path

import numpy as np
import pytest

from cosim.devices.pv import PvRating
from cosim.errors import ContractError, FeederError
from cosim.feeder.compiled import FeederModel
from cosim.feeder.elements.storage import STORAGE
from cosim.feeder.engine import Batch, Engine
from cosim.feeder.engine_context import free_unused
from cosim.feeder.script.reader import read_script
from tests.conftest import a_feeder, a_storage, setpoints, shipped_master

NOTHING = np.zeros(0)


@pytest.fixture
def ieee13():
    with Engine() as engine:
        engine.compile(read_script(shipped_master("ieee13")))
        engine.command("set mode=snapshot")
        engine.command("set stepsize=900s number=1")
        yield engine


def master_with(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "master.dss"
    path.write_text("\n".join([f'redirect "{shipped_master("ieee13")}"', *lines]), encoding="utf-8")
    return path


def test_compiling_leaves_the_working_directory_alone(ieee13):
    before = Path.cwd()
    ieee13.compile(read_script(shipped_master("ieee123")))
    assert Path.cwd() == before


def test_two_engines_do_not_see_each_other(ieee13):
    with Engine() as other:
        other.compile(read_script(shipped_master("ieee123")))
        assert ieee13.dss.Circuit.Name() == "ieee13"
        assert other.dss.Circuit.Name() == "ieee123"


def test_a_context_is_freed_with_its_engine():
    """The packages kept every context: a process grew by 1 MiB, and 5263 Python objects, with each run."""
    with Engine() as engine:
        engine.compile(read_script(shipped_master("ieee13")))
        batch = Batch(engine, "load")
        context = weakref.ref(engine.dss._api_util.ctx)
    del engine
    gc.collect()
    free_unused()
    # Whatever reads the circuit keeps it.
    assert context() is not None
    del batch
    collector = threading.Thread(target=gc.collect)
    collector.start()
    collector.join()
    # A thread that does not use the library must not free it.
    assert context() is not None
    free_unused()
    assert context() is None


def test_terminal_power_of_a_discharging_battery_is_positive(ieee13):
    STORAGE.add(ieee13, a_storage())
    ieee13.command("edit storage.b1 kw=50")
    ieee13.solve(controls=False)
    assert Batch(ieee13, "storage").terminal_power()[0].real == pytest.approx(50, abs=0.05)


def test_a_snapshot_solve_does_not_move_stored_energy(ieee13):
    STORAGE.add(ieee13, a_storage())
    ieee13.command("edit storage.b1 kw=50")
    batch = Batch(ieee13, "storage")
    before = batch.read("kWhstored")[0]
    for _ in range(3):
        ieee13.solve(controls=True)
    assert batch.read("kWhstored")[0] == before


def test_the_integration_step_is_the_step_size_in_snapshot_mode(ieee13):
    """Setting the mode leaves an integration step of an hour until the step size is set again."""
    assert ieee13.dss.Solution.IntervalHrs() == 0.25
    ieee13.command("set mode=snapshot")
    assert ieee13.dss.Solution.IntervalHrs() == 1.0


def test_rated_energy_before_stored_energy():
    """Setting kWhrated refills the cell; the stored share must come after it."""
    with a_feeder(shipped_master("ieee13"), devices=(a_storage(initial_kwh=123.0),), steps=1) as feeder:
        assert feeder.measure(0).stored_kwh[0] == pytest.approx(123.0, abs=1e-9)


def test_a_battery_without_enough_inverter_is_refused_because_the_engine_returns_nan(ieee13):
    with pytest.raises(FeederError, match="kva 80 is below kw 100"):
        STORAGE.add(ieee13, a_storage(kva=80.0))


def test_nan_voltages_never_pass(ieee13):
    ieee13.command(
        "new storage.bad bus1=675 kv=4.16 kwrated=150 kva=100 kwhrated=400 %stored=50 "
        "dispmode=external wattpriority=yes kw=-150"
    )
    with pytest.raises(FeederError, match=r"not numbers|did not converge"):
        ieee13.solve(controls=False)


def test_a_power_flow_without_solution_is_an_error(ieee13):
    ieee13.command("batchedit load..* kw=20000 model=1 vminpu=0 vlowpu=0")
    with pytest.raises(FeederError, match="did not converge"):
        ieee13.solve(controls=False)


def test_batch_writes_do_not_rebuild_the_matrix_and_give_the_same_answer(ieee13):
    """The open-edit trick relies on an engine detail: this is its regression test."""
    STORAGE.add(ieee13, a_storage())
    ieee13.command("set tolerance=1e-9")
    quick = Batch(ieee13, "storage", open_edit=True)
    quick.write("kW", np.array([-70.0]))
    quick.write("kvar", np.array([30.0]))
    ieee13.solve(controls=False)
    by_batch = ieee13.voltages().copy()
    with Engine() as plain:
        plain.compile(read_script(shipped_master("ieee13")))
        STORAGE.add(plain, a_storage())
        plain.command("set tolerance=1e-9")
        plain.command("edit storage.b1 kw=-70 kvar=30")
        plain.solve(controls=False)
        assert np.abs(by_batch - plain.voltages()).max() < 1e-3  # volt, of 2400


def test_writing_kw_after_kvar_would_change_kvar(ieee13):
    """A new kW keeps the power factor; the plant therefore writes kvar last."""
    loads = Batch(ieee13, "load")
    kvar = loads.read("kvar")
    loads.write("kW", 2 * loads.read("kW"))
    assert np.allclose(loads.read("kvar"), 2 * kvar)


def test_nan_leaves_an_element_of_a_batch_as_it_is(ieee13):
    loads = Batch(ieee13, "load")
    before = loads.read("kW")
    values = np.full(len(loads), np.nan)
    values[0] = 1.5
    loads.write("kW", values)
    assert loads.read("kW")[0] == 1.5
    assert np.array_equal(loads.read("kW")[1:], before[1:])


def test_pv_works_at_dawn():
    """The default cut-in of 20 % would switch it off at low irradiance."""
    pv = PvRating("p1", "680", (1, 2, 3), False, 300.0, 330.0)
    with a_feeder(shipped_master("ieee13"), devices=(pv,), irradiance=0.05, steps=1) as feeder:
        feeder.measure(0)
        feeder.apply(setpoints(pv_kw=[300.0], pv_kvar=[0.0]))
        assert feeder.commit().p_kw[0] == pytest.approx(15.0, abs=1e-3)


def test_curtailment_is_an_absolute_cap():
    pv = PvRating("p1", "680", (1, 2, 3), False, 300.0, 330.0)
    with a_feeder(shipped_master("ieee13"), devices=(pv,), irradiance=0.5, steps=1) as feeder:
        assert feeder.measure(0).available_kw[0] == pytest.approx(150.0)
        feeder.apply(setpoints(pv_kw=[120.0], pv_kvar=[40.0]))
        result = feeder.commit()
        assert result.p_kw[0] == pytest.approx(120.0, abs=1e-3)
        assert result.q_kvar[0] == pytest.approx(40.0, abs=1e-3)


def test_the_power_of_a_battery_does_not_depend_on_its_voltage():
    """Outside 0.9-1.1 pu the engine's default would turn it into an impedance."""
    rating = a_storage(name="b1", kw=1500.0, kva=1500.0, kwh=6000.0, min_kwh=0.0, max_kwh=6000.0,
                       initial_kwh=3000.0)  # fmt: skip
    with a_feeder(shipped_master("ieee13"), devices=(rating,), multiplier=1.3, steps=1) as feeder:
        feeder.measure(0)
        feeder.apply(setpoints([-1400.0], [0.0]))
        result = feeder.commit()
        assert result.p_kw[0] == pytest.approx(-1400.0, abs=1e-3)


def test_meters_and_shapes_of_the_master_do_no_harm(tmp_path):
    master = master_with(
        tmp_path,
        "new loadshape.day npts=24 interval=1 mult=[0.1 0.1 0.1 0.1 0.1 0.1 0.1 0.1 0.1 0.1 0.1 0.1 "
        "0.1 0.1 0.1 0.1 0.1 0.1 0.1 0.1 0.1 0.1 0.1 0.1]",
        "batchedit load..* daily=day",
        "new energymeter.m element=line.l650_632 terminal=1"
        if "l650_632" in (shipped_master("ieee13").parent / "lines.dss").read_text()
        else "",
    )
    with a_feeder(master, steps=1) as feeder:
        # The scenario's demand counts, not the shape of 0.1.
        assert feeder.measure(0).import_kw > 3000


def test_a_bus_that_loses_its_voltage_is_an_event(tmp_path):
    with a_feeder(shipped_master("ieee13"), steps=1) as feeder:
        feeder.measure(0)
        feeder.apply(setpoints())
        lines = feeder.engine.dss.Lines
        lines.First()
        name = next(n for n in lines.AllNames() if n.endswith("611"))
        feeder.engine.command(f"open line.{name} 1")
        result = feeder.commit()
        assert any("lost their voltage" in event and "611" in event for event in result.events)


def test_steps_are_taken_once_and_in_order():
    with a_feeder(shipped_master("ieee13"), steps=3) as feeder:
        idle = setpoints()
        with pytest.raises(ContractError, match="call measure first"):
            feeder.apply(idle)
        feeder.measure(0)
        with pytest.raises(ContractError, match="commit needs measure and apply"):
            feeder.commit()
        feeder.apply(idle)
        feeder.commit()
        with pytest.raises(ContractError, match="step 0 is measured while the feeder is at step 1"):
            feeder.measure(0)


def test_a_missing_or_broken_master_is_named(tmp_path):
    with pytest.raises(FeederError, match=r"nowhere\.dss does not exist"):
        FeederModel(tmp_path / "nowhere.dss")
    broken = tmp_path / "broken.dss"
    broken.write_text("new circuit.x bus1=a\nnew line.l1 bus1=a bus2=b linecode=nocode\n")
    with pytest.raises(FeederError, match="nocode"):
        FeederModel(broken)
    empty = tmp_path / "empty.dss"
    empty.write_text("! nothing\n")
    with pytest.raises(FeederError, match="defines no circuit"):
        FeederModel(empty)


def test_storage_and_pv_of_the_master_are_found_and_controlled(tmp_path):
    master = master_with(
        tmp_path,
        "new storage.own bus1=675 kv=4.16 kwrated=80 kva=90 kwhrated=300 %stored=60 %idlingkw=2",
        "new pvsystem.roof bus1=680 kv=4.16 pmpp=100 kva=110 irradiance=1",
    )
    with a_feeder(master, steps=1, irradiance=1.0) as feeder:
        own = feeder.site.of_kind("storage")[0]
        assert (own.kw, own.kwh, own.initial_kwh, own.idling_kw) == (80.0, 300.0, 180.0, 1.6)
        feeder.measure(0)
        feeder.apply(setpoints([60.0], [0.0], [50.0], [0.0]))
        result = feeder.commit()
        assert result.p_kw[0] == pytest.approx(60.0, abs=1e-3)
        assert result.p_kw[1] == pytest.approx(50.0, abs=1e-3)


def test_an_overrun_of_the_control_iterations_is_reported_and_does_not_poison_the_next_solve(ieee13):
    """The engine leaves an abort flag behind: the next solve failed with error 99 or 11001."""
    ieee13.command("set maxcontroliter=2")
    ieee13.command("batchedit regcontrol..* vreg=118 maxtapchange=1")
    report = ieee13.solve(controls=True)
    assert report.control_overrun
    assert not ieee13.solve(controls=False).control_overrun
    ieee13.command("set maxcontroliter=100")
    assert not ieee13.solve(controls=True).control_overrun


def test_the_first_context_of_a_process_leaves_the_working_directory_alone(tmp_path):
    """The engine went back to the folder in which its library was loaded."""
    code = (
        "import os, sys; from pathlib import Path; from cosim.feeder.engine import Engine\n"
        "os.chdir(sys.argv[1])\n"
        "with Engine(): sys.exit(Path.cwd() != Path(sys.argv[1]))"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False).returncode == 0
