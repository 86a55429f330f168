"""Options of planners of areas."""

from __future__ import annotations

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat

from cosim.plugins import Options


class LinkOptions(Options):
    """What happens to messages between two areas, in both directions."""

    loss: float = Field(0.0, ge=0.0, lt=1.0, description="share of messages between areas that get lost")
    delay_rounds: NonNegativeInt = Field(0, description="rounds by which every message is late")
    jitter_rounds: NonNegativeInt = Field(0, description="further delay, even between 0 and this")
    stale: float = Field(
        0.0, ge=0.0, lt=1.0, description="share of messages that repeat the values of the one before"
    )

    @property
    def perfect(self) -> bool:
        """Whether every message arrives at once and as it was sent."""
        return not (self.loss or self.delay_rounds or self.jitter_rounds or self.stale)


class NamedLinkOptions(LinkOptions):
    """The link between two areas that are named."""

    between: tuple[str, str] = Field(description="names of two areas, such as [area1, area2]")


class AreasOptions(LinkOptions):
    """How a feeder is cut into areas, when they agree, and what happens to their messages.

    Attributes:
        tolerance: below this distance of boundary values areas agree; planners say what it counts.
    """

    areas: int = Field(4, ge=1, description="number of areas, cut by the rule; not with cuts")
    cuts: tuple[str, ...] = Field(
        (), description="lines, switches, transformers that are cut; instead of areas"
    )
    tolerance: float
    links: tuple[NamedLinkOptions, ...] = Field(
        (), description="links that differ from loss, delay_rounds, jitter_rounds and stale above"
    )
    seed: NonNegativeInt = Field(0, description="of messages that are lost, late or old")
    hold_s: NonNegativeFloat | None = Field(
        None,
        description="time for which the others go on with the last values of an area that is silent, then "
        "it is in the safe state; none: it ends the run",
    )
    hang_limit_s: PositiveFloat | None = Field(
        None,
        description="over HELICS, with hold_s: an area whose process does not move for so many seconds is "
        "ended and counts as silent; none: control.hang_limit_s ends the run",
    )

    def link(self, one: str, other: str) -> LinkOptions:
        """What happens to messages between two areas."""
        named = (link for link in self.links if {*link.between} == {one, other})
        return next(named, self)

    def always_heard(self, one: str, other: str) -> bool:
        """Whether two areas hear every message of each other, so that both always know the same."""
        return self.hold_s is None and self.link(one, other).perfect

    @property
    def all_perfect(self) -> bool:
        """Whether all links are perfect."""
        return self.perfect and all(link.perfect for link in self.links)
