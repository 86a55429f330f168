"""A study is opened once: compilations are counted, and the controller needs no simulator."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from cosim.errors import FeederError
from cosim.feeder.engine import Engine
from cosim.run.assembly import Assembly
from cosim.run.check import check_study
from cosim.run.execute import execute, execute_baseline
from cosim.run.knowledge import knowledge_to_text, text_to_knowledge
from cosim.run.loop import run_loop
from cosim.run.study import open_study
from tests.conftest import small_scenario

TANGENT = {"horizon_s": 3600, "planner": {"type": "tangent"}}


def nothing(_done: int) -> None:
    """Nobody watches."""


@pytest.fixture
def compiled(monkeypatch) -> list[str]:
    """Masters that were compiled in this process, in order."""
    found: list[str] = []
    whole = Engine.compile

    def counting(self, script):
        found.append(script.files[0].name)
        whole(self, script)

    monkeypatch.setattr(Engine, "compile", counting)
    return found


@pytest.mark.parametrize("planner", ["lindistflow", "tangent"])
def test_a_local_run_compiles_once_and_its_baseline_once(scenario_file, tmp_path, compiled, planner):
    control = {"horizon_s": 3600, "forecast": "perfect", "planner": {"type": planner}}
    study = open_study(scenario_file(control=control), steps=2)
    problems, opened = check_study(study)
    assert not problems
    execute(study, tmp_path / "run", over="local", overwrite=False, progress=nothing, opened=opened)
    assert len(compiled) == 1
    execute_baseline(study, tmp_path / "run", progress=nothing)
    assert len(compiled) == 2


def test_over_helics_the_feeder_compiles_once_and_the_controller_never(scenario_file, tmp_path):
    study = open_study(scenario_file(control=TANGENT), steps=2)
    execute(study, tmp_path / "run", over="helics", overwrite=False, progress=nothing)
    logs = {path.stem: path.read_text() for path in (tmp_path / "run" / "logs").glob("*.log")}
    assert {name: text.count("compiles") for name, text in logs.items()} == {
        "broker": 0, "feeder": 1, "controller": 0, "recorder": 0,
    }  # fmt: skip


@pytest.mark.usefixtures("importable_tests")
def test_the_process_of_a_controller_loads_no_simulator(scenario_file, tmp_path):
    path = scenario_file(control={"type": "tests.controllers:FrugalController"})
    execute(open_study(path), tmp_path / "run", over="helics", overwrite=False, progress=nothing)


def test_a_controller_with_a_planner_loads_no_simulator(scenario_file):
    """The knowledge of a real feeder, sent as text to a process that plans with it."""
    study = open_study(scenario_file(control=TANGENT), steps=1)
    with Assembly(study) as assembly:
        text = knowledge_to_text(assembly.knowledge)
    program = (
        "import sys\n"
        "import federates.controller\n"
        "from cosim.run.policy import make_controller\n"
        "assert not {'dss', 'opendssdirect', 'cosim.feeder.engine'} & set(sys.modules), 'loaded'\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    assert len(text) > 1000


def test_reading_a_twin_leaves_the_run_as_it_is(scenario_file):
    """Both drivers give the same record only if the knowledge can be made before step 0 or not."""
    path = scenario_file(control=TANGENT)
    voltages = []
    for needs in ((), ("twin", "network")):
        with Assembly(open_study(path, steps=3).without_control(), needs) as assembly:
            assert (assembly.knowledge.twin is None) == (not needs)
            run: list[np.ndarray] = []
            run_loop(
                assembly.plant,
                assembly.controller,
                lambda record, run=run: run.append(record.outcome.result.voltage_pu),
            )
            voltages.append(np.array(run))
    assert np.array_equal(voltages[0], voltages[1])


def test_knowledge_survives_the_wire_to_the_last_bit(scenario_file):
    study = open_study(scenario_file(control=TANGENT | {"forecast": "perfect"}), steps=2)
    with Assembly(study) as assembly:
        sent = assembly.knowledge
        received = text_to_knowledge(knowledge_to_text(sent), sent.site)
    assert received.truth is not None
    assert sent.truth is not None
    assert np.array_equal(received.truth.profile, sent.truth.profile)
    ours, theirs = sent.twin.data, received.twin.data
    assert (ours.admittance != theirs.admittance).nnz == 0
    assert np.array_equal(ours.voltage, theirs.voltage)
    assert ours.node_names == theirs.node_names
    assert sent.twin.controls.present == received.twin.controls.present
    assert [c.name for c in sent.twin.controls.regulators] == [
        c.name for c in received.twin.controls.regulators
    ]


def test_a_twin_of_another_feeder_is_refused(scenario_file):
    with Assembly(open_study(scenario_file(control=TANGENT), steps=1)) as assembly:
        knowledge = assembly.knowledge
    other = replace(knowledge.site, nodes=knowledge.site.nodes[::-1])
    with pytest.raises(FeederError, match="twin and site must come from one feeder"):
        replace(knowledge, site=other).open_twin()


def test_what_nobody_needs_is_not_made(scenario_file):
    with Assembly(open_study(scenario_file(control=TANGENT), steps=1)) as assembly:
        assert assembly.site.network is None
        assert assembly.site.no_network_reason == "nobody asked for it"
    scenario = small_scenario(control={"horizon_s": 3600, "forecast": "persistence"})
    with Assembly(open_study(scenario_file(**scenario), steps=1)) as assembly:
        assert assembly.site.network is not None
        assert assembly.knowledge.twin is None
        assert assembly.knowledge.truth is None
