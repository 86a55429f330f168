"""How far to go from positions to other ones: the best of some parts of the way by exact flows."""

from __future__ import annotations

import numpy as np

from cosim.model.arrays import FloatArray
from cosim.opf.network_positions.planner import FixedDispatch

PARTS = (0.25, 0.5, 1.0)
"""Parts of the way that are rounded and looked at."""


def best_on_the_way(flows: FixedDispatch, position: FloatArray, target: FloatArray) -> FloatArray:
    """Positions that can be carried out, shape (period, network device).

    The expansions that targets come from add up the effects of devices; here they act together.

    Args:
        flows: exact flows of positions.
        position, target: from where to where, shape (period, network device).
    """
    wished = [position + part * (target - position) for part in PARTS]
    allowed = np.concatenate([position[None], flows.schedule.repaired(np.stack(wished))])
    merit = flows.evaluate(allowed).merit_by_period.sum(axis=1) + flows.schedule.price(allowed)
    return np.asarray(allowed[int(np.argmin(merit))])
