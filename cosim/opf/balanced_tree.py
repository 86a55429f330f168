"""A balanced feeder: one node per bus, one impedance per branch; and its exact power flow.

Flows are counted where they arrive. With z = r + jx of the branch into node j (per unit per kVA),
S its arriving power in kVA, l = |S|²/v and a the squared no-load ratio of the branch,

    S_j     = demand_j + sum over children k of (S_k + z_k l_k)
    a v_i   = v_j + 2 Re(conj(z) S) + |z|² l
    |S_j|²  = v_j l_j

Source: Baran and Wu, 1989, eqs. 1-3, written from the receiving end.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import splu

from cosim.errors import FeederError, FormulationRefused
from cosim.model.arrays import BoolArray, ComplexArray, FloatArray, IntArray, Matrix
from cosim.model.network import RadialNetwork, SparseEntries
from cosim.opf.linear_flow import complex_matrix, real_matrix

SWEEPS = 200
CONVERGED_PU2 = 1e-13


@dataclass(frozen=True)
class BranchFlow:
    """Exact flow, one column per period.

    Attributes:
        flow_kva: power arriving at each node, shape (node, period).
        current_kva2: l = |S|²/v of each branch, shape (node, period).
        squared_pu: squared voltage, shape (node, period).
        import_kva: power the feeder draws, shape (period,).
        losses_kw: shape (period,).
    """

    flow_kva: ComplexArray
    current_kva2: FloatArray
    squared_pu: FloatArray
    import_kva: ComplexArray
    losses_kw: FloatArray


class BalancedTree:
    """A radial network in which every branch is a single impedance.

    Args:
        network: extracted from the feeder.
        formulation: who asks, for the message of a refusal.

    Raises:
        FormulationRefused: phases are coupled, or a load is of a kind that the branch-flow equations
            do not hold for; the message names it and says what to use.
    """

    def __init__(self, network: RadialNetwork, formulation: str) -> None:
        self.network = network
        size = self.size = network.size
        self._refuse_phases(formulation)
        self._refuse_loads(formulation)
        drop = complex_matrix(network.drop, (size, size))
        self.z: ComplexArray = np.asarray(drop.diagonal())
        self.parent: IntArray = np.full(size, -1, dtype=np.int64)
        self.parent[network.gain.row] = network.gain.column
        self.heads: BoolArray = self.parent < 0
        self._ratio = np.zeros(size)
        self._ratio[network.gain.row] = network.gain.real
        self._exponent = real_matrix(network.tap_exponent, (size, max(len(network.regulators), 1)))
        self.load_share: Matrix = real_matrix(network.load_share, (size, len(network.loads)))
        children = np.flatnonzero(~self.heads)
        shape = (size, size)
        self.children: Matrix = sp.csr_matrix(
            (np.ones(len(children)), (self.parent[children], children)), shape=shape
        )
        carry = (sp.identity(size, format="csc") - self.children).astype(np.complex128)
        self._flows = splu(carry.tocsc(), permc_spec="NATURAL")
        # A load's squared voltage per unit of its rating, for that of its node.
        self.load_weight = _row_sums(network.load_voltage, len(network.loads))
        self.set_taps(network.tap)

    def _refuse_phases(self, formulation: str) -> None:
        network = self.network
        coupled = _first_coupled(network)
        if coupled is not None:
            raise FormulationRefused(
                f"planner {formulation} is written for balanced feeders, one node per bus: "
                f"{network.nodes[coupled]} is coupled with other phases. Use planner lindistflow, or "
                "make the single-phase equivalent of this feeder with cosim feeder balanced"
            )

    def _refuse_loads(self, formulation: str) -> None:
        network = self.network
        bent = np.abs(network.load_zip_p[:, 1]) + np.abs(network.load_zip_q[:, 1]) > 1e-9
        if bent.any():
            name = network.loads[int(np.flatnonzero(bent)[0])]
            raise FormulationRefused(
                f"planner {formulation} knows loads of constant power and constant impedance; load {name} "
                "has a share of constant current. Use planner lindistflow"
            )

    def set_taps(self, taps: FloatArray) -> None:
        """Follow the measured tap ratios."""
        network = self.network
        if len(network.regulators):
            factor = np.exp(2.0 * (self._exponent @ np.log(taps / network.tap)))
        else:
            factor = np.ones(self.size)
        self.ratio: FloatArray = self._ratio * factor
        inner = ~self.heads
        self.upstream: Matrix = sp.csr_matrix(
            (self.ratio[inner], (np.flatnonzero(inner), self.parent[inner])), shape=(self.size, self.size)
        )
        self._voltages = splu(
            (sp.identity(self.size, format="csc") - self.upstream).tocsc(), permc_spec="NATURAL"
        )

    def demand(self, demand_kw: FloatArray, demand_kvar: FloatArray) -> tuple[ComplexArray, ComplexArray]:
        """Constant-power demand, and demand per squared voltage, each of shape (node, period).

        Args:
            demand_kw, demand_kvar: at rated voltage, shape (load, period).
        """
        network = self.network
        p, q = network.load_zip_p, network.load_zip_q
        constant = demand_kw * p[:, 2:3] + 1j * demand_kvar * q[:, 2:3]
        weight = self.load_weight[:, None]
        impedance = weight * (demand_kw * p[:, :1] + 1j * demand_kvar * q[:, :1])
        shunt = -1j * np.repeat(network.shunt_kvar[:, None], demand_kw.shape[1], axis=1)
        return self.load_share @ constant, self.load_share @ impedance + shunt

    def carried(self, consumption_kva: FloatArray) -> FloatArray:
        """What arrives at each node without losses, shape (node,)."""
        return np.asarray(self._flows.solve(np.asarray(consumption_kva, dtype=np.complex128)).real)

    def flow(
        self, constant_kva: ComplexArray, per_squared_kva: ComplexArray, source_ratio: FloatArray
    ) -> BranchFlow:
        """Exact power flow by repeated sweeps.

        Args:
            constant_kva: consumption at each node, shape (node, period).
            per_squared_kva: consumption per squared voltage, shape (node, period).
            source_ratio: voltage of the source over what the master says, shape (period,), or
                (period, head) for an area.

        Raises:
            FeederError: the sweeps do not converge: the feeder cannot carry this.
        """
        z = self.z[:, None]
        source2 = self.network.source_squared_pu(source_ratio)
        squared = self._voltages.solve(np.ascontiguousarray(source2))
        lost = np.zeros_like(constant_kva)
        for _ in range(SWEEPS):
            consumption = constant_kva + per_squared_kva * squared
            # A node sends what it consumes and what its children's branches lose.
            flow = self._flows.solve(np.ascontiguousarray(consumption + self.children @ lost))
            current = np.abs(flow) ** 2 / squared
            drop = 2.0 * (np.conj(z) * flow).real + np.abs(z) ** 2 * current
            after = self._voltages.solve(np.ascontiguousarray(source2 - drop))
            lost = z * current
            moved = float(np.max(np.abs(after - squared), initial=0.0))
            squared = after
            if not np.isfinite(moved) or float(squared.min(initial=1.0)) <= 0.01:
                break
            if moved < CONVERGED_PU2:
                imported = flow[self.heads].sum(axis=0)
                inner = ~self.heads
                return BranchFlow(flow, current, squared, imported, lost[inner].real.sum(axis=0))
        raise FeederError(
            "the branch-flow equations do not converge: the planned injections are beyond what the "
            "feeder can carry"
        )


def _first_coupled(network: RadialNetwork) -> int | None:
    """First node whose branch or load is not that of a single conductor."""
    shares = (network.share, network.load_share, network.device_share)
    for values in shares:
        odd = (np.abs(values.real - 1.0) > 1e-6) | (np.abs(values.imaginary) > 1e-6)
        if odd.any():
            place = values.row if values is not network.share else values.column
            return int(place[np.flatnonzero(odd)[0]])
    mutual = network.drop.row != network.drop.column
    if mutual.any():
        return int(network.drop.row[np.flatnonzero(mutual)[0]])
    doubled = np.bincount(network.gain.row, minlength=network.size) > 1
    if doubled.any():
        return int(np.flatnonzero(doubled)[0])
    return None


def _row_sums(values: SparseEntries, rows: int) -> FloatArray:
    return np.asarray(np.bincount(values.row, weights=values.real, minlength=rows), dtype=np.float64)
