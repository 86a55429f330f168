"""Every number of the report, by hand, on a feeder of three steps."""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from cosim.devices.pv import PvRating
from cosim.devices.storage import StorageRating
from cosim.errors import RecordError
from cosim.experiments.metrics import (
    control_metrics,
    cut_setpoints,
    measure_report,
    metrics_to_dict,
    run_metrics,
    same_steps,
)
from cosim.model.site import CONTRACT_VERSION, FeederMap, Site
from cosim.model.timegrid import TimeGrid
from cosim.report.feeder_map import FRAME_BUDGET, FRAMES, frame_steps, worst_step
from cosim.report.html import banner, write_report
from cosim.report.key_figures import key_figure_rows
from cosim.report.table import key_figures
from cosim.run.json_values import json_converter
from cosim.run.record import Record

START = datetime(2024, 6, 21, tzinfo=timezone(timedelta(hours=-7)))
STORAGE = StorageRating(
    name="bess",
    bus="a",
    phases=(1,),
    delta=False,
    kw=10.0,
    kva=10.0,
    kwh=20.0,
    min_kwh=2.0,
    max_kwh=20.0,
    initial_kwh=10.0,
    efficiency_charge=1.0,
    efficiency_discharge=1.0,
    idling_kw=0.0,
)
PV = PvRating(name="roof", bus="b", phases=(1,), delta=False, kw=8.0, kva=8.0)
SITE = Site(
    contract_version=CONTRACT_VERSION,
    grid=TimeGrid(START, step_s=1800, steps=3),
    nodes=("a.1", "b.1"),
    loads=("l",),
    regulators=("reg",),
    tap_step=np.array([0.00625]),
    devices=(STORAGE, PV),
    feeder_map=FeederMap(("a", "b"), (0.0, 1.0), (0.0, 1.0), (("a", "b"),)),
    network=None,
)
MANIFEST = {
    "name": "tiny",
    "status": "complete",
    "reason": "",
    "last_step": 2,
    "steps": 3,
    "controller": "receding_horizon",
    "planner": "lindistflow",
    "limits": {"voltage_min_pu": 0.95, "voltage_max_pu": 1.05, "import_max_kw": None},
    "versions": {"python": "3"},
}
NO_PLAN = {
    f"plan_{name}": None
    for name in (
        "period_s",
        "stored_kwh",
        "import_kw",
        "lowest_pu",
        "highest_pu",
        "status",
        "primal_residual",
        "simultaneous_kw",
        "slack_pu",
        "build_s",
        "solve_s",
    )
}


def plan(*, period_s, stored_kwh, import_kw, lowest_pu, highest_pu, solve_s):
    return {
        "plan_period_s": np.array(period_s),
        "plan_stored_kwh": np.array(stored_kwh),
        "plan_import_kw": np.array(import_kw),
        "plan_lowest_pu": np.array(lowest_pu),
        "plan_highest_pu": np.array(highest_pu),
        "plan_status": "optimal",
        "plan_primal_residual": 1e-9 * solve_s,
        "plan_simultaneous_kw": 0.0,
        "plan_slack_pu": 0.0,
        "plan_build_s": 0.5,
        "plan_solve_s": solve_s,
    }


PLANS = (
    # Two periods, of half an hour and of an hour.
    plan(
        period_s=[1800.0, 3600.0],
        stored_kwh=[10.0, 12.0, 8.0],
        import_kw=[11.0, 3.0],
        lowest_pu=[0.97, 0.96],
        highest_pu=[1.04, 1.05],
        solve_s=1.0,
    ),
    plan(
        period_s=[1800.0, 3600.0],
        stored_kwh=[13.0, 9.0, 7.0],
        import_kw=[-4.0, 0.0],
        lowest_pu=[0.95, 0.95],
        highest_pu=[1.07, 1.05],
        solve_s=2.0,
    ),
    NO_PLAN,
)


def step(k, *, planned=NO_PLAN, **changes):
    """A step in which the battery charges, rests and discharges."""
    storage_kw = (-6.0, 0.0, 4.0)[k]
    row = {
        "step": k,
        "time_s": 1800.0 * k,
        "price_per_kwh": (0.1, 0.2, 0.6)[k],
        "measured_stored_kwh": np.array([(10.0, 13.0, 13.0)[k]]),
        "pv_available_kw": np.array([(0.0, 5.0, 8.0)[k]]),
        "source": "PLAN",
        "reason": "",
        "why_safe": "",
        "storage_reason": [""],
        "pv_reason": [""],
        # Limits 0.95 .. 1.05: b.1 is above by 0.01 in step 1 and below by 0.02 in step 2;
        # a.1 is exactly on the upper limit in step 0, which is inside.
        "voltage_pu": np.array([(1.05, 1.0), (1.0, 1.06), (0.99, 0.93)][k]),
        "storage_kw": np.array([storage_kw]),
        "pv_kw": np.array([(0.0, 4.0, 8.0)[k]]),
        "stored_kwh": np.array([(13.0, 13.0, 11.0)[k]]),
        "tap": np.array([(1.0, 1.0125, 1.00625)[k]]),
        "import_kw": (10.0, -4.0, 6.0)[k],
        "losses_kw": (1.0, 2.0, 3.0)[k],
        "loading": (0.5, 1.2, 1.0)[k],
        "loading_line": ("line.x", "line.y", "line.x")[k],
        "events": [],
    }
    for kind in ("requested", "accepted"):
        row |= {
            f"{kind}_storage_kw": np.array([storage_kw]),
            f"{kind}_storage_kvar": np.array([0.0]),
            f"{kind}_pv_kw_limit": np.array([(8.0, 4.0, 8.0)[k]]),
            f"{kind}_pv_kvar": np.array([0.0]),
        }
    return row | planned | changes


def record_of(rows, **manifest):
    return Record(Path(), MANIFEST | manifest, SITE, pd.DataFrame(rows))


@pytest.fixture
def planned():
    return record_of([step(k, planned=PLANS[k]) for k in range(3)])


@pytest.fixture
def unplanned():
    return record_of([step(k) for k in range(3)], controller="idle", planner=None)


def cut_step():
    """The last step: 9 kW asked, 4 kW accepted, and a PV limit above the rating."""
    return step(
        2,
        requested_storage_kw=np.array([9.0]),
        requested_pv_kw_limit=np.array([12.0]),
        storage_reason=["energy: 13.000 kWh stored, 2 kWh reserve"],
        pv_reason=["limit outside 0 .. 8 kW"],
    )


def write(record, folder):
    """Put a record on disk as the package would."""
    (folder / "steps").mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps(record.manifest))
    (folder / "site.json").write_text(json_converter().dumps(record.site))
    rows = [
        {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in row.items()}
        for row in record.steps.astype(object).where(record.steps.notna(), None).to_dict("records")
    ]
    pq.write_table(pa.Table.from_pylist(rows), folder / "steps" / "part-0000000.parquet")
    return folder


# --- the run --------------------------------------------------------------------------------------


def test_cost_is_import_times_price(unplanned):
    # (10 kW x 0.1 - 4 kW x 0.2 + 6 kW x 0.6) x 0.5 h = (1 - 0.8 + 3.6) / 2
    assert run_metrics(unplanned).energy_cost == pytest.approx(1.9, abs=1e-12)


def test_import_and_export_are_counted_apart(unplanned):
    metrics = run_metrics(unplanned)
    assert metrics.import_kwh == pytest.approx(8.0)  # (10 + 6) kW x 0.5 h
    assert metrics.export_kwh == pytest.approx(2.0)  # 4 kW x 0.5 h
    assert metrics.peak_import_kw == 10.0
    assert metrics.losses_kwh == pytest.approx(3.0)  # (1 + 2 + 3) kW x 0.5 h
    assert (metrics.steps, metrics.hours) == (3, 1.5)


def test_violations_are_counted_per_node_and_without_tolerance(unplanned):
    metrics = run_metrics(unplanned)
    assert metrics.overvoltage_node_h == 0.5  # b.1 in step 1; a.1 on the limit does not count
    assert metrics.undervoltage_node_h == 0.5  # b.1 in step 2
    assert metrics.violation_node_h == 1.0
    assert metrics.nodes_in_violation == 1
    assert metrics.worst_excess_pu == pytest.approx(0.02)  # 0.95 - 0.93
    assert (metrics.lowest_pu, metrics.highest_pu) == (0.93, 1.06)


def test_the_smallest_excess_is_a_violation():
    above = np.nextafter(1.05, 2.0)
    record = record_of([step(0, voltage_pu=np.array([above, 1.0]))])
    assert run_metrics(record).overvoltage_node_h == 0.5


def test_taps_passed_and_changes_are_counted(unplanned):
    metrics = run_metrics(unplanned)
    assert metrics.tap_operations == 3  # 1.0 to 1.0125 are two taps, to 1.00625 is one
    assert metrics.tap_changes == 2


def test_stored_energy_has_the_mean_price(unplanned):
    metrics = run_metrics(unplanned)
    assert metrics.storage_throughput_kwh == pytest.approx(5.0)  # (6 + 0 + 4) kW x 0.5 h
    assert metrics.stored_change_kwh == pytest.approx(1.0)  # 11 - 10
    assert metrics.stored_change_value == pytest.approx(0.3)  # 1 kWh x (0.1 + 0.2 + 0.6) / 3
    assert metrics.adjusted_cost == pytest.approx(1.6)  # 1.9 - 0.3


def test_curtailment_is_what_the_sun_offered_and_nobody_took(unplanned):
    metrics = run_metrics(unplanned)
    assert metrics.pv_available_kwh == pytest.approx(6.5)  # (0 + 5 + 8) kW x 0.5 h
    assert metrics.pv_curtailed_kwh == pytest.approx(0.5)  # (5 - 4) kW x 0.5 h


def test_a_line_at_its_rating_is_not_overloaded(unplanned):
    metrics = run_metrics(unplanned)
    assert (metrics.highest_loading, metrics.highest_loading_line) == (1.2, "line.y")
    assert metrics.overloaded_h == 0.5


# --- the controller -------------------------------------------------------------------------------


def test_a_run_without_plans_has_no_control_figures(unplanned):
    assert control_metrics(unplanned) is None


def test_a_run_in_which_every_plan_failed_has_control_figures():
    record = record_of([step(k, source="FALLBACK", reason="infeasible") for k in range(3)])
    control = control_metrics(record)
    assert control is not None
    assert control.fallback_decisions == 3
    assert control.solve_p95_s is None
    assert control.lead_errors == ()


def test_times_are_those_of_the_plans(planned):
    control = control_metrics(planned)
    assert control.plans == 2
    assert control.decisions == {"PLAN": 3}
    assert control.solve_median_s == pytest.approx(1.5)
    assert control.solve_p95_s == pytest.approx(1.95)  # 1 + 0.95 x (2 - 1)
    assert control.solve_max_s == 2.0
    assert control.build_median_s == 0.5
    assert control.computational_time_ratio == pytest.approx(2.45 / 1800)
    assert control.worst_primal_residual == pytest.approx(2e-9)


def test_lead_errors_compare_each_period_with_what_happened_in_it(planned):
    now, later = control_metrics(planned).lead_errors
    # Lead 0 holds both first periods: step 0 and step 1.
    assert (now.lead_s, now.periods) == (0.0, 2)
    assert now.import_mean_abs_kw == pytest.approx(0.5)  # |11 - 10| and |-4 + 4|
    assert now.import_max_abs_kw == pytest.approx(1.0)
    assert now.stored_mean_abs_kwh == pytest.approx(2.5)  # |12 - 13| and |9 - 13|
    assert now.stored_max_abs_kwh == pytest.approx(4.0)
    assert now.lowest_mean_abs_pu == pytest.approx(0.04)  # |0.97 - 1.00| and |0.95 - 1.00|
    assert now.highest_max_abs_pu == pytest.approx(0.01)  # |1.04 - 1.05| and |1.07 - 1.06|
    # Lead 1800 s holds the hour of the first plan only: steps 1 and 2. That of the second plan
    # ends at 7200 s, half an hour after the run.
    assert (later.lead_s, later.periods) == (1800.0, 1)
    assert later.import_mean_abs_kw == pytest.approx(2.0)  # |3 - (-4 + 6) / 2|
    assert later.stored_mean_abs_kwh == pytest.approx(3.0)  # |8 - 11|
    assert later.lowest_mean_abs_pu == pytest.approx(0.03)  # |0.96 - 0.93|
    assert later.highest_mean_abs_pu == pytest.approx(0.01)  # |1.05 - 1.06|


def test_cut_set_points_are_counted_with_their_energy():
    record = record_of([step(0), step(1), cut_step()])
    control = control_metrics(record)
    assert control.setpoints_cut == 2
    # (9 - 4) kW x 0.5 h; the PV limit was cut from 12 to 8 kW, which is all the sun offered.
    assert control.not_delivered_kwh == pytest.approx(2.5)
    storage, pv = cut_setpoints(record, at_most=50)
    assert (storage.step, storage.device, storage.requested_kw, storage.accepted_kw) == (
        2,
        "bess",
        9.0,
        4.0,
    )
    assert storage.reason.startswith("energy")
    assert (pv.device, pv.requested_kw, pv.accepted_kw) == ("roof", 12.0, 8.0)
    assert len(cut_setpoints(record, at_most=1)) == 1


def test_rounding_of_the_solver_is_not_a_cut():
    record = record_of([step(0, requested_storage_kw=np.array([-6.0 - 1e-9]))])
    assert control_metrics(record) is None


def test_steps_in_the_safe_state_are_counted():
    rows = [step(0, planned=PLANS[0], why_safe="set-points are 7200 s old"), step(1)]
    assert control_metrics(record_of(rows)).safe_state_steps == 1


def test_a_day_of_long_plans_takes_less_than_a_second():
    horizon = plan(
        period_s=[1800.0] * 24,
        stored_kwh=[10.0] * 25,
        import_kw=[1.0] * 24,
        lowest_pu=[0.97] * 24,
        highest_pu=[1.04] * 24,
        solve_s=1.0,
    )
    rows = [step(k % 3, planned=horizon, step=k, time_s=1800.0 * k) for k in range(96)]
    record = record_of(rows)
    start = time.perf_counter()
    errors = control_metrics(record).lead_errors
    assert time.perf_counter() - start < 1.0
    assert [error.periods for error in errors] == list(range(96, 72, -1))


# --- against the baseline -------------------------------------------------------------------------


def test_a_comparison_is_run_minus_baseline(planned, unplanned):
    dearer = replace(unplanned, steps=unplanned.steps.assign(price_per_kwh=[0.2, 0.4, 1.2]))
    report = measure_report(planned, dearer)
    cost = report.comparison.differences["energy_cost"]
    assert cost.absolute == pytest.approx(-1.9)  # 1.9 - 3.8
    assert cost.relative == pytest.approx(-0.5)


def test_nothing_is_relative_to_a_baseline_of_zero(planned, unplanned):
    free = replace(unplanned, steps=unplanned.steps.assign(price_per_kwh=0.0))
    assert measure_report(planned, free).comparison.differences["energy_cost"].relative is None


def test_a_baseline_is_cut_to_the_steps_of_an_aborted_run(planned, unplanned):
    aborted = replace(planned, steps=planned.steps.iloc[:2])
    assert same_steps(unplanned, aborted).steps["step"].tolist() == [0, 1]
    assert same_steps(aborted, unplanned) is None


def test_metrics_are_plain_json_with_units(planned):
    report = measure_report(planned, None)
    unknown = replace(report, run=replace(report.run, lowest_pu=float("nan")))
    plain = json.loads(json.dumps(metrics_to_dict(unknown), allow_nan=False))
    assert plain["run"]["lowest_pu"] is None
    assert plain["run"]["energy_cost_currency"] == pytest.approx(1.9)
    assert plain["control"]["lead_errors"][1]["lead_s"] == 1800.0
    assert plain["baseline"] is None


# --- what the reader sees -------------------------------------------------------------------------


def test_page_and_terminal_show_the_same_rows(planned, unplanned, tmp_path):
    folder = write(planned, tmp_path / "run")
    write(unplanned, folder / "baseline")
    report = write_report(folder)
    text = StringIO()
    Console(file=text, width=200).print(key_figures(report))
    page = (folder / "report.html").read_text()
    for row in key_figure_rows(report):
        assert f"<td>{row.label}</td>" in page
        assert row.label in text.getvalue()
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
    assert 'class="banner red"' in page
    assert "ABORTED after step 1: the &lt;feeder&gt; did not converge" in page
    assert 'class="banner green"' not in page
    assert "ABORTED" in str(key_figures(report).title)


@pytest.mark.parametrize("status", ["running", "complete"])
def test_a_run_with_missing_steps_is_red(planned, status):
    short = replace(planned, steps=planned.steps.iloc[:2], manifest=MANIFEST | {"status": status})
    assert banner(measure_report(short, None)).colour == "red"


def test_a_run_as_planned_is_green(planned):
    assert banner(measure_report(planned, None, baseline_note="no baseline was run")).colour == "green"


@pytest.mark.parametrize(
    "row",
    [
        step(2, source="EARLIER_PLAN", reason="infeasible"),
        step(2, why_safe="set-points are too old"),
        step(2, events=["regulators or capacitors were still hunting at the iteration limit"]),
        cut_step(),
    ],
    ids=["fallback", "safe state", "event", "cut"],
)
def test_a_run_with_something_to_explain_is_amber(row):
    record = record_of([step(0, planned=PLANS[0]), step(1), row])
    assert banner(measure_report(record, None, baseline_note="no baseline was run")).colour == "amber"


def test_the_head_says_why_decisions_fell_back_and_whether_they_are_too_slow():
    fell = [step(i, source="EARLIER_PLAN", reason="the planner failed; following another") for i in (1, 2)]
    record = record_of([step(0, planned=PLANS[0]), *fell])
    head = banner(measure_report(record, None, baseline_note="no baseline was run"))
    because = "2 decisions that did not come from the plan due, mostly because the planner failed"
    assert because in head.details
    report = measure_report(record, None, baseline_note="no baseline was run")
    slow = replace(report, control=replace(report.control, computational_time_ratio=9.6))
    assert "Decisions take 9.6 times the length of a step: too slow for real time" in banner(slow).details


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
    assert not re.search(r"<script[^>]*\ssrc=", page)
    assert not re.search(r"<(link|img|iframe)\b[^>]*\s(href|src)=", page.rpartition("</style>")[0])
    body = page[page.index("<body>") :]
    assert "http://" not in body
    assert "https://" not in body


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


def test_the_map_of_a_long_run_is_thinned_and_keeps_the_worst_step():
    rows = [step(0, step=k, time_s=1800.0 * k) for k in range(3 * FRAMES)]
    rows[301]["voltage_pu"] = np.array([1.0, 0.8])
    record = record_of(rows)
    shown = frame_steps(record)
    assert len(shown) <= FRAMES + 1
    assert worst_step(record) == 301
    assert 301 in shown
    assert FRAME_BUDGET < 10_000_000  # with the library the page stays below 15 MB
