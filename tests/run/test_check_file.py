"""``check`` shows all mistakes of a file in one round, and what a controller really answers."""

import yaml

from cosim.experiments.compared import read_compared
from cosim.experiments.metrics import measure_report
from cosim.run.assembly import Assembly
from cosim.run.check import check_file, check_study, rehearse
from cosim.run.execute import execute
from cosim.run.manifest import read_manifest
from cosim.run.study import open_study
from tests.conftest import shipped_master

SCENARIO = """schema: 1
name: mine
feeder: {model: ieee13}
time: {start: 2024-06-21T00:00:00-07:00, step_s: 3600, steps: 24, stepz: 3}
inputs:
  load: {multiplier: {file: a.csv, column: lod}}
  price: {constant: 0.1}
storages:
  - {name: a, bus: 675.1.2.3, kw: 100, kwh: 400, foo: 1}
  - {name: c, bus: 611.3, kw: -5, kwh: 400}
  - {name: b, bus: 6755.1, kw: 100, kwh: 400}
control:
  horizon_s: 14400
  planner: {type: lindistflo}
"""
SERIES = "time,load\n2024-06-21T00:00:00-07:00,1\n2024-06-21T00:30:00-07:00,1\n"


def test_all_mistakes_of_a_file_come_in_one_round_with_their_lines(tmp_path):
    (tmp_path / "s.yaml").write_text(SCENARIO)
    (tmp_path / "a.csv").write_text(SERIES)
    problems, assembly = check_file(tmp_path / "s.yaml", None, trusted=False)
    assert assembly is None
    text = "\n".join(problems)
    for sentence in (
        "line 4, time.stepz: unknown key; did you mean 'steps'?",
        "line 9, storages.0.foo: unknown key",
        "line 10, storages.1.kw: -5",
        "line 11, storages.2.bus: '6755' is no bus",
        "line 6, inputs.load.multiplier: a.csv has no column 'lod'; it has load; a.csv covers",
        "a.csv has a row every 1800 s, the steps are 3600 s",
        "line 14, control.planner.type: no planner 'lindistflo'; did you mean 'lindistflow'?",
    ):
        assert sentence in text
    assert len(problems) == 6


def test_a_file_of_which_nothing_can_be_made_still_names_its_mistakes(tmp_path):
    (tmp_path / "s.yaml").write_text("schema: 1\nname: mine\nfeeder: {model: ieee14}\ntime: {step_s: 1}\n")
    problems, assembly = check_file(tmp_path / "s.yaml", None, trusted=False)
    assert assembly is None
    assert any("time.start" in problem for problem in problems)


def _rehearsed(scenario_file, controller):
    study = open_study(scenario_file(control={"type": controller}))
    problems, assembly = check_study(study)
    assert problems == []
    with assembly:
        return rehearse(assembly)


def test_a_controller_that_cannot_decide_is_found_by_check(scenario_file):
    assert _rehearsed(scenario_file, "tests.controllers:EchoController") == []
    (missing,) = _rehearsed(scenario_file, "tests.api.broken_plugins:WithoutStep")
    assert missing.endswith("control.type: tests.api.broken_plugins:WithoutStep has no step")
    (wrong,) = _rehearsed(scenario_file, "tests.api.broken_plugins:ReturnsADict")
    assert "returned dict at step 0; 'step' must return a cosim.model.state.Decision" in wrong
    (raised,) = _rehearsed(scenario_file, "tests.api.broken_plugins:Raises")
    assert "failed at step 0: ZeroDivisionError" in raised


def test_a_part_without_voltage_is_said_in_site_manifest_and_verdict(scenario_file, tmp_path):
    master = tmp_path / "m.dss"
    master.write_text(
        f'redirect "{shipped_master("ieee13")}"\n'
        "new line.lost bus1=680x bus2=lost phases=3\nnew load.lost bus1=lost kv=4.16 kw=70\nsolve\n"
    )
    path = scenario_file()
    scenario = yaml.safe_load(path.read_text())
    scenario["feeder"] = {"master": str(master)}
    scenario["control"] = {"type": "idle"}
    path.write_text(yaml.safe_dump(scenario, sort_keys=False))
    study = open_study(path, steps=2).without_baseline()
    assembly = Assembly(study)
    sentence = assembly.site.unsupplied.sentence()
    assert sentence.startswith("6 nodes have no voltage (680x.1, 680x.2, 680x.3, lost.1, lost.2 ...)")
    assert "loads that draw nothing: lost, 70 kW; no open switch leads there" in sentence
    execute(
        study, tmp_path / "run", over="local", overwrite=False, progress=lambda _n: None, opened=assembly
    )
    assert read_manifest(tmp_path / "run")["unsupplied"] == sentence
    record, baseline, note = read_compared(tmp_path / "run")
    soundness = measure_report(record, baseline, baseline_note=note).verdict.soundness
    assert (soundness.unsupplied, soundness.sound) == (sentence, False)
