"""What the twin knows of a feeder: plain arrays, read once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from cosim.model.arrays import ComplexArray, FloatArray, IntArray
from cosim.twin.load_model import LoadModels


@dataclass(frozen=True)
class Legs:
    """Pairs of nodes between which loads or devices draw their share of a power.

    Attributes:
        a, b: nodes of each leg, shape (leg,); the number of nodes stands for ground.
        base_v: voltage of the leg at which a load draws what it is rated for.
        owner: load or device each leg belongs to.
        share: part of the owner's power.
        law: row of the load laws.
        balance: admittance with which each leg enters the factored matrix; the same current is taken out of
            the leg's own, so any value gives the same flow. Where legs to ground alone hold the voltage of
            a section (behind a delta winding), a fixed point without them would not converge. Siemens.
    """

    a: IntArray
    b: IntArray
    base_v: FloatArray
    owner: IntArray
    share: FloatArray
    law: IntArray
    balance: ComplexArray

    def __len__(self) -> int:
        return len(self.a)


@dataclass(frozen=True)
class Source:
    """The voltage sources as currents beside an admittance.

    Attributes:
        nodes: of all sources, those of the main one first; the same node may be there twice, shape (head,).
        admittance: without couplings between sources, shape (head, head), siemens.
        current: into the network with the admittance counted as network, ampere, shape (head,).
        main: how many of the nodes are of the main source, whose power is the import.
    """

    nodes: IntArray
    admittance: ComplexArray
    current: ComplexArray
    main: int


@dataclass(frozen=True)
class Watch:
    """Voltages that have limits.

    Attributes:
        names: as in the site.
        a, b: nodes; the number of nodes stands for ground.
        base_v: what counts as 1 per unit.
    """

    names: tuple[str, ...]
    a: IntArray
    b: IntArray
    base_v: FloatArray


@dataclass(frozen=True)
class Ampacity:
    """Conductors with a rated current; their current is a row of admittances times node voltages.

    Attributes:
        names: ``element.phase``, one per conductor.
        row: sparse, ampere per volt at the taps of the reading, shape (conductor, node).
        amps: rating, shape (conductor,).
        line: whether the element is a line (a transformer otherwise), shape (conductor,).
    """

    names: tuple[str, ...]
    row: sp.csr_matrix
    amps: FloatArray
    line: IntArray


@dataclass(frozen=True)
class TwinData:
    """A feeder without its loads, and what hangs on it.

    Attributes:
        node_names: order of the nodes, as in the engine.
        base_v: voltage to ground that counts as 1 per unit at each node, shape (node,).
        voltage: at the reading, volt, shape (node,).
        admittance: of lines, transformers, shunts and source, at the taps of the reading, siemens.
        source: see :class:`Source`.
        loads: legs of the loads, ``owner`` counts the site's loads; generators of the master are
            loads behind the last one, see ``standing_kva``.
        standing_kva: consumption of those generators at rated voltage (negative) in each slot from the
            start of the run on, shape (slot, generator); a single slot stands for all times.
        standing: their names, ``class.name``.
        slot_s: length of a slot.
        devices: legs of batteries, then PV systems.
        laws: how loads depend on voltage.
        watch, ampacity: what has limits.
    """

    node_names: tuple[str, ...]
    base_v: FloatArray
    voltage: ComplexArray
    admittance: sp.csc_matrix
    source: Source
    loads: Legs
    standing_kva: ComplexArray
    standing: tuple[str, ...]
    slot_s: float
    devices: Legs
    laws: LoadModels
    watch: Watch
    ampacity: Ampacity

    def standing_over(self, time_s: float, period_s: FloatArray) -> ComplexArray:
        """Mean consumption of the generators over some periods, kVA, shape (period, generator).

        Args:
            time_s: start of the first period, seconds since the start of the run.
            period_s: length of each period, shape (period,).
        """
        slots = len(self.standing_kva)
        if slots == 1:
            return np.broadcast_to(self.standing_kva[0], (len(period_s), self.standing_kva.shape[1]))
        ends = (np.concatenate([[0.0], np.cumsum(period_s)]) + time_s) / self.slot_s
        inside = np.minimum(ends, slots)
        none = np.zeros((1, self.standing_kva.shape[1]))
        summed = np.concatenate([none, np.cumsum(self.standing_kva, axis=0)])
        grid = np.arange(slots + 1)
        columns = [np.interp(inside, grid, c.real) + 1j * np.interp(inside, grid, c.imag) for c in summed.T]
        # Beyond the last slot its value goes on.
        integral = np.column_stack(columns) + (ends - inside)[:, None] * self.standing_kva[-1]
        return np.asarray(np.diff(integral, axis=0) / np.diff(ends)[:, None])

    @property
    def size(self) -> int:
        """Number of nodes."""
        return len(self.node_names)
