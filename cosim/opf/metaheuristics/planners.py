"""The planners that search all set-points by a population of candidates, for scenarios."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from cosim.model.site import Site
from cosim.model.timegrid import Horizon
from cosim.model.twin import OpenTwin
from cosim.opf.metaheuristics.options import SearchOptions
from cosim.opf.options import PlannerOptions
from cosim.plugins import needs, options, seeded

if TYPE_CHECKING:
    from cosim.opf.metaheuristics.planner import MetaheuristicPlanner


class Nsga2Options(SearchOptions):
    """What a scenario may ask of planner nsga2 alone."""

    objectives: tuple[Literal["cost", "losses", "voltage_deviation", "peak"], ...] = Field(
        ("cost", "voltage_deviation", "peak"), min_length=2, description="to be minimised"
    )
    choice: Literal["first", "compromise"] = Field(
        "first",
        description="point of the front that is planned: least first objective, or nearest to the ideal",
    )


@needs("twin")
@options(SearchOptions)
@seeded
def particle_swarm(
    site: Site,
    horizon: Horizon,
    common: PlannerOptions,
    twin: OpenTwin,
    *,
    options: SearchOptions,
    seed: int = 0,
) -> MetaheuristicPlanner:
    """Particle swarm with adaptive weights, for every feeder the twin covers."""
    from pymoo.algorithms.soo.nonconvex.pso import PSO

    from cosim.opf.metaheuristics.planner import MetaheuristicPlanner, Method

    method = Method("particle_swarm", lambda first, _: PSO(pop_size=len(first), sampling=first))
    return MetaheuristicPlanner(method, site, horizon, common, twin(), options, seed)


@needs("twin")
@options(SearchOptions)
@seeded
def grey_wolf_equilibrium(
    site: Site,
    horizon: Horizon,
    common: PlannerOptions,
    twin: OpenTwin,
    *,
    options: SearchOptions,
    seed: int = 0,
) -> MetaheuristicPlanner:
    """Grey wolf optimizer with equilibrium disturbance, for every feeder the twin covers."""
    from cosim.opf.metaheuristics.grey_wolf_equilibrium import GreyWolfEquilibrium
    from cosim.opf.metaheuristics.planner import MetaheuristicPlanner, Method

    method = Method(
        "grey_wolf_equilibrium", lambda first, progress: GreyWolfEquilibrium(first, progress.share)
    )
    return MetaheuristicPlanner(method, site, horizon, common, twin(), options, seed)


@needs("twin")
@options(Nsga2Options)
@seeded
def nsga2(
    site: Site,
    horizon: Horizon,
    common: PlannerOptions,
    twin: OpenTwin,
    *,
    options: Nsga2Options,
    seed: int = 0,
) -> MetaheuristicPlanner:
    """Non-dominated sorting genetic algorithm with a Pareto front, for every feeder the twin covers."""
    from pymoo.algorithms.moo.nsga2 import NSGA2

    from cosim.opf.metaheuristics.planner import MetaheuristicPlanner, Method

    method = Method(
        "nsga2",
        lambda first, _: NSGA2(pop_size=len(first), sampling=first),
        options.objectives,
        options.choice,
    )
    return MetaheuristicPlanner(method, site, horizon, common, twin(), options, seed)
