"""Options of planners of areas."""

from __future__ import annotations

from pydantic import Field

from cosim.plugins import Options


class AreasOptions(Options):
    """How a feeder is cut into areas, and when they agree.

    Attributes:
        tolerance: below this distance of boundary values areas agree; planners say what it counts.
    """

    areas: int = Field(4, ge=1, description="number of areas, cut by the rule; not with cuts")
    cuts: tuple[str, ...] = Field(
        (), description="lines, switches, transformers that are cut; instead of areas"
    )
    tolerance: float
