"""Plans, replays, studies and feeders from the command line, as a user types them."""

from __future__ import annotations

import json

import pytest
import yaml

from cosim.run.execute import execute
from cosim.run.record import read_record
from cosim.run.shipped import find_scenario, shipped
from cosim.run.study import open_study
from tests.command import cosim


def test_plan_and_replay(tmp_path):
    made = cosim("plan", "ads10_1ph", "--planner", "branch_flow_nl", "--out", "plan.json", folder=tmp_path)
    assert made.code == 0, made.err
    assert "locally optimal" in made.out
    done = cosim("replay", "plan.json", "--html", "r.html", "--json", "r.json", folder=tmp_path)
    assert done.code == 0, done.err
    figures = json.loads((tmp_path / "r.json").read_text())
    assert figures["max_voltage_error_pu"] < 1e-8
    assert "plotly" in (tmp_path / "r.html").read_text()[:100_000].lower()


def test_a_plan_can_be_replayed_elsewhere_only_where_it_fits(tmp_path):
    assert cosim("plan", "ads10_1ph", folder=tmp_path).code == 0
    wrong = cosim("replay", "plan.json", "--scenario", "ieee123_1ph", folder=tmp_path)
    assert wrong.code == 1
    assert "replay a plan on the feeder it was made for" in wrong.err
    (tmp_path / "other.json").write_text("{}")
    nothing = cosim("replay", "other.json", folder=tmp_path)
    assert nothing.code == 1
    assert "is no plan; make one with: cosim plan" in nothing.err


def test_an_unsupported_formulation_is_refused_before_anything_runs(tmp_path):
    scenario = yaml.safe_load((shipped("configs") / "ieee13.yaml").read_text())
    scenario["control"]["planner"] = {"type": "branch_flow_soc"}
    for kind in ("load", "irradiance", "price"):
        column = scenario["inputs"][kind]
        column = column["multiplier"] if kind == "load" else column
        column["file"] = str(shipped("configs") / column["file"])
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(scenario))
    refused = cosim("run", "s.yaml", "--over", "local", folder=tmp_path)
    assert refused.code == 2
    assert "Use planner lindistflow, or make the single-phase equivalent" in refused.err
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("systems", "compared"),
    [
        (("ads10_1ph",), 12),
        # The costs of the larger system are in tests/opf/test_formulations.py.
        pytest.param(("ads10_1ph", "ieee123_1ph"), 25, marks=pytest.mark.slow),
    ],
)
def test_the_reference_study_reproduces_what_is_published(tmp_path, systems, compared):
    chosen = [word for system in systems for word in ("--system", system)]
    done = cosim("study", "reference", *chosen, "--json", "reference.json", folder=tmp_path)
    assert done.code == 0, done.said
    lines = json.loads((tmp_path / "reference.json").read_text())
    assert {line["system"] for line in lines} == set(systems)
    assert not [line for line in lines if line["verdict"] == "differs"]
    assert sum(line["verdict"] == "ok" for line in lines) >= compared


def test_a_system_of_which_nothing_is_published_is_refused(tmp_path):
    done = cosim("study", "reference", "--system", "ieee13", folder=tmp_path)
    assert done.code == 2
    assert "choose ads10_1ph or ieee123_1ph" in " ".join(done.said.split())


def test_a_synthetic_feeder_and_an_equivalent_can_be_planned_on(tmp_path):
    scenario = yaml.safe_load((shipped("configs") / "ads10_1ph.yaml").read_text())
    for kind in ("load", "irradiance", "price"):
        column = scenario["inputs"][kind]
        column = column["multiplier"] if kind == "load" else column
        column["file"] = str(shipped("configs") / column["file"])
    master = shipped("dss_models") / "ieee13" / "master.dss"
    for arguments in (("synthetic", "--buses", "20"), ("balanced", master)):
        assert cosim("feeder", *arguments, "--out", "model", folder=tmp_path).code == 0
        scenario["feeder"] = {"master": "model/master.dss", "storage_soc_max": 0.95}
        (tmp_path / "s.yaml").write_text(yaml.safe_dump(scenario))
        planned = cosim("plan", "s.yaml", folder=tmp_path)
        assert planned.code == 0, planned.err
        assert "globally optimal" in planned.out


@pytest.mark.parametrize("command", ["plan", "replay", "study", "feeder"])
def test_help_teaches(command, tmp_path):
    assert cosim(command, "--help", folder=tmp_path).code == 0


@pytest.mark.parametrize("planner", ["lindistflow", "branch_flow_soc", "branch_flow_nl", "copper_plate"])
def test_every_formulation_closes_the_loop(planner, tmp_path):
    study = open_study(find_scenario("ads10_1ph"), steps=3)
    study = study.with_planner(study.scenario.control.planner.model_copy(update={"type": planner}))
    execute(study, tmp_path / "run", over="local", overwrite=False, progress=lambda _done: None)
    steps = read_record(tmp_path / "run").steps
    assert steps.source.eq("PLAN").all()
    assert steps.plan_planner.eq(planner).all()
    if planner == "branch_flow_soc":
        assert steps.plan_claim.eq("globally optimal").all()
    if planner.startswith("branch_flow"):
        # The model is exact: what the plan says of the next step is what happens.
        for promised, actual in zip(steps.plan_import_kw, steps.import_kw, strict=True):
            assert promised[0] == pytest.approx(actual, abs=1e-4)
