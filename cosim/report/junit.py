"""The outcome of a run or a campaign as JUnit XML, which continuous-integration systems show.

A suite is a run; one case says whether it is sound, and each limit under ``accept`` of the scenario is a
case of its own. Elements and attributes are those of the schema of the Jenkins xUnit plug-in
(``junit-10.xsd``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

from cosim.experiments.acceptance import AcceptOutcome
from cosim.experiments.campaign.limits import LimitOutcome
from cosim.experiments.campaign.verdicts import VerdictRow
from cosim.experiments.metrics import Report
from cosim.report.verdict_text import headline

RUN_CASE = "run"


def write_junit(path: Path, report: Report, wall_s: float) -> None:
    """Write the outcome of a run that came to its end, or of what there is of it.

    Args:
        path: of the file.
        report: figures of the run.
        wall_s: seconds that it took.
    """
    outcomes = report.verdict.accepted
    suite = _suite(report.name, 1 + len(outcomes), wall_s)
    suite.set("failures", str(sum(not outcome.kept for outcome in outcomes)))
    properties = ET.SubElement(suite, "properties")
    for outcome in outcomes:
        for name, value in (("value", outcome.value), ("bound", outcome.bound), ("unit", outcome.unit)):
            ET.SubElement(properties, "property", name=f"{outcome.limit}: {name}", value=_text(value))
    _run_case(suite, report, wall_s)
    for outcome in outcomes:
        _limit_case(suite, report.name, outcome)
    _write(path, suite)


def write_junit_error(path: Path, name: str, reason: str) -> None:
    """Write that a run failed, for a run without figures.

    Args:
        path: of the file.
        name: of the scenario.
        reason: why.
    """
    suite = _suite(name, 1, 0.0)
    suite.set("errors", "1")
    case = ET.SubElement(suite, "testcase", classname=name, name=RUN_CASE, time="0")
    ET.SubElement(case, "error", message=_text(reason), type="failed")
    _write(path, suite)


def write_junit_campaign(
    path: Path,
    name: str,
    verdicts: Sequence[VerdictRow],
    outcomes: Sequence[LimitOutcome],
    failures: Mapping[str, str],
    wall_s: float,
) -> None:
    """Write the outcome of a campaign: a case for each statement, failed run, and limit of a variant.

    Args:
        path: of the file.
        name: of the campaign.
        verdicts: what it states; those about its own limits are told variant by variant instead.
        outcomes: of its limits.
        failures: why each failed run failed, by its variant and seed.
        wall_s: seconds that it took.
    """
    limits = {outcome.limit for outcome in outcomes}
    stated = [verdict for verdict in verdicts if verdict.rule not in limits]
    broken = [verdict for verdict in stated if verdict.state == "fail"]
    rejected = [outcome for outcome in outcomes if not outcome.passed]
    suite = _suite(name, len(stated) + len(failures) + len(outcomes), wall_s)
    suite.set("errors", str(len(failures)))
    suite.set("failures", str(len(broken) + len(rejected)))
    for verdict in stated:
        case = ET.SubElement(suite, "testcase", classname=name, name=_text(verdict.rule), time="0")
        if verdict.state == "fail":
            ET.SubElement(case, "failure", message=_text(verdict.found), type="campaign")
        ET.SubElement(case, "system-out").text = _text(verdict.found)
    for run, cause in failures.items():
        case = ET.SubElement(suite, "testcase", classname=name, name=_text(run), time="0")
        ET.SubElement(case, "error", message=_text(cause), type="failed")
    for outcome in outcomes:
        case_name = f"{outcome.variant}: {outcome.limit}"
        case = ET.SubElement(suite, "testcase", classname=name, name=_text(case_name), time="0")
        said = (
            f"campaign {name}, variant {outcome.variant}, metric {outcome.figure}, "
            f"value {_text(outcome.value)}, bound {_text(outcome.bound)}, seeds {outcome.kept} of "
            f"{outcome.seeds}, asked for {100.0 * outcome.needed:g} %"
        )
        if not outcome.passed:
            ET.SubElement(case, "failure", message=_text(outcome.sentence), type="accept").text = said
        ET.SubElement(case, "system-out").text = said
    _write(path, suite)


def _suite(name: str, cases: int, wall_s: float) -> ET.Element:
    suite = ET.Element("testsuite", name=name, tests=str(cases), errors="0", failures="0")
    suite.set("time", f"{wall_s:.3f}")
    return suite


def _run_case(suite: ET.Element, report: Report, wall_s: float) -> None:
    case = ET.SubElement(suite, "testcase", classname=report.name, name=RUN_CASE, time=f"{wall_s:.3f}")
    if not report.finished:
        suite.set("errors", "1")
        reason = report.reason or f"status {report.status}"
        ET.SubElement(case, "error", message=_text(reason), type=report.status)
    ET.SubElement(case, "system-out").text = _text(headline(report).headline)


def _limit_case(suite: ET.Element, name: str, outcome: AcceptOutcome) -> None:
    case = ET.SubElement(suite, "testcase", classname=name, name=outcome.limit, time="0")
    said = (
        f"scenario {name}, metric {outcome.metric}, value {_text(outcome.value)}, "
        f"bound {_text(outcome.bound)}, unit {outcome.unit or 'none'}"
    )
    if not outcome.kept:
        message = outcome.reason or f"{outcome.metric} is {_text(outcome.value)}"
        failure = ET.SubElement(case, "failure", message=message, type="accept")
        failure.text = said
    ET.SubElement(case, "system-out").text = said


def _text(value: float | str | None) -> str:
    """A value with all its digits; characters that XML does not know are left out."""
    if value is None:
        return "none"
    text = value if isinstance(value, str) else repr(value)
    return "".join(char for char in text if char.isprintable() or char in "\t\n")


def _write(path: Path, suite: ET.Element) -> None:
    suites = ET.Element("testsuites")
    suites.append(suite)
    ET.indent(suites)
    path.write_bytes(ET.tostring(suites, encoding="utf-8", xml_declaration=True) + b"\n")
