"""The curvature of the losses in the devices' powers, in few modes."""

from __future__ import annotations

import numpy as np
from scipy.sparse.linalg import eigsh

from cosim.model.arrays import ComplexArray, FloatArray, IntArray
from cosim.model.twin import LossCurvature

FACTOR_PASSES = 8
"""Of the split into modes and diagonal; more change nothing that a step would notice."""


def curvature_of(losses: ComplexArray, site: IntArray, modes: int) -> LossCurvature:
    """Curvature of devices from losses per kW² of theirs.

    Args:
        losses: Hermitian, kW per kW², shape (device, device).
        site: of each device; devices of one site inject into the same legs, shape (device,).
        modes: to keep.
    """
    _, first, size = np.unique(site, return_index=True, return_counts=True)
    rows, own = _split(losses[np.ix_(first, first)], min(modes, len(first)))
    # Of two devices of a site the losses see the sum: (a + b)² is at most 2 (a² + b²).
    a, b = rows.real[:, site], rows.imag[:, site]
    # (a + jb)(dp - j dq) has the real part a dp + b dq and the imaginary part b dp - a dq.
    return LossCurvature(np.concatenate([a, b]), np.concatenate([b, -a]), (size * own)[site])


def _split(losses: ComplexArray, modes: int) -> tuple[ComplexArray, FloatArray]:
    """A Hermitian matrix as ``rows' rows`` of a few strong modes beside a diagonal.

    The diagonal takes what belongs to one site alone (its own service), so that the modes are left with
    what sites share; alternating between the two is the principal-factor method of factor analysis.

    Returns:
        Rows of the modes, shape (mode, site), and the diagonal, at least 0, shape (site,).
    """
    count = len(losses)
    own = losses.diagonal().real.copy()
    rows: ComplexArray = np.zeros((0, count), dtype=np.complex128)
    if not modes:
        return rows, own
    if modes >= count:
        modes, own = count, np.zeros(count)
    else:
        own = 0.5 * own
    for _ in range(FACTOR_PASSES):
        shared = losses - np.diag(own)
        if modes < count - 1:
            # A fixed start makes the answer the same every time.
            strength, shape = eigsh(shared, k=modes, which="LA", v0=np.ones(count, dtype=np.complex128))
        else:
            strength, shape = (part[..., -modes:] for part in np.linalg.eigh(shared))
        rows = np.sqrt(np.maximum(strength, 0.0))[:, None] * np.conj(shape.T)
        rest = np.maximum(losses.diagonal().real - (np.abs(rows) ** 2).sum(axis=0), 0.0)
        if modes == count:
            break
        own = rest
    return rows, own
