"""The planners that decide taps and capacitor states, for scenarios."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field, PositiveInt

from cosim.model.site import Site
from cosim.model.timegrid import Horizon
from cosim.model.twin import OpenTwin
from cosim.opf.metaheuristics.options import SearchOptions
from cosim.opf.options import PlannerOptions
from cosim.plugins import Options, needs, options, seeded

if TYPE_CHECKING:
    from cosim.opf.network_positions.planner import PositionPlanner


class HybridOptions(SearchOptions):
    """What a scenario may ask of planner hybrid alone."""

    warm_evaluations: PositiveInt = Field(
        800, description="candidates of each evolutionary search, at most"
    )
    rounds: PositiveInt = Field(3, description="evolutionary searches of a plan, at most")


class ProgramOptions(Options):
    """What a scenario may ask of planners tangent_rounding and tangent_binary."""

    rounds: PositiveInt = Field(4, description="programs in the positions, of a plan, at most")
    reach: PositiveInt = Field(4, description="positions that a program may move a device")


@needs("twin")
@options(HybridOptions)
@seeded
def hybrid(
    site: Site,
    horizon: Horizon,
    common: PlannerOptions,
    twin: OpenTwin,
    *,
    options: HybridOptions,
    seed: int = 0,
) -> PositionPlanner:
    """Evolutionary search for taps and capacitor states, the tangent planner for set-points."""
    from cosim.opf.network_positions.evolution import EvolutionaryProposal
    from cosim.opf.network_positions.planner import PositionPlanner

    proposal = EvolutionaryProposal(options)
    return PositionPlanner("hybrid", proposal, options.rounds, site, horizon, common, twin(), seed)


@needs("twin")
@options(ProgramOptions)
def tangent_rounding(
    site: Site, horizon: Horizon, common: PlannerOptions, twin: OpenTwin, *, options: ProgramOptions
) -> PositionPlanner:
    """Relaxed taps and capacitor states rounded, the tangent planner for set-points."""
    from cosim.opf.network_positions.planner import PositionPlanner
    from cosim.opf.network_positions.rounding import RoundedProposal

    proposal = RoundedProposal(options.reach)
    return PositionPlanner("tangent_rounding", proposal, options.rounds, site, horizon, common, twin())


@needs("twin")
@options(ProgramOptions)
def tangent_binary(
    site: Site, horizon: Horizon, common: PlannerOptions, twin: OpenTwin, *, options: ProgramOptions
) -> PositionPlanner:
    """Taps and capacitor states by a mixed-integer program, the tangent planner for set-points."""
    from cosim.opf.network_positions.binary import BinaryProposal
    from cosim.opf.network_positions.planner import PositionPlanner

    proposal = BinaryProposal(options.reach)
    return PositionPlanner("tangent_binary", proposal, options.rounds, site, horizon, common, twin())
