"""How fast batteries age: a simple law whose numbers the scenario may give."""

from __future__ import annotations

from pydantic import Field, PositiveFloat

from cosim.devices.kind import Config


class BatteryAgeing(Config):
    """Calendar ageing in proportion to time, and cycle ageing by damage that adds up."""

    calendar_years: PositiveFloat = Field(15.0, description="life of a battery that is never used")
    full_cycles: PositiveFloat = Field(
        5000.0, description="cycles through the whole cell until the end of life, without calendar ageing"
    )
    depth_exponent: PositiveFloat = Field(
        1.0,
        description="a cycle through a part d of the cell takes d to this power of the life that a full "
        "cycle takes; 1: throughput alone counts, more: deep cycles wear more",
    )
