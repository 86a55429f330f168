from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cosim.errors import ContractError
from cosim.opf.structured_qp import solve as chosen
from cosim.opf.structured_qp.certificate import no_plan
from cosim.opf.structured_qp.sparse_route import solve_clarabel, solve_piqp
from cosim.opf.structured_qp.step_program import (
    EnergyDevices,
    Peak,
    SoftRows,
    SourceDevices,
    StepAnswer,
    StepProgram,
    Tangent,
)
from cosim.opf.structured_qp.structured import solve_structured

SAME_COST = 1e-6  # relative: ten times the routes' tolerance
ENDS = ("free", "fixed", "value", "soft")


def random_program(
    seed=0, *, batteries=3, pvs=3, periods=8, rows=10, modes=2, end="fixed", peak=False, shortfall=0.2
) -> StepProgram:
    """A day of few devices: time-of-use price, loss modes, and voltage-like rows that bind or have slack."""
    draw = np.random.default_rng(seed)
    T, B, K, J, R = periods, batteries, pvs, batteries + pvs, rows
    hours = np.full(T, 24.0 / T)
    hour = (np.arange(T) + 0.5) * 24.0 / T
    weight = np.where(hour > 17.0, 0.32, 0.12) * hours
    rate, panel = np.exp(draw.normal(2.0, 0.7, B)), np.exp(draw.normal(3.0, 0.7, K))
    sun = np.maximum(np.sin((hour - 6.0) / 12.0 * np.pi), 0.0)
    available = np.outer(sun, panel)
    every, capacity = np.ones((T, B)), 4.0 * rate
    fleet = EnergyDevices(
        charge_max_kw=every * rate,
        discharge_max_kw=every * rate,
        reactive_max_kvar=every * rate,
        absorb_max_kvar=every * rate,
        rating_kva=1.05 * rate,
        charge_efficiency=np.full(B, 0.95),
        discharge_efficiency=np.full(B, 0.93),
        start_kwh=capacity * draw.uniform(0.35, 0.7, B),
        least_kwh=0.3 * capacity * every,
        most_kwh=0.95 * capacity * every,
        drain_kwh=1e-3 * capacity * every,
        charge_cost=0.004 * hours[:, None] * every,
        discharge_cost=0.004 * hours[:, None] * every,
        reactive_cost=1e-4 * every,
        end=end,
        end_kwh=0.5 * capacity,
        end_price=np.full(B, 0.2),
    )
    solar = SourceDevices(
        available_kw=available,
        curtail_max_kw=available.copy(),
        reactive_max_kvar=np.ones((T, K)) * panel,
        absorb_max_kvar=np.ones((T, K)) * panel,
        rating_kva=0.9 * panel,
        polygon=np.ones(K, dtype=bool),
        curtail_cost=np.zeros((T, K)),
        reactive_cost=1e-4 * np.ones((T, K)),
    )
    tangent = Tangent(
        gradient_p=-weight[:, None] * (1.0 + draw.normal(0.0, 0.05, (T, J))),
        gradient_q=-weight[:, None] * draw.normal(0.0, 0.02, (T, J)),
        damping=1e-5 * np.ones((T, J)),
        centre_p_kw=np.concatenate([np.zeros((T, B)), available], axis=1),
        centre_q_kvar=np.zeros((T, J)),
        mode_p=0.01 * draw.normal(size=(modes, J)),
        mode_q=0.005 * draw.normal(size=(modes, J)),
        mode_weight=np.where(np.arange(T) % 3 == 0, 0.0, weight),
    )
    period = draw.integers(0, T, R)
    p = draw.uniform(0.2, 1.0, (R, J)) * np.where(draw.random(R) < 0.5, 1.0, -1.0)[:, None]
    reach = np.abs(p) @ np.concatenate([rate, panel])
    limits = SoftRows(
        period=period,
        p=p,
        q=0.5 * p,
        limit=reach * draw.uniform(-shortfall, 0.4, R),
        price=draw.uniform(0.2, 2.0, R),
        of_peak=np.zeros(R, dtype=bool),
    )
    program = StepProgram(hours, fleet, solar, tangent, limits)
    return with_peak(program, rate.sum()) if peak else program


def with_peak(program: StepProgram, size_kw: float) -> StepProgram:
    """The same with a peak of the import, one more row per period."""
    T, J, rows = program.period_count, program.device_count, program.rows
    load = size_kw * (1.0 + 0.5 * np.sin(np.arange(T)))
    more = SoftRows(
        period=np.concatenate([rows.period, np.arange(T)]),
        p=np.concatenate([rows.p, -np.ones((T, J))]),
        q=np.concatenate([rows.q, np.zeros((T, J))]),
        limit=np.concatenate([rows.limit, -load]),
        price=np.concatenate([rows.price, np.zeros(T)]),
        of_peak=np.concatenate([rows.of_peak, np.ones(T, dtype=bool)]),
    )
    return replace(program, rows=more, peak=Peak(price=3.0, floor_kw=0.2 * size_kw))


def assert_same(one: StepAnswer, other: StepAnswer) -> None:
    assert one.status == other.status == "optimal"
    assert one.objective == pytest.approx(other.objective, rel=SAME_COST, abs=1e-6)
    assert max(one.primal_residual, other.primal_residual) < 1e-6


def changed(program: StepProgram, **energy: object) -> StepProgram:
    return replace(program, energy=replace(program.energy, **energy))


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("peak", [False, True])
def test_the_three_routes_find_the_same_cost(end, peak):
    program = random_program(ENDS.index(end), end=end, peak=peak)
    reference = solve_clarabel(program)
    assert_same(solve_structured(program), reference)
    assert_same(solve_piqp(program), reference)


@pytest.mark.parametrize("seed", range(20))
def test_structured_agrees_with_piqp_on_random_programs(seed):
    program = random_program(
        100 + seed,
        batteries=seed % 5,
        pvs=1 + seed % 4,
        periods=(1, 4, 12)[seed % 3],
        rows=(0, 5, 30)[(seed // 2) % 3],
        modes=seed % 4,
        end=("free", "value", "soft")[seed % 3],
        shortfall=(0.0, 0.5, 1.5)[seed % 3],
    )
    assert_same(solve_structured(program), solve_piqp(program))


@pytest.mark.parametrize(
    "size",
    [
        {"batteries": 0},
        {"pvs": 0},
        {"rows": 0},
        {"modes": 0},
        {"rows": 0, "modes": 0},
        {"batteries": 0, "pvs": 0},
    ],
    ids=str,
)
def test_any_part_of_a_program_may_be_absent(size):
    program = random_program(7, **size)
    assert_same(solve_structured(program), solve_clarabel(program))


def test_the_gap_is_a_bound_on_the_distance_from_the_optimum():
    program = random_program(3)
    coarse, fine = solve_structured(program, tolerance=1e-3), solve_clarabel(program)
    assert 0.0 < coarse.objective - fine.objective <= coarse.gap


def test_the_price_of_a_row_is_the_cost_of_its_limit():
    program = random_program(5, rows=12)
    answer = solve_structured(program)
    row = int(np.argmax(np.where(answer.slack_kw < 1e-6, answer.row_price, 0.0)))
    moved = 1e-3  # kW; the cost is piecewise quadratic, so the error is of that order
    limit = program.rows.limit.copy()
    limit[row] += moved
    wider = solve_clarabel(replace(program, rows=replace(program.rows, limit=limit)))
    drop = (answer.objective - wider.objective) / moved
    assert answer.row_price[row] > 0.0
    assert drop == pytest.approx(answer.row_price[row], rel=0.05)


def test_a_window_out_of_reach_is_infeasible_by_name_and_amount():
    program = random_program(1)
    far = changed(program, least_kwh=program.energy.least_kwh + 10.0 * program.energy.most_kwh)
    for answer in (chosen.solve(far), solve_piqp(far), solve_clarabel(far), solve_structured(far)):
        assert answer.status == "infeasible"
        assert "misses its energy window in period 0" in answer.message
        assert answer.p_kw.shape == (program.period_count, program.device_count)


def test_a_target_out_of_reach_is_infeasible():
    program = random_program(1)
    answer = chosen.solve(
        changed(
            program,
            drain_kwh=0.0 * program.energy.drain_kwh,
            end_kwh=program.energy.most_kwh[-1] * 2.0,
        )
    )
    assert answer.status == "infeasible"
    assert "target" in answer.message


def test_a_rounding_outside_the_window_is_forgiven():
    program = random_program(2, end="value")
    full = program.energy.most_kwh[0] * (1.0 + 1e-10)
    still = np.zeros_like(program.energy.drain_kwh)
    unable = program.energy.discharge_max_kw.copy()
    unable[:2] = 0.0
    program = changed(program, start_kwh=full, drain_kwh=still, discharge_max_kw=unable)
    answer = solve_structured(program)
    assert_same(answer, solve_clarabel(program))
    assert answer.charge_kw[:2] == pytest.approx(0.0, abs=1e-9)


def test_fixed_variables_stay_at_zero():
    program = random_program(4, batteries=4)
    some = np.arange(program.period_count)[:, None] % 2 == np.arange(4) % 2
    fixed = program.energy.reactive_max_kvar * some
    program = changed(program, reactive_max_kvar=fixed, absorb_max_kvar=fixed)
    program = replace(
        program,
        sources=replace(
            program.sources,
            curtail_max_kw=0.0 * program.sources.available_kw,
            polygon=np.zeros(3, dtype=bool),
        ),
    )
    answer = solve_structured(program)
    assert_same(answer, solve_clarabel(program))
    assert np.abs(answer.q_kvar[:, :4][~some]).max() == 0.0
    assert answer.curtailed_kw.max() == 0.0


def test_devices_of_very_different_size_live_together():
    program = random_program(6, batteries=4)
    scale = np.array([1e-3, 1.0, 1e3, 1.0])
    sized = {
        name: getattr(program.energy, name) * scale
        for name in (
            "charge_max_kw",
            "discharge_max_kw",
            "reactive_max_kvar",
            "absorb_max_kvar",
            "rating_kva",
            "start_kwh",
            "least_kwh",
            "most_kwh",
            "drain_kwh",
            "end_kwh",
        )
    }
    program = changed(program, **sized)
    assert_same(solve_structured(program), solve_clarabel(program))


def test_many_slacks_at_once_do_not_stop_the_iterations():
    program = random_program(8, batteries=6, pvs=6, periods=12, rows=60, shortfall=3.0)
    answer = solve_structured(program)
    assert (answer.slack_kw > 1e-3).sum() > 20
    assert answer.status == "optimal"
    assert answer.iterations < 40


def test_a_warm_start_finds_the_same_cost_in_fewer_iterations():
    saved = 0
    for seed in range(4):
        program = random_program(20 + seed, batteries=6, pvs=6, periods=12, rows=30)
        before = solve_structured(program)
        moved = replace(
            program, tangent=replace(program.tangent, gradient_p=1.01 * program.tangent.gradient_p)
        )
        cold, warm = solve_structured(moved), solve_structured(moved, warm=before.warm)
        assert_same(cold, warm)
        saved += cold.iterations - warm.iterations
    assert saved > 0


def test_a_warm_start_of_another_shape_is_ignored():
    answer = solve_structured(random_program(1), warm=solve_structured(random_program(1, periods=6)).warm)
    assert answer.status == "optimal"


def test_the_next_route_runs_where_one_fails(monkeypatch):
    program = random_program(1)
    monkeypatch.setattr(
        "cosim.opf.structured_qp.structured.solve_structured",
        lambda program, **_: no_plan(program, "structured", "failed", "made to fail"),
    )
    answer = chosen.solve(program)
    assert (answer.solver, answer.status) == ("piqp", "optimal")
    assert [(item.solver, item.reason) for item in answer.fallbacks] == [("structured", "made to fail")]


def test_an_answer_with_a_gap_is_not_taken(monkeypatch):
    program = random_program(1)
    monkeypatch.setattr(
        chosen,
        "solve_piqp",
        lambda program: replace(solve_structured(program, tolerance=1e-2), solver="piqp"),
    )
    answer = chosen.solve(program, solver="piqp")
    assert (answer.solver, answer.status) == ("clarabel", "optimal")
    assert "gap" in answer.fallbacks[0].reason


def test_the_best_answer_remains_where_none_is_accepted(monkeypatch):
    program = random_program(1)
    monkeypatch.setattr(
        chosen,
        "solve_clarabel",
        lambda program: replace(solve_structured(program, tolerance=1e-2), solver="clarabel"),
    )
    answer = chosen.solve(program, solver="clarabel")
    assert (answer.solver, answer.status, answer.fallbacks) == ("clarabel", "almost", ())


def test_auto_records_which_route_ran():
    answer = chosen.solve(random_program(1))
    assert (answer.solver, answer.status, answer.fallbacks) == ("structured", "optimal", ())


def test_a_program_with_a_wrong_shape_is_refused():
    with pytest.raises(ContractError, match=r"energy.charge_max_kw .* shape \(8, 2\), expected \(8, 3\)"):
        changed(random_program(1), charge_max_kw=np.ones((8, 2)))


def test_an_unknown_route_is_refused():
    with pytest.raises(ContractError, match="none of auto, structured, piqp, clarabel"):
        chosen.solve(random_program(1), solver="simplex")
