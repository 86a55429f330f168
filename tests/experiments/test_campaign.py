"""A small gap campaign: kept case by case, resumed, stopped by its limits, refused when wrong."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from cosim.errors import ScenarioError
from cosim.experiments.campaign.pool import PoolOptions
from cosim.experiments.executor import ROWS
from cosim.experiments.gap_campaign import cases_of, load_campaign, read_rows, run_campaign
from cosim.experiments.gap_case import run_case
from cosim.opf.dispatch_planner import DispatchPlanner
from cosim.run.shipped import shipped
from tests.command import cosim

SHIPPED = shipped("configs") / "studies" / "optimality_gap.yaml"


def campaign_of(folder: Path, **changes):
    data = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
    block = {
        "name": "size",
        "buses": [10, 34],
        "seeds": [1],
        "periods": [12],
        "penetrations": ["reference"],
        "bands": ["wide"],
        "formulations": ["lindistflow_losses", "branch_flow_soc"],
    }
    path = folder / "campaign.yaml"
    path.write_text(yaml.safe_dump(data | {"blocks": [block]} | changes), encoding="utf-8")
    return load_campaign(path)


def quiet(done: int, total: int, key: str) -> None:
    pass


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """A campaign with its first two cases finished: its cases, its folder, the rows."""
    folder = tmp_path_factory.mktemp("begun")
    campaign = campaign_of(folder)
    cases = cases_of(campaign, folder)
    return campaign, cases, folder / "out", run_campaign(campaign, cases[:2], folder / "out", quiet)


def test_the_shipped_campaign_is_valid_and_its_cases_are_different():
    campaign = load_campaign(SHIPPED)
    cases = cases_of(campaign, SHIPPED.parent)
    assert len({case.key for case in cases}) == len(cases) > 200
    assert {case.buses for case in cases} >= {10, 34, 128, 500, 2500, 10_000}
    small = cases_of(campaign, SHIPPED.parent, small=True)
    assert 0 < len(small) <= 30
    assert max(case.buses for case in small) <= 128


def test_a_campaign_is_kept_and_resumed(begun, tmp_path):
    campaign, cases, finished, first = begun
    assert [row.claim for row in first] == ["optimal for its own model", "globally optimal"]
    out = shutil.copytree(finished, tmp_path / "out")
    kept = (out / ROWS).read_text()
    # A line that a crash cut short is done again, the finished ones are not.
    (out / ROWS).write_text(kept + '{"key": "synth')
    both = run_campaign(campaign, cases, out, quiet, PoolOptions(workers=2))
    assert [row.key for row in both] == [case.key for case in cases]
    assert len(both) == len(cases) == 4
    assert both[2].realised_cost == run_case(cases[2]).realised_cost
    assert (out / ROWS).read_text().startswith(kept)
    assert len(read_rows(out)) == 4


def test_a_small_gap_study_from_the_command_line(begun, tmp_path):
    """It is begun elsewhere; the command finishes it and draws."""
    _, _, finished, _ = begun
    shutil.copytree(finished, tmp_path / "gap")
    shutil.copy(finished.parent / "campaign.yaml", tmp_path / "c.yaml")
    done = cosim("study", "optimality-gap", "c.yaml", "--out", "gap", folder=tmp_path)
    assert done.code == 0, done.err
    assert "4 cases, 0 without a plan" in done.out
    assert (tmp_path / "gap" / ROWS).read_text().startswith((finished / ROWS).read_text())
    assert len(read_rows(tmp_path / "gap")) == 4
    made = {path.name for path in (tmp_path / "gap").iterdir()}
    assert {"cases.csv", "summary.md", "index.html", "gap.png", "seconds.png", "rows.jsonl"} <= made
    again = cosim("study", "optimality-gap", "c.yaml", "--out", "gap", "--redraw", folder=tmp_path)
    assert again.code == 0, again.err


def test_a_case_in_its_own_process_gives_the_same_as_here(begun):
    _, cases, _, (_, there) = begun
    here = run_case(cases[1])
    assert there.realised_cost == here.realised_cost
    assert there.optimality_gap == here.optimality_gap


def test_the_linear_model_that_prices_losses_is_near_the_certified_optimum(tmp_path):
    campaign = campaign_of(tmp_path)
    linear, certified = (run_case(case) for case in cases_of(campaign, tmp_path)[2:])
    assert certified.claim == "globally optimal"
    assert linear.realised_cost == pytest.approx(certified.realised_cost, rel=1e-5)
    assert certified.realised_cost == pytest.approx(certified.planned_cost, rel=1e-8)


def test_a_case_that_takes_too_long_is_stopped_and_larger_ones_are_not_tried(tmp_path):
    campaign = campaign_of(tmp_path, seconds=0.05)
    cases = [case for case in cases_of(campaign, tmp_path) if case.formulation == "branch_flow_soc"]
    small, large = run_campaign(campaign, cases, tmp_path / "out", quiet)
    assert small.status == "time limit of 0.05 s"
    assert large.status == "not tried: 10 buses met the time limit of 0.05 s"
    assert large.realised_cost is None


def test_a_case_that_needs_too_much_memory_is_stopped(tmp_path):
    campaign = campaign_of(tmp_path, memory_gib=0.7)
    case = replace(cases_of(campaign, tmp_path)[1], buses=5000, periods=24)
    (row,) = run_campaign(campaign, [case], tmp_path / "out", quiet)
    assert row.status == "memory limit of 0.7 GiB"


def test_the_tangent_planner_has_a_row_with_costs_and_a_size(tmp_path):
    planner = {"type": "tangent", "terminal": {"type": "hard"}}
    campaign = campaign_of(tmp_path)
    case = replace(cases_of(campaign, tmp_path)[0], formulation="tangent", planner=planner)
    row = run_case(case)
    # Both plans are for the same day; the linear one is within 1e-5 of the certified optimum (above).
    linear = run_case(cases_of(campaign, tmp_path)[0])
    assert row.realised_cost == pytest.approx(linear.realised_cost, rel=1e-3)
    assert row.realised_cost == pytest.approx(row.planned_cost, rel=1e-6)
    # 12 periods; 5 variables and 17 rows of every battery, 3 variables of every PV system, and slack.
    assert row.variables >= 12 * (5 * row.batteries + 3 * row.pvs)
    assert row.rows >= 12 * 17 * row.batteries


def test_a_planner_need_not_say_how_large_its_program_is(tmp_path, monkeypatch):
    case = cases_of(campaign_of(tmp_path), tmp_path)[0]
    monkeypatch.delattr(DispatchPlanner, "program_size")
    row = run_case(case)
    assert row.realised_cost is not None
    assert row.variables is row.rows is None


def test_a_campaign_with_unknown_names_is_refused(tmp_path):
    with pytest.raises(ScenarioError, match="no band is called 'narrow'; there are tight, tighter, wide"):
        campaign_of(
            tmp_path,
            blocks=[
                {
                    "name": "b",
                    "networks": ["ads10_1ph"],
                    "bands": ["narrow"],
                    "formulations": ["branch_flow_soc"],
                }
            ],
        )
