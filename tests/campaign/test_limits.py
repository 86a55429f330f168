"""``accept`` of a campaign: absolute, against another variant seed by seed, for a share of the seeds."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pandas as pd
import pytest
import yaml
from pydantic import ValidationError

from cosim.experiments.campaign.limits import CampaignLimit, limit_outcomes
from cosim.experiments.campaign.verdicts import verdict_rows
from cosim.report.junit import write_junit_campaign
from tests.command import cosim

COLUMNS = ("planner", "forecast")


def table_of(**costs):
    """One complete run per variant and seed; names are ``planner_forecast``."""
    rows = []
    for name, values in costs.items():
        planner, forecast = name.split("_")
        rows += [
            {
                "variant": f"{planner}, {forecast}", "planner": planner, "forecast": forecast, "seed": seed,
                "status": "complete", "sound": True, "accepted": None, "rejected_for": None,
                "adjusted_cost_currency": value,
            }
            for seed, value in enumerate(values)
        ]  # fmt: skip
    return pd.DataFrame(rows)


def limit(text):
    return CampaignLimit.model_validate(text)


def test_a_limit_is_written_as_a_sentence():
    found = limit("adjusted_cost <= 1.05 * planner=oracle in 95 % of seeds")
    assert (found.figure, found.number, found.times, found.share) == (
        "adjusted_cost", 1.05, {"planner": "oracle"}, 0.95,
    )  # fmt: skip
    assert limit(str(found)) == found
    assert limit("violation_node_h <= 0").share == 1.0
    with pytest.raises(ValidationError, match="is no limit; write METRIC"):
        limit("adjusted_cost is small")


def test_a_share_of_the_seeds_is_enough():
    table = table_of(tangent_perfect=[1.0, 1.0, 1.0, 9.0])
    (strict,) = limit_outcomes([limit("adjusted_cost <= 2")], table, COLUMNS)
    assert (strict.kept, strict.seeds, strict.passed) == (3, 4, False)
    assert (strict.value, strict.bound, strict.seed) == (9.0, 2.0, 3)
    (loose,) = limit_outcomes([limit("adjusted_cost <= 2 in 75 %")], table, COLUMNS)
    assert loose.passed
    (just,) = limit_outcomes([limit("adjusted_cost <= 2 in 76 %")], table, COLUMNS)
    assert not just.passed


def test_a_variant_is_compared_seed_by_seed_with_the_one_that_is_alike_otherwise():
    table = table_of(
        oracle_perfect=[10.0, 20.0], tangent_perfect=[10.4, 21.0], oracle_noisy=[10.0, 40.0],
        tangent_noisy=[10.6, 41.0],
    )  # fmt: skip
    found = {
        outcome.variant: outcome
        for outcome in limit_outcomes([limit("adjusted_cost <= 1.05 * planner=oracle")], table, COLUMNS)
    }
    # The reference itself is not judged.
    assert set(found) == {"tangent, perfect", "tangent, noisy"}
    assert found["tangent, perfect"].passed
    noisy = found["tangent, noisy"]
    assert (noisy.kept, noisy.value, noisy.bound, noisy.seed) == (1, 10.6, 10.5, 0)
    tolerant = limit(
        {"figure": "adjusted_cost", "number": 1.05, "times": {"planner": "oracle"}, "tolerance": 0.2}
    )
    assert all(outcome.passed for outcome in limit_outcomes([tolerant], table, COLUMNS))


def test_the_only_variant_of_its_kind_serves_all_and_none_is_said():
    table = table_of(idle_perfect=[5.0], tangent_perfect=[4.0], tangent_noisy=[6.0])
    found = limit_outcomes([limit("adjusted_cost <= 1 * planner=idle")], table, COLUMNS)
    assert [(one.variant, one.passed) for one in found] == [
        ("tangent, perfect", True),
        ("tangent, noisy", False),
    ]
    missing = limit_outcomes([limit("adjusted_cost <= 1 * planner=oracle")], table, COLUMNS)
    assert not any(one.passed for one in missing)
    assert "no counterpart" in missing[0].sentence


def test_a_verdict_and_a_case_for_each_limit(tmp_path):
    table = table_of(tangent_perfect=[1.0, 3.0], idle_perfect=[1.0, 1.0])
    outcomes = limit_outcomes([limit("adjusted_cost <= 2")], table, COLUMNS)
    verdict = verdict_rows(table, 4, outcomes)[-1]
    assert (verdict.rule, verdict.state, verdict.accepts) == ("adjusted_cost <= 2", "fail", True)
    assert verdict.found.startswith("1 of 2 variants keep it. tangent, perfect: 1 of 2 seeds; worst")
    file = tmp_path / "junit.xml"
    write_junit_campaign(file, "c", verdict_rows(table, 4, outcomes), outcomes, {"x, seed 1": "died"}, 1.5)
    suite = ET.parse(file).getroot()[0]
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("5", "1", "1")
    failure = suite.find("testcase[@name='tangent, perfect: adjusted_cost <= 2']/failure")
    assert "metric adjusted_cost, value 3.0, bound 2.0" in failure.text


def test_the_command_ends_by_it_and_writes_the_file(tmp_path):
    data = {
        "schema": 1, "name": "small", "scenario": "ieee13", "steps": 2, "settings": {"control.type": "idle"},
        "axes": [{"kind": "grid", "keys": {"control.seed": [1]}}], "accept": ["steps >= 3 in 50 % of seeds"],
    }  # fmt: skip
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(data), encoding="utf-8")
    ended = cosim(
        "campaign",
        tmp_path / "c.yaml",
        "--out",
        tmp_path / "out",
        "--workers",
        "1",
        "--junit",
        tmp_path / "j.xml",
    )
    assert ended.code == 3, ended.said
    assert "control.seed 1: 0 of 1 seeds; worst steps 2 against 3" in " ".join(ended.said.split())
    assert ET.parse(tmp_path / "j.xml").getroot()[0].get("failures") == "1"
