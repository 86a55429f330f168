"""``accept``: how a limit is written, what check says, what a run makes of it."""

from __future__ import annotations

import json
from xml.etree import ElementTree as ET

import pytest
from pydantic import ValidationError

import cosim as package
from cosim.experiments.acceptance import Figure, accept_outcomes
from cosim.experiments.metrics import measure_report
from cosim.report.junit import write_junit
from cosim.report.verdict_text import headline
from cosim.run.accept import AcceptLimit
from tests.command import cosim
from tests.report.records import calm, record_of, step

QUICK = {"control": {"type": "time_of_use", "horizon_s": 3600}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("violation_node_h <= 0", ("violation_node_h", "<=", 0.0, False)),
        ("energy_cost<=1.05*baseline", ("energy_cost", "<=", 1.05, True)),
        ("  adjusted_cost  <  -1.5e3 * baseline ", ("adjusted_cost", "<", -1500.0, True)),
        ("lowest_pu >= .95", ("lowest_pu", ">=", 0.95, False)),
    ],
)
def test_a_limit_as_a_short_text(text, expected):
    limit = AcceptLimit.model_validate(text)
    assert (limit.metric, limit.sign, limit.number, limit.times_baseline) == expected
    assert AcceptLimit.model_validate(str(limit)) == limit
    assert AcceptLimit.model_validate(limit.model_dump()) == limit


@pytest.mark.parametrize(
    "text",
    [
        "energy_cost",
        "energy_cost <= ",
        "energy_cost = 3",
        "energy_cost == 3",
        "energy_cost <= 3 kW",
        "energy_cost <= baseline",
        "energy_cost <= baseline * 2",
        "3 >= energy_cost",
        "energy_cost <= 3 or 1",
        "energy_cost <= nan",
        "energy_cost <= 1e999",
        "Energy <= 1",
        "energy_cost <= 1 +baseline",
    ],
)
def test_whatever_else_is_refused(text):
    with pytest.raises(ValidationError):
        AcceptLimit.model_validate(text)


def test_check_names_the_nearest_metrics_and_the_line(scenario_file):
    limits = ["violation_node_hours <= 0", "energy_cost <= 1.05 * baseline"]
    ended = cosim("check", scenario_file(accept=limits, baseline=False, **QUICK))
    assert ended.code == 2
    assert (
        "accept.0: no metric is called 'violation_node_hours'; did you mean violation_node_h" in ended.said
    )
    assert "accept.1: energy_cost <= 1.05 * baseline: there is no run without control" in ended.said
    assert "line 2, accept.0" in ended.said
    ended = cosim("check", scenario_file(accept=["energy_cost < = 3"], **QUICK))
    assert ended.code == 2
    assert "'energy_cost < = 3' is no limit; write METRIC <= NUMBER" in ended.said


def test_outcomes_by_hand():
    figures = {"a": Figure(2.0, 4.0, "kW"), "b": Figure(None, 1.0, ""), "c": Figure(1.0, None, "")}

    def outcome(text):
        return accept_outcomes([AcceptLimit.model_validate(text).model_dump()], figures)[0]

    assert outcome("a <= 2").kept
    assert not outcome("a < 2").kept
    assert (outcome("a >= 0.5 * baseline").bound, outcome("a >= 0.5 * baseline").kept) == (2.0, True)
    assert not outcome("a > 0.5 * baseline").kept
    assert (outcome("b <= 9").kept, outcome("b <= 9").reason) == (False, "the run has no such figure")
    assert "without control" in outcome("c <= 9 * baseline").reason
    assert outcome("d <= 9").reason == "no such metric is installed"


def test_a_tolerance_widens_the_bound_on_its_own_side():
    figures = {"a": Figure(2.0, None, "kW")}
    for sign, number, kept in (
        ("<=", 1.9, True),
        ("<=", 1.8, False),
        (">=", 2.1, True),
        (">=", 2.2, False),
    ):
        limit = AcceptLimit(metric="a", sign=sign, number=number, tolerance=0.125)
        (outcome,) = accept_outcomes([limit.model_dump()], figures)
        assert (outcome.kept, outcome.limit, outcome.bound) == (kept, str(limit), number)
    # Scenarios without one keep their text, and so their hash.
    assert "tolerance" not in AcceptLimit.model_validate("a <= 2").model_dump()


def accepting(rows, *texts):
    return record_of(rows, accept=[AcceptLimit.model_validate(text).model_dump() for text in texts])


def test_what_a_scenario_accepts_decides_the_head_of_the_report():
    broken = [step(k) for k in range(3)]
    assert measure_report(record_of(broken), None).verdict.judgement == "fail"
    report = measure_report(accepting(broken, "violation_node_h <= 1"), None)
    assert (report.verdict.judgement, report.verdict.rejected) == ("pass", False)
    assert headline(report).word == "ACCEPTED"
    kept = [calm(k) for k in range(3)]
    report = measure_report(accepting(kept, "violation_node_h <= 0", "peak_import_kw < 10"), None)
    assert (report.verdict.judgement, report.verdict.rejected) == ("fail", True)
    banner = headline(report)
    assert banner.headline == "1 of 2 limits: peak_import_kw."
    assert "peak_import_kw < 10: not kept, 10\N{NO-BREAK SPACE}kW; bound 10" in banner.details[1]
    report = measure_report(accepting(kept[:2], "violation_node_h <= 0"), None)
    assert report.verdict.judgement == "not judged"


def test_exit_code_3_and_the_outcome_on_paper(scenario_file, tmp_path):
    limits = ["violation_node_h <= 1e6", "peak_import_kw <= 0.5 * baseline"]
    run, xml = tmp_path / "run", tmp_path / "junit.xml"
    ended = cosim(
        "run", scenario_file(accept=limits, **QUICK), "--over", "local", "--out", run, "--junit", xml,
        "--steps", "2",
    )  # fmt: skip
    assert ended.code == 3, ended.said
    assert "NOT ACCEPTED" in ended.said
    metrics = json.loads((run / "metrics.json").read_text())
    kept, broken = metrics["verdict"]["accepted"]
    assert (kept["kept"], broken["kept"]) == (True, False)
    peak = metrics["metrics"]["peak_import_kw"]
    assert broken["value"] == peak["run"] > broken["bound"] == 0.5 * peak["baseline"]
    assert "NOT ACCEPTED" in (run / "report.html").read_text()
    suite = ET.parse(xml).getroot().find("testsuite")
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("3", "1", "0")
    failed = [case for case in suite.findall("testcase") if case.find("failure") is not None]
    assert [case.get("name") for case in failed] == ["peak_import_kw <= 0.5 * baseline"]
    said = failed[0].find("failure").text
    assert f"scenario small, metric peak_import_kw, value {broken['value']!r}" in said
    assert f"bound {broken['bound']!r}" in said


def test_exit_code_0_where_all_is_kept_and_1_where_the_run_fails(scenario_file, tmp_path):
    limits = ["violation_node_h <= 1e6"]
    xml = tmp_path / "junit.xml"
    common = ("--over", "local", "--steps", "4", "--no-baseline", "--junit", xml)
    ended = cosim("run", scenario_file(accept=limits, **QUICK), "--out", tmp_path / "a", *common)
    assert ended.code == 0, ended.said
    broken = {"type": "tests.controllers:BrokenController"}
    ended = cosim("run", scenario_file(accept=limits, control=broken), "--out", tmp_path / "b", *common)
    assert ended.code == 1
    suite = ET.parse(xml).getroot().find("testsuite")
    assert suite.get("errors") == "1"
    assert suite.find("testcase/error").get("message")


def test_xml_holds_whatever_a_reason_holds(tmp_path):
    report = measure_report(record_of([calm(0)], status="aborted", reason='a < b & "c" \x07'), None)
    write_junit(tmp_path / "x.xml", report, 1.5)
    case = ET.parse(tmp_path / "x.xml").getroot().find("testsuite/testcase")
    assert case.find("error").get("message") == 'a < b & "c" '
    order = [part.tag for part in ET.parse(tmp_path / "x.xml").getroot().find("testsuite")]
    assert order == ["properties", "testcase"]


def test_a_metric_of_ones_own_is_a_function_of_a_run(scenario_file, tmp_path, monkeypatch):
    class Point:
        name, value = "night_import_kwh", "mine:night"

        def load(self):
            def night(run):
                """Import at night."""
                return float(run.steps["import_kw"].clip(lower=0).sum())

            night.unit = "kWh"
            return night

    from cosim import plugins

    installed = plugins.installed
    monkeypatch.setattr(
        plugins,
        "installed",
        lambda group: (*installed(group), Point()) if group == "cosim.metrics" else installed(group),
    )
    study = package.load(scenario_file(accept=["night_import_kwh <= 1 * baseline"], **QUICK), steps=2)
    assert study.check() == ()
    run = study.run(tmp_path / "run")
    figure = json.loads((tmp_path / "run" / "metrics.json").read_text())["metrics"]["night_import_kwh"]
    assert figure["unit"] == "kWh"
    assert figure["run"] == pytest.approx(run.steps["import_kw"].sum())
    assert figure["baseline"] > 0
    assert run.accepted == (figure["run"] <= figure["baseline"])
    assert run.metrics.loc["night_import_kwh"].tolist() == [figure["run"], figure["baseline"], "kWh"]
    assert "Metrics of your own" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
