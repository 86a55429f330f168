"""The comparison of methods: its campaign files, the small one computed and shown, and arithmetic by hand."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import cattrs
import pytest
import yaml

from cosim.errors import RecordError, ScenarioError
from cosim.experiments.executor import ROWS
from cosim.experiments.gap_campaign import cases_of, load_campaign
from cosim.experiments.gap_case import run_case, stopped
from cosim.experiments.gap_instance import GapCase, Penetration, study_of_case
from cosim.report.methods.report import write_methods_report
from cosim.report.methods.tables import by_feeder, methods_table
from cosim.report.methods.text import gap_matrix, gap_text
from cosim.run.shipped import shipped
from tests.command import cosim

STUDIES = shipped("configs") / "studies"
PAGES = Path(__file__).parents[2] / "docs" / "formulations"


@pytest.fixture(scope="module")
def campaign():
    return load_campaign(STUDIES / "methods_small.yaml")


@pytest.fixture(scope="module")
def rows(campaign):
    """All cases of the small campaign, in this process."""
    return [run_case(case) for case in cases_of(campaign, STUDIES)]


def by_hand(formulation, cost=None, **changes):
    """A case on a synthetic network of 10 buses."""
    case = GapCase(
        "synthetic", 10, 1, 24, "reference", Penetration(0.2, 0.35, 0.3, 0.35), "wide", (0.95, 1.05),
        formulation, {},
    )  # fmt: skip
    row = stopped(case, "optimal")
    violation = None if cost is None else 0.0
    return replace(row, **{"realised_cost": cost, "worst_violation_pu": violation, **changes})


def cell(rows, formulation):
    listing = gap_matrix(by_feeder(methods_table(rows), []), {})
    return next(row[1] for row in listing.rows if row[0] == formulation)


# --- campaign files -------------------------------------------------------------------------------


def test_the_shipped_campaign_asks_every_method_on_every_published_feeder():
    campaign = load_campaign(STUDIES / "methods.yaml")
    cases = cases_of(campaign, STUDIES)
    assert len({case.key for case in cases}) == len(cases)
    for feeder in ("ads10_1ph", "ieee123_1ph", "ieee13", "ieee123"):
        asked = {case.formulation for case in cases if case.name == feeder}
        assert asked == set(campaign.formulations)
    assert {case.buses for case in cases if case.name == "synthetic"} == {34, 500, 2500}


def test_every_method_of_the_shipped_campaign_is_described():
    campaign = load_campaign(STUDIES / "methods.yaml")
    assert list(campaign.methods) == list(campaign.formulations)
    assert [one.page for one in campaign.methods.values() if not (PAGES / f"{one.page}.md").is_file()] == []


def test_only_planners_with_random_numbers_get_several_seeds():
    campaign = load_campaign(STUDIES / "methods.yaml")
    here = [case for case in cases_of(campaign, STUDIES) if case.name == "ieee13"]
    seeds = {
        name: [c.planner_seed for c in here if c.formulation == name] for name in campaign.formulations
    }
    assert seeds["tangent"] == seeds["branch_flow_soc"] == [1]
    assert seeds["nsga2"] == seeds["regression"] == [1, 2, 3]


def test_an_unknown_scenario_is_refused_with_those_that_ship(tmp_path):
    data = yaml.safe_load((STUDIES / "methods_small.yaml").read_text(encoding="utf-8"))
    data["blocks"][0]["scenarios"] = ["ieee14"]
    path = tmp_path / "c.yaml"
    path.write_text(yaml.safe_dump(data), encoding="utf-8")
    with pytest.raises(ScenarioError, match=r"(?s)ieee14.*shipped scenario; there are .*ieee13"):
        cases_of(load_campaign(path), tmp_path)


def test_later_fields_at_their_defaults_leave_earlier_fingerprints_alone():
    case = GapCase("ads10_1ph", 0, 0, 12, "own", None, "wide", (0.95, 1.05), "lindistflow", {"type": "x"})
    earlier = {
        "network": "ads10_1ph", "buses": 0, "seed": 0, "periods": 12, "penetration": "own", "der": None,
        "band": "wide", "limits_pu": [0.95, 1.05], "formulation": "lindistflow", "planner": {"type": "x"},
    }  # fmt: skip
    text = json.dumps(earlier, sort_keys=True)
    assert case.fingerprint == hashlib.sha256(text.encode()).hexdigest()[:16]
    assert replace(case, planner_seed=1).fingerprint != case.fingerprint
    assert replace(case, planner_seed=1).key != case.key


def test_a_case_on_a_scenario_plans_hours_of_its_devices_without_idling_losses(campaign, tmp_path):
    case = next(case for case in cases_of(campaign, STUDIES) if case.scenario)
    study = study_of_case(case, tmp_path)
    assert study.scenario.time.step_s == 3600
    assert len(study.horizon) == case.periods == 6
    assert [storage.name for storage in study.scenario.storages] == [
        "bess_675", "bess_671", "bess_611", "bess_645",
    ]  # fmt: skip
    assert {storage.idling_kw for storage in study.scenario.storages} == {0.0}
    assert study.scenario.control.planner.terminal.type == "hard"


# --- the small study ------------------------------------------------------------------------------


def test_the_cones_refuse_the_unbalanced_feeder_by_name(rows):
    row = next(row for row in rows if row.network == "ieee13" and row.formulation == "branch_flow_soc")
    assert row.realised_cost is None
    assert row.status.startswith("refused")
    assert "branch_flow_soc" in row.status


def test_all_others_plan_and_end_with_the_energy_they_began_with(rows):
    planned = [row for row in rows if row.realised_cost is not None]
    assert len(planned) == len(rows) - 1 == 7
    for row in planned:
        assert row.stored_error_kwh < 1e-3, row.key
        assert row.cut_setpoints == 0, row.key


def test_no_method_is_cheaper_than_the_certified_optimum_and_tangent_reaches_it(rows):
    table = methods_table(rows)
    here = table[table["network"] == "ads10_1ph"].set_index("formulation")
    assert set(here["reference"]) == {"branch_flow_soc"}
    # Inverters of the swarm have circles, those of the programs polygons inside them.
    assert here["realised_gap_percent"].min() > -1e-3
    assert abs(here.loc["tangent", "realised_gap_percent"]) < 1e-3


def test_the_history_of_the_swarm_falls_to_its_own_plan(rows):
    for row in (row for row in rows if row.formulation == "particle_swarm"):
        assert row.evaluations == 400
        assert list(row.history_s) == sorted(row.history_s)
        assert list(row.history_violation) == sorted(row.history_violation, reverse=True)
        assert row.history_cost[-1] == pytest.approx(row.objective, rel=1e-6)


def test_the_report_of_the_small_study_from_the_command_line(rows, tmp_path):
    out = tmp_path / "methods"
    out.mkdir()
    lines = [json.dumps(cattrs.unstructure(row)) + "\n" for row in rows]
    (out / ROWS).write_text("".join(lines), encoding="utf-8")
    done = cosim("study", "methods", "--small", "--redraw", "--out", "methods", folder=tmp_path)
    assert done.code == 0, done.err
    assert "8 cases, 1 without a plan" in done.out
    for name in ("price.png", "anytime.png", "size.png"):
        assert (out / name).read_bytes().startswith(b"\x89PNG")
    summary = (out / "summary.md").read_text(encoding="utf-8")
    assert (out / "overview.md").read_text(encoding="utf-8") in summary
    assert "| Branch flow, cones | 0 | refused |" in summary
    assert "## ieee13, 6 h, 38 nodes" in summary


# --- arithmetic -----------------------------------------------------------------------------------


def test_seconds_to_a_gap_are_those_of_the_history_of_a_search():
    swarm = by_hand(
        "particle_swarm", 100.05, objective=200.05, cpu_s=9.0, history_s=(1.0, 2.0, 3.0, 4.0),
        history_cost=(200.5, 201.5, 200.9, 200.05), history_violation=(0.2, 0.0, 0.0, 0.0),
    )  # fmt: skip
    exact = by_hand("branch_flow_nl", 100.0, objective=200.0, cpu_s=0.5)
    table = methods_table([swarm, exact]).set_index("formulation")
    columns = ["to_feasible_s", "to_1_percent_s", "to_01_percent_s"]
    assert table.loc["particle_swarm", columns].tolist() == [2.0, 3.0, 4.0]
    assert table.loc["branch_flow_nl", columns].tolist() == [0.5, 0.5, 0.5]


def test_a_plan_that_leaves_its_limits_never_arrives_and_is_marked():
    exact = by_hand("branch_flow_nl", 100.0, objective=100.0, cpu_s=0.5)
    outside = by_hand("lindistflow", 100.5, objective=100.5, cpu_s=0.1, worst_violation_pu=2e-3)
    table = methods_table([exact, outside]).set_index("formulation")
    assert table.loc["lindistflow", ["to_feasible_s", "to_1_percent_s"]].isna().all()
    assert cell([exact, outside], "lindistflow") == "0.5 !"
    assert cell([exact, outside], "branch_flow_nl") == "0"


def test_the_median_over_seeds_counts_only_where_all_seeds_arrive():
    exact = by_hand("branch_flow_nl", 100.0, objective=100.0, cpu_s=0.5)
    seeds = [
        by_hand("taylor", cost, objective=cost, cpu_s=cpu_s, key=f"k{cost}")
        for cost, cpu_s in ((100.02, 1.0), (100.04, 3.0), (100.5, 5.0))
    ]
    summary = by_feeder(methods_table([exact, *seeds]), []).set_index("formulation")
    assert summary.loc["taylor", "gap_percent"] == pytest.approx(0.04)
    assert summary.loc["taylor", "to_1_percent_s"] == 3.0
    assert summary["to_01_percent_s"].isna()["taylor"]


@pytest.mark.parametrize(
    ("status", "shown"),
    [
        ("refused: planner x needs y", "refused"),
        ("time limit of 300 s", "time limit"),
        ("not tried: 500 buses met the time limit of 300 s", "not tried"),
        ("no plan, infeasible: the program is infeasible", "no plan"),
        ("failed: Segmentation fault", "failed"),
    ],
)
def test_a_method_without_a_plan_shows_why(status, shown):
    assert cell([by_hand("enapp", status=status)], "enapp") == shown


def test_without_any_reference_there_is_no_gap():
    assert gap_text(float("nan")) == cell([by_hand("lindistflow", 100.0, cpu_s=1.0)], "lindistflow")


def test_nothing_to_report_is_an_error(campaign, tmp_path):
    with pytest.raises(RecordError, match="no finished case"):
        write_methods_report([], tmp_path, campaign)
