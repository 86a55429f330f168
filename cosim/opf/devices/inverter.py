"""The capability of an inverter: a circle, as a polygon or as a cone."""

from __future__ import annotations

from collections.abc import Sequence

import cvxpy as cp
import numpy as np

from cosim.model.arrays import FloatArray
from cosim.model.device import Device
from cosim.opf.devices.circle import POLYGON_SIDES, reactive_limits
from cosim.opf.options import Capability
from cosim.opf.program import RotatedCones


def within_limits(q_kvar: cp.Expression, ratings: Sequence[Device]) -> list[cp.Constraint]:
    """Keep Q within the reactive limits of inverters whose limits are tighter than their circle.

    Args:
        q_kvar: shape (device, period).
        ratings: of the devices.
    """
    injected, absorbed = reactive_limits(ratings)
    kva = np.array([rating.kva for rating in ratings])
    tight = np.flatnonzero(np.minimum(injected, absorbed) < kva)
    if not tight.size:
        return []
    q = q_kvar[tight, :]
    return [q <= injected[tight, None], q >= -absorbed[tight, None]]


def within_circle(
    p_kw: cp.Expression, q_kvar: cp.Expression, kva: FloatArray, shape: Capability
) -> tuple[list[cp.Constraint], list[RotatedCones]]:
    """Keep P and Q of every device and period inside the inverter's circle.

    The polygon is inscribed, with a corner on each end of the P axis: full active power is never
    lost to the approximation, at most 1.9 % of reactive power is.

    Args:
        p_kw, q_kvar: shape (device, period).
        kva: shape (device,).
        shape: ``polygon`` keeps the program linear, ``cone`` is exact.
    """
    scale = 1.0 / kva[:, None]
    p, q = cp.multiply(scale, p_kw), cp.multiply(scale, q_kvar)
    if shape == "cone":
        p_pu, q_pu = cp.Variable(p.shape), cp.Variable(q.shape)
        radius = np.ones(p.shape)
        return [p_pu == p, q_pu == q], [RotatedCones(p_pu, q_pu, radius, radius)]
    angles = (2 * np.arange(POLYGON_SIDES) + 1) * np.pi / POLYGON_SIDES
    apothem = np.cos(np.pi / POLYGON_SIDES)
    return [np.cos(a) * p + np.sin(a) * q <= apothem for a in angles], []
