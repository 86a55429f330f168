"""How the controller worked, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from cosim.experiments.control_metrics import control_metrics, cut_setpoints
from tests.counting import calls_of
from tests.report.records import PLANS, cut_step, plan, record_of, step


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


def a_day(periods: int):
    """96 steps of half an hour, each with a plan of so many periods."""
    horizon = plan(
        period_s=[1800.0] * periods,
        stored_kwh=[10.0] * (periods + 1),
        import_kw=[1.0] * periods,
        lowest_pu=[0.97] * periods,
        highest_pu=[1.04] * periods,
        solve_s=1.0,
    )
    return record_of([step(k % 3, planned=horizon, step=k, time_s=1800.0 * k) for k in range(96)])


def test_the_periods_of_long_plans_are_compared_all_at_once():
    record, longer = a_day(24), a_day(48)
    errors = control_metrics(record).lead_errors
    assert [error.periods for error in errors] == list(range(96, 72, -1))
    # Twice as many periods, in the same number of calls but for the table of leads; measured 1.01.
    calls = calls_of(lambda: control_metrics(record))
    assert calls_of(lambda: control_metrics(longer)) < 1.2 * calls
