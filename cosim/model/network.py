"""The feeder as a tree of multi-phase branches, linear about one operating point.

A *node* is a voltage that is watched: phase to ground (``65.1``) on a grounded section, or phase to
phase (``775.1-2``) on a three-wire section, where a voltage to ground says nothing. Every branch,
be it a line, a bank of regulators, a delta-wye transformer or a centre-tapped service, has the form

    V_to = A V_from - Z I_to

so nothing else needs to be known of windings. The matrices below are A and Z turned into squared
magnitudes and powers at the operating point.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cosim.model.arrays import FloatArray, IntArray, Matrix


@dataclass(frozen=True)
class SparseEntries:
    """A sparse matrix as its entries, in plain arrays that can cross a wire.

    Attributes:
        row, column: place of each entry.
        real, imaginary: value of each entry.
    """

    row: IntArray
    column: IntArray
    real: FloatArray
    imaginary: FloatArray


@dataclass(frozen=True)
class RadialNetwork:
    """Linear multi-phase model of a radial feeder; sources and signs as in the module's text.

    Nodes are ordered from the source outwards: a branch only refers to nodes before its own.

    Attributes:
        nodes: names of the nodes, the order of every measured vector per node.
        base_kv: voltage base of each node, shape (node,).
        head: nodes at the source bus; the power they receive is the feeder's import.
        source_pu: voltage behind the source's impedance, shape (head,).
        gain: squared voltage of a node per squared voltage of its parent nodes, per unit.
        share: complex power drawn at a parent node per power received at a node, lossless.
        drop: complex H; squared voltage falls by 2 (Re H P + Im H Q), per unit per kVA.
        limit_kva: power a branch may carry into a node at rated voltage, shape (node,); 0 is no limit.
        regulators: names of the regulating transformers.
        tap_exponent: how the gain follows each tap, shape (node, regulator): gain is multiplied by
            ``(tap / tap_at_extraction) ** (2 * exponent)``.
        tap: tap ratios at extraction, shape (regulator,).
        loads: names of the loads, in the order of the measurement.
        load_kva: nominal apparent power of each load, shape (load,).
        load_share: power at a node per power of a load, shape (node, load).
        load_voltage: weights that give a load's squared voltage from the nodes', shape (load, node),
            per unit of the load's rating.
        load_zip_p, load_zip_q: shares of constant impedance, current and power, shape (load, 3).
        shunt_kvar: reactive power of capacitors at 1 pu, shape (node,).
        device_share: power at a node per power of a device.
        branches: names of the elements that feed each node.
        bank_kvar: reactive power of each capacitor bank that a controller switches, closed and at 1 pu,
            shape (node, network device of the site); no entries for tap changers.
        heads_measured: the heads are nodes of another area. Their voltage is measured, and nobody measures
            the power that they receive.
    """

    nodes: tuple[str, ...]
    base_kv: FloatArray
    head: IntArray
    source_pu: FloatArray
    gain: SparseEntries
    share: SparseEntries
    drop: SparseEntries
    limit_kva: FloatArray
    regulators: tuple[str, ...]
    tap_exponent: SparseEntries
    tap: FloatArray
    loads: tuple[str, ...]
    load_kva: FloatArray
    load_share: SparseEntries
    load_voltage: SparseEntries
    load_zip_p: FloatArray
    load_zip_q: FloatArray
    shunt_kvar: FloatArray
    device_share: SparseEntries
    branches: tuple[str, ...]
    bank_kvar: SparseEntries
    heads_measured: bool = False

    @property
    def size(self) -> int:
        """Number of nodes."""
        return len(self.nodes)

    def source_squared_pu(self, ratio: FloatArray) -> FloatArray:
        """Squared voltage of the source at the head nodes, zero at the others, shape (node, period).

        Args:
            ratio: voltage over ``source_pu``, shape (period,), or (period, head) where heads differ.
        """
        squared = np.zeros((self.size, len(ratio)))
        squared[self.head] = self.source_pu[:, None] ** 2 * (ratio.T if ratio.ndim == 2 else ratio) ** 2
        return squared


def entries(matrix: Matrix) -> SparseEntries:
    """Entries of a scipy sparse matrix, zeros left out, ordered by row."""
    tidy = matrix.tocsr()
    tidy.sum_duplicates()
    coo = tidy.tocoo()
    keep = coo.data != 0
    values = coo.data[keep]
    return SparseEntries(
        row=coo.row[keep].astype(np.int64),
        column=coo.col[keep].astype(np.int64),
        real=np.ascontiguousarray(values.real, dtype=np.float64),
        imaginary=np.ascontiguousarray(values.imag, dtype=np.float64),
    )
