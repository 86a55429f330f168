"""Pass, fail or not judged: records by hand, and small real runs."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from cosim.errors import CosimError
from cosim.experiments.metrics import measure_report, metrics_to_dict
from cosim.experiments.verdict import JUDGED_WITHIN, Moment
from cosim.report.html import write_report
from cosim.run.execute import execute, execute_baseline
from cosim.run.study import open_study
from tests.report.records import MANIFEST, calm, record_of, step


def verdict_of(record, baseline=None):
    return measure_report(record, baseline).verdict


def limits_of(verdict):
    return {limit.quantity: limit for limit in verdict.limits}


def with_limits(rows, **limits):
    return record_of(rows, limits=MANIFEST["limits"] | limits)


# --- limits ---------------------------------------------------------------------------------------


def test_a_run_inside_all_limits_passes():
    verdict = verdict_of(record_of([calm(k) for k in range(3)]))
    assert verdict.judgement == "pass"
    assert [limit.quantity for limit in verdict.limits] == ["voltage", "line loading"]


def test_the_worst_voltage_has_its_node_its_limit_and_its_local_time(planned, unplanned):
    voltage = limits_of(verdict_of(planned, unplanned))["voltage"]
    # 0.93 of 0.95 in step 2 is farther out than 1.06 of 1.05 in step 1.
    assert (voltage.kept, voltage.worst, voltage.limit, voltage.element) == (False, 0.93, 0.95, "b.1")
    assert voltage.when == Moment(2, "2024-06-21T01:00:00-07:00")
    assert (voltage.outside, voltage.outside_unit) == (1.0, "node-h")
    assert voltage.outside_without_control == 1.0


def test_a_kept_limit_shows_the_moment_nearest_to_it():
    voltages = [(1.0, 1.04), (0.955, 1.0), (1.0, 1.0)]
    rows = [calm(k, voltage_pu=np.array(voltages[k])) for k in range(3)]
    voltage = limits_of(verdict_of(record_of(rows)))["voltage"]
    assert (voltage.kept, voltage.worst, voltage.element, voltage.when.step) == (True, 0.955, "a.1", 1)


@pytest.mark.parametrize(("lines", "asked"), [(False, False), (True, True)])
def test_a_line_above_its_rating_fails_also_where_nobody_asked_for_it(lines, asked):
    rows = [calm(0), calm(1, loading=1.2, loading_line="line.y"), calm(2)]
    verdict = verdict_of(with_limits(rows, lines=lines))
    loading = limits_of(verdict)["line loading"]
    assert verdict.judgement == "fail"
    assert (loading.kept, loading.asked, loading.element) == (False, asked, "line.y")
    assert (loading.worst, loading.outside) == (pytest.approx(120.0), 0.5)


def test_nobody_was_asked_where_nobody_plans(unplanned):
    assert {limit.asked for limit in verdict_of(unplanned).limits} == {None}


@pytest.mark.parametrize(("beyond", "judgement"), [(0.5, "pass"), (2.0, "fail")])
def test_the_tolerance_of_solvers_breaks_no_limit(beyond, judgement):
    above = 1.05 * (1.0 + beyond * JUDGED_WITHIN)
    verdict = verdict_of(record_of([calm(0), calm(1, voltage_pu=np.array([above, 1.0])), calm(2)]))
    assert verdict.judgement == judgement
    assert limits_of(verdict)["voltage"].outside == 0.5  # hours know no tolerance


def test_limits_of_the_substation_are_judged_in_both_directions():
    rows = [calm(k) for k in range(3)]  # import 10, -4 and 6 kW
    limits = limits_of(verdict_of(with_limits(rows, import_max_kw=8.0, import_min_kw=-5.0)))
    assert (limits["import"].kept, limits["import"].worst, limits["import"].outside) == (False, 10.0, 0.5)
    assert (limits["export"].kept, limits["export"].worst, limits["export"].limit) == (True, 4.0, 5.0)


def test_a_feeder_without_lines_has_no_line_limit():
    rows = [calm(k, loading=0.0, loading_line="") for k in range(3)]
    assert list(limits_of(verdict_of(record_of(rows)))) == ["voltage"]


def test_limits_that_no_record_holds_are_named():
    rows = [calm(k) for k in range(3)]
    verdict = verdict_of(with_limits(rows, transformers=True, unbalance_max_percent=2.0))
    assert verdict.unmeasured == ("transformer loading", "voltage unbalance")


@pytest.mark.parametrize("status", ["aborted", "running", "complete"])
def test_a_run_that_is_not_whole_is_neither_pass_nor_fail(planned, status):
    short = replace(planned, steps=planned.steps.iloc[:2], manifest=MANIFEST | {"status": status})
    verdict = verdict_of(short)
    assert verdict.judgement == "not judged"
    assert (verdict.soundness.finished, verdict.soundness.sound) == (False, False)
    assert not limits_of(verdict)["voltage"].kept


# --- gains, promises, soundness -------------------------------------------------------------------


def test_gains_value_stored_energy(planned, unplanned):
    dearer = replace(unplanned, steps=unplanned.steps.assign(price_per_kwh=[0.2, 0.4, 1.2]))
    cost, losses, peak = verdict_of(planned, dearer).gains
    # 1.9 - 0.3 of stored energy, and twice that at twice the price.
    assert (cost.run, cost.without_control) == (pytest.approx(1.6), pytest.approx(3.2))
    assert (losses.quantity, losses.unit) == ("losses", "kWh")
    assert (peak.run, peak.without_control) == (10.0, 10.0)
    assert verdict_of(planned).gains == ()


def test_promises_that_were_kept():
    promises = verdict_of(record_of([calm(k) for k in range(3)])).promises
    assert (promises.kept, promises.decisions, promises.from_plan) == (True, 3, 3)
    assert promises.worst_failure is None
    # The first periods: 11 kW against 10 kW, and -4 kW as planned.
    assert promises.import_error_kw == pytest.approx(0.5)


def test_the_worst_failure_is_rest_and_then_the_longest():
    earlier = {"source": "EARLIER_PLAN", "reason": "infeasible; following the plan of second 0"}
    rest = {"source": "FALLBACK", "reason": "the planner failed; devices rest"}
    both = verdict_of(record_of([calm(0, **earlier), calm(1, **earlier), calm(2, **rest)])).promises
    assert (both.kept, both.from_plan) == (False, 0)
    assert (both.worst_failure.steps, both.worst_failure.cause) == (1, "the planner failed")
    assert both.worst_failure.since == Moment(2, "2024-06-21T01:00:00-07:00")
    one = verdict_of(record_of([calm(0, **earlier), calm(1, **earlier), calm(2)])).promises
    assert (one.worst_failure.steps, one.worst_failure.since.step) == (2, 0)
    assert (one.worst_failure.source, one.worst_failure.cause) == ("EARLIER_PLAN", "infeasible")


def test_what_was_cut_and_not_delivered_breaks_a_promise():
    cut = calm(2, requested_storage_kw=np.array([9.0]))
    promises = verdict_of(record_of([calm(0), calm(1), cut])).promises
    assert (promises.kept, promises.setpoints_cut, promises.cut_kwh) == (False, 1, pytest.approx(2.5))
    lost = calm(2, events=["not delivered: bess delivers 1 kW of 4 kW"])
    verdict = verdict_of(record_of([calm(0), calm(1), lost]))
    assert (verdict.promises.kept, verdict.promises.undelivered) == (False, 1)
    assert (verdict.soundness.sound, verdict.soundness.events) == (True, 0)


def test_a_sound_run_says_how_well_its_power_adds_up():
    soundness = verdict_of(record_of([calm(k) for k in range(3)])).soundness
    assert (soundness.sound, soundness.finished, soundness.events) == (True, True, 0)
    assert soundness.balance_error_kw == 3e-7


def test_strange_steps_are_counted_by_kind():
    hunting = "regulators or capacitors were still hunting at the iteration limit"
    off = "the power balance is off by 3 kW, allowed are 0.0001 kW: import, other"
    rows = [calm(0, events=[hunting, off]), calm(1, events=[hunting]), calm(2, why_safe="too old")]
    soundness = verdict_of(record_of(rows)).soundness
    assert (soundness.unsettled_steps, soundness.unbalanced_steps, soundness.events) == (2, 1, 3)
    assert (soundness.safe_state_steps, soundness.sound) == (1, False)


def test_a_plan_longer_than_a_step_is_late():
    slow = calm(0, plan_solve_s=1799.6)  # and half a second to build, of a step of 1800 s
    assert verdict_of(record_of([slow, calm(1), calm(2)])).soundness.late_plans == 1


def test_a_record_without_balance_is_judged(unplanned):
    old = replace(unplanned, steps=unplanned.steps.drop(columns="balance_error_kw"))
    assert verdict_of(old).soundness.balance_error_kw is None


def test_the_verdict_is_plain_json():
    plain = metrics_to_dict(measure_report(record_of([step(k) for k in range(3)]), None))
    verdict = json.loads(json.dumps(plain, allow_nan=False))["verdict"]
    assert verdict["judgement"] == "fail"
    assert verdict["limits"][1]["when"] == {"step": 1, "local_time": "2024-06-21T00:30:00-07:00"}
    assert verdict["soundness"]["steps"] == 3


# --- real runs ------------------------------------------------------------------------------------


def run_of(scenario, folder, steps):
    study = open_study(scenario, steps=steps)
    execute(study, folder, over="local", overwrite=False, progress=lambda _done: None)
    execute_baseline(study, folder, progress=lambda _done: None)
    return write_report(folder).verdict


def test_a_real_run_passes_with_its_gains(scenario_file, tmp_path):
    limits = {"voltage_min_pu": 0.9, "voltage_max_pu": 1.1}
    verdict = run_of(scenario_file(limits=limits), tmp_path / "run", 3)
    assert verdict.judgement == "pass"
    assert (verdict.promises.from_plan, verdict.soundness.sound) == (3, True)
    assert len(verdict.gains) == 3
    written = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert written["verdict"]["judgement"] == "pass"


def test_a_real_run_in_an_impossible_band_fails_by_voltage(scenario_file, tmp_path):
    limits = {"voltage_min_pu": 1.0399, "voltage_max_pu": 1.04}
    verdict = run_of(scenario_file(limits=limits), tmp_path / "run", 2)
    voltage = limits_of(verdict)["voltage"]
    assert (verdict.judgement, voltage.kept, voltage.asked) == ("fail", False, True)
    assert voltage.outside > 0


def test_a_real_run_that_aborts_is_not_judged(scenario_file, tmp_path):
    study = open_study(scenario_file(control={"type": "tests.controllers:BrokenController"}))
    with pytest.raises(CosimError):
        execute(study, tmp_path / "run", over="local", overwrite=False, progress=lambda _done: None)
    report = write_report(tmp_path / "run")
    assert report.verdict.judgement == "not judged"
    assert not report.finished
