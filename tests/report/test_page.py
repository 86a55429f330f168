"""What the reader of a run's report sees."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from io import StringIO

import numpy as np
import pytest
from rich.console import Console

from cosim.errors import RecordError
from cosim.experiments.metrics import measure_report
from cosim.model.site import FeederMap
from cosim.report.html import write_report
from cosim.report.key_figures import key_figure_rows
from cosim.report.page import SIGNS
from cosim.report.table import key_figures
from cosim.report.verdict_text import headline, tiles
from tests.report.records import MANIFEST, PLANS, SITE, calm, cut_step, record_of, step, write


def measured(record):
    return measure_report(record, None, baseline_note="no baseline was run")


def printed(report):
    text = StringIO()
    Console(file=text, width=200).print(key_figures(report))
    return text.getvalue()


def test_page_and_terminal_show_the_same_rows(planned, unplanned, tmp_path):
    folder = write(planned, tmp_path / "run")
    write(unplanned, folder / "baseline")
    report = write_report(folder)
    text = printed(report)
    page = (folder / "report.html").read_text()
    for row in key_figure_rows(report):
        assert f'<th scope="row">{row.label}</th>' in page
        assert row.label in text
        assert row.difference_text in page


def test_an_aborted_run_never_looks_like_a_good_one(planned, tmp_path):
    aborted = replace(
        planned,
        steps=planned.steps.iloc[:2],
        manifest=MANIFEST | {"status": "aborted", "reason": "the <feeder> did not converge"},
    )
    folder = write(aborted, tmp_path / "run")
    report = write_report(folder)
    page = (folder / "report.html").read_text()
    assert 'class="head unjudged"' in page
    assert "NOT JUDGED" in page
    assert "ABORTED after step 1: the &lt;feeder&gt; did not converge" in page
    text = page.partition("<script>")[0]  # the library has words of its own
    assert "PASS" not in text
    assert "FAIL" not in text
    assert "ABORTED" in printed(report)


@pytest.mark.parametrize("status", ["running", "complete"])
def test_a_run_with_missing_steps_is_not_judged(planned, status):
    short = replace(planned, steps=planned.steps.iloc[:2], manifest=MANIFEST | {"status": status})
    assert headline(measured(short)).state == "unjudged"


def test_a_run_as_planned_passes_with_nothing_to_explain():
    report = measured(record_of([calm(k) for k in range(3)]))
    assert (headline(report).state, headline(report).word) == ("pass", "PASS")
    limits, gain, promises, run = tiles(report)
    assert (limits.state, promises.state, run.state) == ("pass", "pass", "pass")
    assert gain.state == "unjudged"  # there is no baseline


@pytest.mark.parametrize(
    ("changes", "explains"),
    [
        ({"source": "EARLIER_PLAN", "reason": "infeasible"}, "Plan against outcome"),
        ({"requested_storage_kw": np.array([9.0])}, "Plan against outcome"),
        ({"events": ["not delivered: bess delivers 1 kW"]}, "Plan against outcome"),
        ({"why_safe": "set-points are too old"}, "Run"),
        ({"events": ["regulators or capacitors were still hunting at the iteration limit"]}, "Run"),
    ],
    ids=["fallback", "cut", "not delivered", "safe state", "event"],
)
def test_what_is_to_be_explained_has_a_note_and_spoils_no_verdict(changes, explains):
    report = measured(record_of([calm(0), calm(1), calm(2, **changes)]))
    assert headline(report).state == "pass"
    noted = [tile.headline for tile in tiles(report) if tile.state == "note"]
    assert noted == [explains]


def test_the_head_says_why_decisions_fell_back_and_whether_they_are_too_slow():
    reason = "the planner failed; following another"
    report = measured(
        record_of([calm(0), *(calm(i, source="EARLIER_PLAN", reason=reason) for i in (1, 2))])
    )
    promises = tiles(report)[2]
    assert promises.details[0] == "1 of 3 decisions came from the plan due."
    because = "2 steps from 21 Jun 00:30, an earlier plan followed, because the planner failed."
    assert because in promises.details[1].replace("\u00a0", " ")
    slow = replace(report, control=replace(report.control, computational_time_ratio=9.6))
    assert (
        "Decisions take 9.6 times the length of a step: too slow for real time." in tiles(slow)[3].details
    )


def test_the_head_names_the_worst_line_and_what_to_set():
    rows = [calm(0), calm(1, loading=1.534, loading_line="line.y"), calm(2)]
    verdict = headline(measured(record_of(rows)))
    assert verdict.state == "fail"
    assert verdict.headline.replace("\u00a0", " ") == "Line loading 153.4 % in line.y, outside for 0.50 h."
    assert verdict.details == (
        "The planner was not asked to hold the lines: set `lines: true` under `limits`.",
    )
    told = record_of(rows, limits=MANIFEST["limits"] | {"lines": True})
    assert headline(measured(told)).details == ()


def test_an_excess_too_small_for_four_digits_is_shown_with_more():
    above = record_of([calm(0), calm(1, voltage_pu=np.array([1.05004, 1.0])), calm(2)])
    assert "1.0500400" in headline(measured(above)).headline


def test_a_limit_that_no_record_holds_is_said(planned):
    record = record_of([calm(k) for k in range(3)], limits=MANIFEST["limits"] | {"transformers": True})
    limits = tiles(measured(record))[0]
    assert limits.state == "note"
    assert "Transformer loading: limited, but no record holds it." in limits.details


def test_states_differ_in_sign_and_word():
    assert len(set(SIGNS.values())) == len(SIGNS) == 4


def test_the_page_can_be_used_without_a_mouse(planned, unplanned, tmp_path):
    folder = write(planned, tmp_path / "run")
    write(unplanned, folder / "baseline")
    write_report(folder)
    page = (folder / "report.html").read_text()
    assert 'href="#content">Skip to the content' in page
    assert page.count('class="plot" role="img" aria-label="') == page.count('class="figure">')
    assert "<th>" not in page  # every heading says what it heads
    for part in re.findall(r'<section class="card scroll"([^>]*)>', page):
        assert 'tabindex="0" role="region" aria-label="' in part


def test_events_and_cuts_are_listed(tmp_path):
    rows = [step(0, planned=PLANS[0]), step(1, source="FALLBACK", reason="no <plan>"), cut_step()]
    rows[2]["events"] = ["2 nodes lost their voltage, e.g. b.1"]
    folder = write(record_of(rows), tmp_path / "run")
    write_report(folder)
    page = (folder / "report.html").read_text()
    assert "FALLBACK: no &lt;plan&gt;" in page
    assert "2 nodes lost their voltage, e.g. b.1" in page
    assert "energy: 13.000 kWh stored, 2 kWh reserve" in page


def test_a_run_without_plans_and_baseline_has_a_report(unplanned, tmp_path):
    folder = write(unplanned, tmp_path / "run")
    report = write_report(folder)
    page = (folder / "report.html").read_text()
    assert report.control is None
    assert report.baseline is None
    assert "no baseline was run" in page
    assert "keep its promises" not in page
    assert json.loads((folder / "metrics.json").read_text())["control"] is None


def test_a_feeder_without_devices_and_places_has_a_report(unplanned, tmp_path):
    lists = [name for name in unplanned.steps if re.search("storage|pv_|tap|stored", name)]
    empty = {name: [np.empty(0)] * 3 for name in lists if not name.startswith("plan_")}
    bare = replace(
        SITE, devices=(), regulators=(), tap_step=np.zeros(0), feeder_map=FeederMap((), (), (), ())
    )
    folder = write(replace(unplanned, site=bare, steps=unplanned.steps.assign(**empty)), tmp_path / "run")
    assert write_report(folder).run.pv_available_kwh == 0.0


def test_the_page_fetches_nothing(planned, tmp_path):
    folder = write(planned, tmp_path / "run")
    write_report(folder)
    page = (folder / "report.html").read_text()
    assert page.count("<script>") == 2  # the library, and the lines that draw
    shown, _, rest = page.partition("<script>")
    drawing = rest.rpartition("<script>")[2]
    assert not re.search(r"<script[^>]*\ssrc=", page)
    assert not re.search(r"<(link|img|iframe)\b[^>]*\s(href|src)=", page.rpartition("</style>")[0])
    for text in (shown, drawing):
        assert "http://" not in text
        assert "https://" not in text


def test_names_cannot_break_out_of_the_page(planned, tmp_path):
    hostile = replace(planned.site, nodes=("a.1</script><b>", "b.1"))
    named = replace(planned, site=hostile, manifest=MANIFEST | {"name": "</title><script>$x"})
    folder = write(named, tmp_path / "run")
    write_report(folder)
    page = (folder / "report.html").read_text()
    assert "</script><b>" not in page
    assert "</title><script>$x" not in page


def test_a_folder_without_steps_is_refused(tmp_path):
    with pytest.raises(RecordError):
        write_report(tmp_path)
