"""Options of planners that search by a population of candidates."""

from __future__ import annotations

from pydantic import Field, PositiveFloat, PositiveInt

from cosim.opf.metaheuristics.budget import Budget
from cosim.plugins import Options


class SearchOptions(Options):
    """Population and budget of a search."""

    population: int = Field(40, ge=8, description="candidates of a generation")
    evaluations: PositiveInt = Field(4000, description="candidates of a first plan, at most")
    warm_evaluations: PositiveInt = Field(
        2000, description="candidates of a plan that follows another, at most"
    )
    cpu_s: PositiveFloat | None = Field(
        None,
        description="CPU seconds of a search, at most; a search that this ends is not reproducible",
    )

    def budget(self, *, warm: bool, parts: int = 1) -> Budget:
        """Budget of one of some equal parts of a first plan, or of one that follows another."""
        evaluations = self.warm_evaluations if warm else self.evaluations
        return Budget(max(evaluations // parts, 1), None if self.cpu_s is None else self.cpu_s / parts)
