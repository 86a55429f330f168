"""Exact power flow of a balanced feeder with constant-power demand, by backward-forward sweeps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import splu

from cosim.errors import FeederError
from cosim.model.arrays import ComplexArray, FloatArray
from cosim.networks.balanced import BalancedFeeder

TOLERANCE_PU = 1e-12
MAX_SWEEPS = 500
COLLAPSE_PU = 0.3
"""Below this voltage a sweep is on its way to nowhere: the upper solution of a feeder that can carry
its load stays above half of the source (two-bus nose curve)."""


@dataclass(frozen=True)
class PowerFlow:
    """A solved power flow.

    Attributes:
        voltage_pu: complex, shape (bus,); the substation has angle zero.
        current_amps: complex current into the end of each branch, shape (branch,).
        losses_kw, losses_kvar: of all branches.
        import_kw, import_kvar: fed in at the substation.
        sweeps: how many it took.
    """

    voltage_pu: ComplexArray
    current_amps: ComplexArray
    losses_kw: float
    losses_kvar: float
    import_kw: float
    import_kvar: float
    sweeps: int


def power_flow(feeder: BalancedFeeder, kw: FloatArray, kvar: FloatArray) -> PowerFlow:
    """Solve for the voltages under constant power.

    Args:
        feeder: the feeder; its own loads and devices are not added, see
            :meth:`BalancedFeeder.peak_demand`.
        kw, kvar: net power drawn at each bus, positive consumption, shape (bus,).

    Returns:
        The power flow, converged to 1e-12 pu between sweeps.

    Raises:
        FeederError: the sweeps do not converge, so the feeder cannot carry the demand.

    Source: D. Shirmohammadi, H. W. Hong, A. Semlyen, G. X. Luo, "A compensation-based power flow
    method for weakly meshed distribution and transmission networks", IEEE Trans. Power Systems 3(2),
    1988. Both sweeps of the paper are solves with one triangular matrix here.
    """
    base_v = feeder.base_kv * 1e3
    source_v = feeder.source_pu * base_v
    impedance = feeder.branches.r_ohm + 1j * feeder.branches.x_ohm
    power = 1e3 * (np.asarray(kw, dtype=np.float64) + 1j * np.asarray(kvar, dtype=np.float64))
    # Row k: voltage at the end of branch k minus voltage at its start. In outward order the matrix is
    # triangular with a unit diagonal, so its factors are itself and nothing fills in.
    tree = _tree(feeder)
    outwards = splu(tree, permc_spec="NATURAL", diag_pivot_thresh=0.0)
    inwards = splu(tree.T.tocsc(), permc_spec="NATURAL", diag_pivot_thresh=0.0)
    voltage = np.full(feeder.size, source_v, dtype=np.complex128)
    for sweep in range(1, MAX_SWEEPS + 1):
        current = np.asarray(inwards.solve(np.conj(power[1:] / voltage[1:])), dtype=np.complex128)
        after = source_v - outwards.solve(impedance * current)
        change = float(np.abs(after - voltage[1:]).max()) / base_v
        voltage[1:] = after
        if not np.isfinite(change) or np.abs(after).min() < COLLAPSE_PU * base_v:
            break
        if change < TOLERANCE_PU:
            losses = np.sum(impedance * np.abs(current) ** 2) / 1e3
            total = losses + power.sum() / 1e3
            return PowerFlow(
                voltage / base_v,
                current,
                float(losses.real),
                float(losses.imag),
                float(total.real),
                float(total.imag),
                sweep,
            )
    raise FeederError(
        f"{feeder.name}: the power flow does not converge for {np.sum(kw):.6g} kW and "
        f"{np.sum(kvar):.6g} kvar; lower the demand or strengthen the branches"
    )


def _tree(feeder: BalancedFeeder) -> sp.csc_array:
    """Branch-bus incidence without the substation, shape (branch, branch)."""
    start, size = feeder.branches.from_bus, feeder.size - 1
    inner = np.flatnonzero(start > 0)
    row = np.concatenate((np.arange(size), inner))
    column = np.concatenate((np.arange(size), start[inner] - 1))
    value = np.concatenate((np.ones(size), -np.ones(len(inner)))).astype(np.complex128)
    return sp.csc_array((value, (row, column)), shape=(size, size))
