"""Rows of the planners' benchmark: every route measures the same small case."""

from __future__ import annotations

import pytest

pytest.importorskip("benchmarks", reason="benchmarks are not part of an installed package")

from benchmarks.opf.cases import CaseSpec
from benchmarks.opf.row import measure
from benchmarks.opf.row_spec import RowSpec

SMALL = CaseSpec("ieee13", der=2, periods=6, steps=2)


@pytest.fixture(scope="module")
def rows() -> dict[tuple[str, str], dict]:
    routes = [
        ("tangent", "auto"),
        *(("lindistflow", solver) for solver in ("clarabel", "full-piqp", "tuned-highs", "tuned-piqp")),
    ]
    return {route: measure(RowSpec(SMALL, *route)) for route in routes}


@pytest.mark.slow
def test_every_route_plans_and_is_timed(rows) -> None:
    for route, row in rows.items():
        assert row["error"] == "", route
        assert row["warm_steps"] == 2
        assert row["warm_without_plan"] == 0
        assert 0.0 < row["warm_cpu_median_s"] <= row["warm_cpu_max_s"]


@pytest.mark.slow
def test_all_routes_of_one_program_find_its_optimum(rows) -> None:
    """Whole or with the network eliminated: optima of one linear program, told apart by ties at most."""
    costs = {route[1]: row["planned_cost"] for route, row in rows.items() if route[0] == "lindistflow"}
    assert costs.pop("full-piqp") == pytest.approx(costs["clarabel"], rel=1e-6)
    for solver, cost in costs.items():
        assert cost == pytest.approx(costs["clarabel"], rel=1e-4), solver


@pytest.mark.slow
def test_the_tangent_plan_is_exact_and_the_linear_one_is_not(rows) -> None:
    exact, linear = rows["tangent", "auto"]["held"], rows["lindistflow", "clarabel"]["held"]
    assert exact["voltage_error_pu"] < 1e-6
    assert linear["voltage_error_pu"] > 1e-4


@pytest.mark.slow
def test_the_plant_pays_for_the_steps_alone(rows) -> None:
    """Three of the six periods of a day are run; batteries move what they pay by less than half."""
    for row in rows.values():
        assert 0.2 * row["planned_energy_cost"] < row["plant_cost"] < 0.9 * row["planned_energy_cost"]


def test_what_is_asked_wrongly_is_said() -> None:
    row = measure(RowSpec(SMALL, "tangent", "gurobi"))
    assert "gurobi" in str(row["error"])
    assert "structured" in str(row["error"])


def test_the_nonlinear_program_and_the_tangent_plan_agree() -> None:
    pytest.importorskip("casadi", reason="the nonlinear program needs IPOPT: pip install -e '.[dev]'")
    row = measure(RowSpec(SMALL, "nlp"))
    assert row["error"] == ""
    assert row["exact"]
    assert row["tangent_cost_over_nlp"] == pytest.approx(0.0, abs=1e-3)
