"""How evenly curtailment falls on the owners of PV systems; every system has an owner of its own.

Sources: R. Jain, D. Chiu, W. Hawe, A quantitative measure of fairness and discrimination for resource
allocation in shared computer systems, DEC TR-301, 1984; C. Gini, Variabilita e mutabilita, 1912.
"""

from __future__ import annotations

import numpy as np

from cosim.experiments.measured import Measured
from cosim.model.arrays import FloatArray

NO_SUN_KWH = 1e-9


def jain_index(shares: FloatArray) -> float:
    """``(sum x)^2 / (n sum x^2)``: 1 where all are equal, 1/n where one has all."""
    squares = float(len(shares) * np.square(shares).sum())
    return float(shares.sum()) ** 2 / squares if squares else 1.0


def gini_index(shares: FloatArray) -> float:
    """``sum |x_i - x_j| / (2 n^2 mean)``: 0 where all are equal, near 1 where one has all."""
    mean = float(shares.mean())
    if mean <= 0.0:
        return 0.0
    apart = float(np.abs(shares[:, None] - shares[None, :]).sum())
    return apart / (2.0 * len(shares) ** 2 * mean)


def _curtailed_shares(measured: Measured) -> FloatArray | None:
    """Energy not produced over energy offered, of each system that was offered any, shape (owner,)."""
    available_kw, pv_kw = measured.record.vector("pv_available_kw"), measured.record.vector("pv_kw")
    offered = available_kw.sum(axis=0) * measured.record.step_h
    sunny = offered > NO_SUN_KWH
    if not sunny.any():
        return None
    curtailed = np.maximum(available_kw - pv_kw, 0.0).sum(axis=0) * measured.record.step_h
    return np.asarray(curtailed[sunny] / offered[sunny])


def curtailment_jain(measured: Measured) -> float | None:
    """Jain index of the shares that the owners could produce; None without sun."""
    shares = _curtailed_shares(measured)
    return None if shares is None else jain_index(1.0 - shares)


def curtailment_gini(measured: Measured) -> float | None:
    """Gini index of the shares that the owners could not produce; None without sun."""
    shares = _curtailed_shares(measured)
    return None if shares is None else gini_index(shares)
