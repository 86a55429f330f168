"""Quadratic programs with scenarios: a common first period, and one branch for each scenario."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosim.model.scenario_tree import ScenarioTree
from cosim.opf.structured_qp.sparse_route import solve_piqp
from cosim.opf.structured_qp.step_program import SoftRows, StepProgram
from cosim.opf.structured_qp.structured import solve_structured
from tests.opf.test_step_program import random_program

SAME_COST = 1e-6  # relative: ten times the routes' tolerance


def scenario_program(branches: int, seed: int = 0, *, end="fixed", peak=False, periods=6) -> StepProgram:
    """Scenarios with a price and a sun of their own, costs divided by their number."""
    draw, tree = np.random.default_rng(seed), ScenarioTree(periods, branches)
    one = random_program(seed, periods=periods, end=end, peak=peak)
    share = tree.node_weight(np.full(branches, 1.0 / branches))[:, None]
    sun = np.where(tree.period == 0, 1.0, draw.uniform(0.5, 1.3, len(tree)))[:, None]
    price = np.where(tree.period == 0, 1.0, draw.uniform(0.6, 1.5, len(tree)))[:, None]

    def spread(part, weighted=()):
        changes = {}
        for item in fields(part):
            value = getattr(part, item.name)
            if np.ndim(value) and np.shape(value)[:1] == (periods,) and item.name in ROWS_OF_PERIODS:
                value = value[tree.period]
                changes[item.name] = value * (share if item.name.endswith("cost") else 1.0)
        return replace(part, **changes)

    energy, sources, tangent = spread(one.energy), spread(one.sources), one.tangent
    sources = replace(
        sources, available_kw=sources.available_kw * sun, curtail_max_kw=sources.curtail_max_kw * sun
    )
    tangent = replace(
        tangent,
        gradient_p=tangent.gradient_p[tree.period] * price * share,
        gradient_q=tangent.gradient_q[tree.period] * share,
        damping=tangent.damping[tree.period] * share,
        centre_p_kw=tangent.centre_p_kw[tree.period],
        centre_q_kvar=tangent.centre_q_kvar[tree.period],
        mode_weight=tangent.mode_weight[tree.period] * share[:, 0],
    )
    at = [np.flatnonzero(tree.period[:, None] == one.rows.period)]
    node, row = np.divmod(at[0], len(one.rows.period))
    rows = SoftRows(
        node, *(getattr(one.rows, name)[row] for name in ("p", "q", "limit", "price", "of_peak"))
    )
    return StepProgram(
        hours=one.hours[tree.period],
        energy=replace(energy, end_price=np.tile(one.energy.end_price / branches, (branches, 1))),
        sources=sources,
        tangent=tangent,
        rows=replace(rows, price=rows.price * share[node, 0]),
        peak=one.peak,
        scenarios=tree,
    )


ROWS_OF_PERIODS = {
    "charge_max_kw", "discharge_max_kw", "reactive_max_kvar", "absorb_max_kvar", "least_kwh", "most_kwh",
    "drain_kwh", "charge_cost", "discharge_cost", "reactive_cost", "available_kw", "curtail_max_kw",
    "curtail_cost",
}  # fmt: skip


@settings(max_examples=8, deadline=None)
@given(
    seed=st.integers(0, 50),
    branches=st.integers(2, 5),
    end=st.sampled_from(["free", "fixed", "value", "soft"]),
    peak=st.booleans(),
)
def test_structured_and_general_solver_agree_on_scenarios(seed, branches, end, peak):
    program = scenario_program(branches, seed, end=end, peak=peak)
    structured, general = solve_structured(program), solve_piqp(program)
    assert structured.status == "optimal", structured.message
    # Objectives are sums of costs and gains, of the peak the largest, and may pass through zero.
    scale = max(abs(general.objective), 10.0)
    assert structured.objective == pytest.approx(general.objective, abs=SAME_COST * scale)
    # The bound that the multipliers prove: no other routine is trusted for it.
    assert structured.gap <= SAME_COST * scale
    assert structured.primal_residual <= 1e-6
