"""Options of planners, from configuration to plain values."""

from __future__ import annotations

from cosim.opf.options import Limits, Objective, PlannerOptions, Terminal
from cosim.run.planner_config import PlannerConfig
from cosim.run.scenario import Scenario

SHARE_OF_DEADLINE = 0.8
"""Of a decision's deadline that a solver may use; the rest is for what comes before and after."""


def planner_options(scenario: Scenario) -> PlannerOptions:
    """Options of the planner, from configuration to plain values."""
    config: PlannerConfig = scenario.control.planner
    terminal = config.terminal
    return PlannerOptions(
        objective=Objective(**config.objective.model_dump()),
        limits=Limits(**scenario.limits.model_dump()),
        terminal=Terminal(terminal.type, terminal.soc, terminal.per_kwh),
        complementarity=config.complementarity,
        capability=config.inverter,
        anchor=config.anchor,
        storage_reactive=config.storage_reactive,
        pv_reactive=config.pv_reactive,
        pv_curtail=config.pv_curtail,
        storage_loss_cost_per_kwh=config.storage_loss_cost_per_kwh,
        throughput_cost_per_kwh=config.throughput_cost_per_kwh,
        curtailment_cost_per_kwh=config.curtailment_cost_per_kwh,
        reactive_cost_per_kvarh=config.reactive_cost_per_kvarh,
        solver=config.solver,
        solver_seconds=_solver_seconds(scenario),
        uncertainty=None if config.uncertainty is None else config.uncertainty.planning(),
    )


def _solver_seconds(scenario: Scenario) -> float | None:
    """Time of a solve: what the planner was given, and no more than a part of the deadline."""
    own, deadline = scenario.control.planner.solver_seconds, scenario.control.deadline_s
    most = None if deadline is None else SHARE_OF_DEADLINE * deadline
    return min((seconds for seconds in (own, most) if seconds is not None), default=None)
