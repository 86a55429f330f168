"""Score and regret: anchors by hand, and the law that nothing beats the oracle."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

import cosim as package
from cosim.experiments.run_metrics import run_metrics
from cosim.experiments.score import cost_of, score_of, scores_of
from tests.command import cosim
from tests.report.records import record_of, step

RULES = {
    "time_of_use": {},
    "peak_shaving": {"limit_kw": 2500, "recharge_below_kw": 1500},
    "self_consumption": {},
    "volt_var_watt": {"schedule": {}},
    "day_ahead": {},
    "decentralised": {},
    "feedback_optimisation": {"import_max_kw": 2500},
    "receding_horizon": {},
    "idle": {},
}
WITHIN = 1e-6
"""Currency; solvers and power flows stop at a tolerance."""


def costing(adjusted_cost, peak_import_kw=0.0):
    measured = run_metrics(record_of([step(k) for k in range(3)]))
    return replace(measured, adjusted_cost=adjusted_cost, peak_import_kw=peak_import_kw)


@pytest.mark.parametrize(
    ("cost", "score", "regret"), [(60, 100, 0), (100, 0, 40), (80, 50, 20), (120, -50, 60), (50, 125, -10)]
)
def test_the_anchors_are_100_and_0(cost, score, regret):
    found = score_of(costing(cost), costing(100), costing(60), {})
    assert (found.score, found.regret, found.regret_share) == pytest.approx((score, regret, regret / 60))


def test_the_demand_charge_is_part_of_the_cost():
    facts = {"demand_charge_per_kw": 2.0}
    assert cost_of(costing(10, 5.0), facts) == 20
    assert cost_of(costing(10, -5.0), facts) == 10
    assert score_of(costing(10, 5), costing(10, 10), costing(10, 0), facts).score == pytest.approx(50)


def test_where_there_is_nothing_to_gain_or_no_anchor_there_is_no_score():
    assert score_of(costing(5), costing(5), costing(5), {}).score is None
    found = score_of(costing(7), None, costing(5), {})
    assert (found.score, found.regret) == (None, 2)


def test_runs_of_another_world_are_no_anchor():
    rows = [step(k) for k in range(3)]
    run = record_of(rows, sha256={"feeder": "a", "inputs": {}})
    bound = record_of(rows, sha256={"feeder": "a", "inputs": {}}, bound=True)
    other = record_of(rows, sha256={"feeder": "b", "inputs": {}}, bound=True)
    shorter = record_of(rows[:2], sha256={"feeder": "a", "inputs": {}}, bound=True)
    assert scores_of([(run, None)], [other]) == [None]
    assert scores_of([(run, None)], [shorter]) == [None]
    assert scores_of([(run, None)], [None]) == [None]
    assert [score.regret for score in scores_of([(run, None), (bound, None)], [])] == [0, 0]


@pytest.mark.parametrize("name", ["ads10_1ph", pytest.param("ieee13", marks=pytest.mark.slow)])
def test_no_controller_beats_the_oracle(name, tmp_path):
    study = package.load(name).without_baseline()
    oracle = study.with_controller("oracle").run(tmp_path / "oracle")
    assert oracle.figures.run.violation_node_h == 0
    assert set(oracle.record.steps["source"]) == {"PLAN"}
    least = oracle.figures.run.adjusted_cost
    # What it planned is what it cost.
    assert oracle.record.steps["plan_objective"].iloc[0] == pytest.approx(least, rel=1e-7)
    informed = {"control.forecast": "perfect", "control.horizon_s": 86_400}
    runs = [
        study.with_settings({**informed, "control.type": rule, "control.options": options}).run(
            tmp_path / rule
        )
        for rule, options in RULES.items()
    ]
    costs = {run.folder.name: run.figures.run.adjusted_cost for run in runs}
    assert {rule: cost for rule, cost in costs.items() if cost < least - WITHIN} == {}
    table = oracle.compare(*runs)
    scores = table.loc["Score (100 oracle, 0 no control)"].drop("unit").astype(float)
    assert (scores["oracle"], scores["idle"]) == pytest.approx((100, 0))
    assert scores.drop("oracle").max() < 100
    assert table.loc["Cost above that of the oracle", "idle"] == pytest.approx(costs["idle"] - least)


def test_a_run_with_the_oracle_beside_it_has_its_score_on_paper(tmp_path):
    run = tmp_path / "run"
    common = ("run", "ieee13", "--steps", "6", "--set", "control.type=time_of_use", "--over", "local")
    ended = cosim(*common, "--out", run, "--oracle")
    assert ended.code == 0, ended.said
    score = json.loads((run / "metrics.json").read_text())["score"]
    assert score["regret"] == pytest.approx(score["cost"] - score["cost_bound"])
    assert score["regret"] > 0
    assert score["score"] < 100
    assert f"score {score['score']:.1f}" in ended.said
    assert json.loads((run / "oracle" / "manifest.json").read_text())["bound"] is True
    ended = cosim("compare", run, run / "baseline")
    assert ended.code == 0
    assert "Score (100 oracle, 0 no control)" in ended.said
    # Again in the same folder: what the first run left is replaced.
    ended = cosim(*common, "--out", run, "--overwrite", "--no-baseline")
    assert ended.code == 0, ended.said
    assert json.loads((run / "metrics.json").read_text())["score"] is None
