"""Options of planner dual_price."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, NonNegativeInt

from cosim.opf.distributed.planner_options import AreasOptions

Privacy = Literal["none", "sums", "masking", "paillier"]
SCALES = (0.1, 0.02)
"""How far prices of active and reactive power move, as a part of the price of energy."""


class DualPriceOptions(AreasOptions):
    """Options of planner dual_price."""

    rounds: int = Field(40, ge=1, le=240, description="largest number of rounds of every plan")
    tolerance: float = Field(
        0.02, gt=0.0, description="difference of request and answer below which they agree, per unit"
    )
    dual_tolerance: float = Field(
        0.1, gt=0.0, description="change of requests times penalty below which they agree"
    )
    penalty: float = Field(1.0, gt=0.0, description="factor of the first penalties")
    relaxation: float = Field(1.6, ge=1.0, lt=2.0, description="over-relaxation; 1 is none")
    privacy: Privacy = Field(
        "none",
        description="what the aggregator gets: none: the schedule of each device; sums: the sum of "
        "each owner; masking, paillier: the sum of all owners besides its own",
    )
    seed: NonNegativeInt = Field(
        0, description="of messages that are lost, late or old; of the secrets of owners, with masking"
    )
