"""The linear program of LinDistFlow with the network eliminated, kept between control steps.

Flows and voltages of the lossless model are linear in the devices alone, so no network variable is
left: the import is a row of cost, a voltage limit is one dense row. Rows enter where an answer breaks
one and stay; between steps only costs, bounds and right-hand sides change. Periods stand in a ring:
a period keeps its place while the horizon moves over it, so that the last basis fits the next step.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import splu

from cosim.devices.pv import PvRating
from cosim.devices.storage import StorageRating
from cosim.model.arrays import FloatArray, IntArray
from cosim.model.site import Site
from cosim.opf.active_tree import ActiveTree
from cosim.opf.devices.circle import POLYGON_SIDES
from cosim.opf.formulations.lindistflow import FAR_AWAY, VOLTAGE_UNIT_PU2
from cosim.opf.options import PlannerOptions

NEGLIGIBLE = 1e-10
"""Entries of a voltage row below this part of its largest are left out."""
ANGLES = (2 * np.arange(POLYGON_SIDES) + 1) * np.pi / POLYGON_SIDES
APOTHEM = float(np.cos(np.pi / POLYGON_SIDES))


@dataclass(frozen=True)
class Reduced:
    """How import and voltages follow the devices, batteries first, then PV systems.

    Attributes:
        import_p, import_q: change of the import per kW and kvar, shape (device,).
        voltage_p, voltage_q: change of each group's squared voltage per kW and kvar, in the program's
            unit, shape (group, device).
    """

    import_p: FloatArray
    import_q: FloatArray
    voltage_p: FloatArray
    voltage_q: FloatArray


def reduce(tree: ActiveTree) -> Reduced:
    """Eliminate flows and voltages of an active tree."""
    flows, voltages = len(tree.flow_nodes), len(tree.voltage_nodes)
    eye = sp.identity(flows, format="csc", dtype=np.complex128)
    flow = splu((eye - tree.share).tocsc()).solve(tree.inject.toarray())
    drop = 2.0 * tree.drop / VOLTAGE_UNIT_PU2
    solver = splu((sp.identity(voltages, format="csc") - tree.gain).tocsc())
    by_p = solver.solve(drop.real @ flow.real + drop.imag @ flow.imag)
    by_q = solver.solve(drop.imag @ flow.real - drop.real @ flow.imag)
    return Reduced(-(tree.head @ flow.real), tree.head @ flow.imag, tree.groups @ by_p, tree.groups @ by_q)


@dataclass
class LinearProgram:
    """min cost z, lower <= z <= upper, row_lower <= matrix z <= row_upper; it only ever grows."""

    cost: FloatArray
    lower: FloatArray
    upper: FloatArray
    matrix: sp.csr_matrix
    row_lower: FloatArray
    row_upper: FloatArray


@dataclass(frozen=True)
class StepData:
    """What a control step changes.

    Attributes:
        head: place of the first period in the ring.
        price: currency per kW of import in each period, shape (period,).
        start, target: stored energy per unit of the cell, shape (battery,).
        available: sun per unit of the panels, shape (PV system, period).
        low, high: bounds of the voltage changes, shape (group, period).
    """

    head: int
    price: FloatArray
    start: FloatArray
    target: FloatArray
    available: FloatArray
    low: FloatArray
    high: FloatArray


class TunedProgram:
    """See the module. Powers per unit of each device's kW, energies of its kWh.

    Columns of a period: charge, discharge, energy, reactive up and down of batteries; curtailed,
    reactive up and down of PV systems.

    Args:
        site: the devices.
        reduced: the network.
        hours: length of each period; all alike.
        options: costs.
    """

    def __init__(self, site: Site, reduced: Reduced, hours: FloatArray, options: PlannerOptions) -> None:
        self._reduced, self._hours, self._options = reduced, hours, options
        self._storages, self._pvs = site.of_type(StorageRating), site.of_type(PvRating)
        self.periods, self.b, self.p = len(hours), len(self._storages), len(self._pvs)
        self.width = 5 * self.b + 3 * self.p
        devices = (*self._storages, *self._pvs)
        self.kw = np.array([d.kw for d in devices], dtype=np.float64)
        self._room = np.array([d.kva / d.kw for d in devices], dtype=np.float64)
        self._kwh = np.array([s.kwh for s in self._storages], dtype=np.float64)
        base = self._columns()
        self._charge, self._discharge, self._energy = base[0], base[1], base[2]
        self._up = np.concatenate([base[3], base[6]])
        self._down = np.concatenate([base[4], base[7]])
        self._curtailed = base[5]
        self._voltage_rows: IntArray = np.zeros((0, 2), dtype=np.int64)
        self._side_rows: IntArray = np.zeros((0, 3), dtype=np.int64)
        self._voltage_at: IntArray = np.zeros((0, 2), dtype=np.int64)
        self._side_at: IntArray = np.zeros(0, dtype=np.int64)
        self._listed: set[tuple[int, int]] = set()
        self._sides: set[tuple[int, int, int]] = set()
        self._bent: list[tuple[int, int]] = []
        self.program = self._write_energies()

    def _columns(self) -> list[IntArray]:
        sizes = [self.b] * 5 + [self.p] * 3
        starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        return [start + np.arange(size) for start, size in zip(starts, sizes, strict=True)]

    def _write_energies(self) -> LinearProgram:
        """Energy balances, one row per block and battery; the entry of the block before comes last."""
        hour = float(self._hours[0])
        row, column, value = [], [], []
        for block in range(self.periods):
            own, before = block * self.width, ((block - 1) % self.periods) * self.width
            for i, storage in enumerate(self._storages):
                into = storage.efficiency_charge * storage.kw * hour / storage.kwh
                out = storage.kw * hour / storage.kwh / storage.efficiency_discharge
                row += [block * self.b + i] * 4
                column += [own + self._energy[i], own + self._charge[i], own + self._discharge[i]]
                column += [before + self._energy[i]]
                value += [1.0, -into, out, -1.0]
        rows, columns = self.periods * self.b, self.periods * self.width
        matrix = sp.csr_matrix((value, (row, column)), shape=(rows, columns))
        none = np.zeros(columns)
        return LinearProgram(none, none.copy(), none.copy(), matrix, np.zeros(rows), np.zeros(rows))

    # --- a step's data ----------------------------------------------------------------------------

    def block(self, head: int) -> IntArray:
        """Place in the ring of each period."""
        return (head + np.arange(self.periods)) % self.periods

    def update(self, data: StepData) -> list[tuple[int, int, float]]:
        """Write a step's data; returns the changed entries of the matrix as (row, column, value)."""
        self._data = data
        at = self.block(data.head)
        changed = self._turn(int(at[0]))
        cost, lower, upper = self._blocks(data)
        lp, size = self.program, self.periods * self.width
        for have, want in ((lp.cost, cost), (lp.lower, lower), (lp.upper, upper)):
            have[:size].reshape(self.periods, self.width)[at] = want
        first = slice(at[0] * self.b, (at[0] + 1) * self.b)
        lp.row_lower[: self.periods * self.b] = 0.0
        lp.row_lower[first] = data.start
        lp.row_upper[: self.periods * self.b] = lp.row_lower[: self.periods * self.b]
        self._write_bounds()
        return changed

    def _turn(self, head: int) -> list[tuple[int, int, float]]:
        """Let the ring begin at a block: its balances start from data instead of the block before."""
        if self._bent and self._bent[0][0] // max(self.b, 1) == head:
            return []
        before = ((head - 1) % self.periods) * self.width
        fresh = [(head * self.b + i, int(before + self._energy[i])) for i in range(self.b)]
        changed = [(*place, -1.0) for place in self._bent] + [(*place, 0.0) for place in fresh]
        matrix = self.program.matrix
        for row, column, value in changed:
            entries = slice(matrix.indptr[row], matrix.indptr[row + 1])
            matrix.data[entries][matrix.indices[entries] == column] = value
        self._bent = fresh
        return changed

    def _blocks(self, data: StepData) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Costs and bounds of all columns, shape (period, column)."""
        options, hours = self._options, self._hours[:, None]
        cost = np.zeros((self.periods, self.width))
        lower, upper = np.zeros_like(cost), np.zeros_like(cost)
        energy = data.price[:, None] * self._reduced.import_p * self.kw
        through = options.throughput_cost_per_kwh * hours * self.kw[: self.b]
        cost[:, self._charge] = through - energy[:, : self.b]
        cost[:, self._discharge] = through + energy[:, : self.b]
        lost = options.curtailment_cost_per_kwh * hours * self.kw[self.b :]
        cost[:, self._curtailed] = lost - energy[:, self.b :]
        reactive = options.reactive_cost_per_kvarh * hours * self.kw
        imported = data.price[:, None] * self._reduced.import_q * self.kw
        cost[:, self._up], cost[:, self._down] = reactive + imported, reactive - imported
        upper[:, self._charge] = upper[:, self._discharge] = 1.0
        upper[:, self._curtailed] = data.available.T
        upper[:, self._up] = upper[:, self._down] = self._room
        lower[:, self._energy] = [s.min_kwh / s.kwh for s in self._storages]
        upper[:, self._energy] = [s.max_kwh / s.kwh for s in self._storages]
        lower[-1, self._energy] = upper[-1, self._energy] = data.target
        return cost, lower, upper

    def _write_bounds(self) -> None:
        """Bounds of the rows that stand, after the data changed."""
        lp, period = self.program, self._period_of()
        if len(self._voltage_rows):
            group, then = self._voltage_rows[:, 0], period[self._voltage_rows[:, 1]]
            low, high = self._data.low[group, then], self._data.high[group, then]
            lp.row_lower[self._voltage_at[:, 0]] = low
            lp.row_upper[self._voltage_at[:, 1]] = high
        if len(self._side_rows):
            lp.row_upper[self._side_at] = self._side_room(self._side_rows, period)

    def _period_of(self) -> IntArray:
        period = np.empty(self.periods, dtype=np.int64)
        period[self.block(self._data.head)] = np.arange(self.periods)
        return period

    def _side_room(self, rows: IntArray, period: IntArray) -> FloatArray:
        """Right-hand side of sides of polygons, rows of device, side and block."""
        device, side, block = rows.T
        room = APOTHEM * self._room[device]
        pv = device >= self.b
        sun = np.zeros(len(rows))
        sun[pv] = self._data.available[device[pv] - self.b, period[block[pv]]]
        return np.asarray(room - np.cos(ANGLES[side]) * sun)

    # --- answers ----------------------------------------------------------------------------------

    def powers(self, z: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Change of kW, kvar and what is curtailed per unit of an answer, shape (device, period)."""
        at = self.block(self._data.head)
        table = z[: self.periods * self.width].reshape(self.periods, self.width)[at]
        change = np.concatenate(
            [table[:, self._discharge] - table[:, self._charge], -table[:, self._curtailed]], axis=1
        )
        reactive = table[:, self._up] - table[:, self._down]
        return (change * self.kw).T, (reactive * self.kw).T, table[:, self._curtailed].T

    def slack(self, z: FloatArray) -> float:
        """Largest slack of an answer, in the program's unit."""
        return float(z[self.periods * self.width :].max(initial=0.0))

    def extend(self, z: FloatArray, *, tolerance: float, most: int) -> int:
        """Add rows that an answer breaks; returns how many.

        Args:
            z: the answer.
            tolerance: of limits, in the program's unit.
            most: new voltage rows per period and side in one go.
        """
        change_kw, kvar, _ = self.powers(z)
        groups = self._broken_voltages(change_kw, kvar, tolerance, most)
        sides = self._broken_sides(change_kw, kvar, tolerance)
        if groups:
            self._add_voltages(groups)
        if sides:
            self._add_sides(sides)
        if groups or sides:
            self._write_bounds()
        return len(groups) + len(sides)

    def _broken_voltages(
        self, change_kw: FloatArray, kvar: FloatArray, tolerance: float, most: int
    ) -> list[tuple[int, int]]:
        voltage = self._reduced.voltage_p @ change_kw + self._reduced.voltage_q @ kvar
        at, found = self.block(self._data.head), list[tuple[int, int]]()
        for beyond in (self._data.low - voltage, voltage - self._data.high):
            for period in np.flatnonzero(beyond.max(axis=0, initial=0.0) > tolerance):
                worst = np.argsort(-beyond[:, period])[: 4 * most]
                fresh = [
                    (int(group), int(at[period]))
                    for group in worst
                    if beyond[group, period] > tolerance
                    and (int(group), int(at[period])) not in self._listed
                ]
                found += fresh[:most]
        return list(dict.fromkeys(found))

    def _broken_sides(
        self, change_kw: FloatArray, kvar: FloatArray, tolerance: float
    ) -> list[tuple[int, int, int]]:
        p, q = change_kw / self.kw[:, None], kvar / self.kw[:, None]
        p[self.b :] += self._data.available
        reach = np.cos(ANGLES)[:, None, None] * p + np.sin(ANGLES)[:, None, None] * q
        side, device, period = np.nonzero(reach > APOTHEM * self._room[:, None] + tolerance)
        block = self.block(self._data.head)[period]
        found = zip(device.tolist(), side.tolist(), block.tolist(), strict=True)
        return [row for row in found if row not in self._sides]

    def _add_voltages(self, rows: list[tuple[int, int]]) -> None:
        """Two rows and one slack for each group and block."""
        lp, reduced = self.program, self._reduced
        group, block = np.array(rows, dtype=np.int64).T
        first_slack, count = lp.matrix.shape[1], len(rows)
        p, q = reduced.voltage_p[group] * self.kw, reduced.voltage_q[group] * self.kw
        values = np.concatenate([-p[:, : self.b], p[:, : self.b], -p[:, self.b :], q, -q], axis=1)
        columns = [self._charge, self._discharge, self._curtailed, self._up, self._down]
        place = np.concatenate(columns)[None, :] + block[:, None] * self.width
        keep = np.abs(values) > NEGLIGIBLE * np.abs(values).max(axis=1, keepdims=True)
        where = np.nonzero(keep)
        shape = (count, first_slack + count)
        body = sp.csr_matrix((values[keep], (where[0], place[keep])), shape=shape)
        slack = sp.csr_matrix(
            (np.ones(count), (np.arange(count), first_slack + np.arange(count))), shape=shape
        )
        both = sp.vstack([body + slack, body - slack]).tocsr()
        price = self._options.limits.voltage_penalty_per_pu_h * VOLTAGE_UNIT_PU2 / 2.0
        start = lp.matrix.shape[0]
        self._grow(both, np.full(count, price * float(self._hours[0])))
        at = start + np.arange(count)
        self._voltage_rows = np.concatenate([self._voltage_rows, np.array(rows, dtype=np.int64)])
        self._voltage_at = np.concatenate([self._voltage_at, np.column_stack([at, at + count])])
        self._listed.update(rows)

    def _add_sides(self, rows: list[tuple[int, int, int]]) -> None:
        """One row for each side of a device's polygon in a block."""
        device, side, block = (np.array(column, dtype=np.int64) for column in zip(*rows, strict=True))
        count, width = len(rows), self.program.matrix.shape[1]
        cosine, sine = np.cos(ANGLES[side]), np.sin(ANGLES[side])
        battery = device < self.b
        first = np.where(battery, device, self._curtailed[0] + device - self.b if self.p else device)
        own = block * self.width
        number = np.arange(count)
        row = [number, number, number, number[battery]]
        column = [own + first, own + self._up[device], own + self._down[device]]
        column += [
            (own + self._discharge[np.where(battery, device, 0)])[battery] if self.b else own[battery]
        ]
        value = [-cosine, sine, -sine, cosine[battery]]
        triplet = (np.concatenate(value), (np.concatenate(row), np.concatenate(column)))
        start = self.program.matrix.shape[0]
        self._grow(sp.csr_matrix(triplet, shape=(count, width)), np.zeros(0))
        self._side_rows = np.concatenate([self._side_rows, np.array(rows, dtype=np.int64)])
        self._side_at = np.concatenate([self._side_at, start + number])
        self._sides.update(rows)

    def _grow(self, rows: sp.csr_matrix, slack_cost: FloatArray) -> None:
        """New rows below, columns of their slack to the right."""
        lp, new = self.program, len(slack_cost)
        old = sp.csr_matrix(
            (lp.matrix.data, lp.matrix.indices, lp.matrix.indptr), shape=(lp.matrix.shape[0], rows.shape[1])
        )
        # Stacking keeps the entries that are zero for now.
        lp.matrix = sp.vstack([old, rows], format="csr")
        lp.cost = np.concatenate([lp.cost, slack_cost])
        lp.lower = np.concatenate([lp.lower, np.zeros(new)])
        lp.upper = np.concatenate([lp.upper, np.full(new, FAR_AWAY)])
        lp.row_lower = np.concatenate([lp.row_lower, np.full(rows.shape[0], -np.inf)])
        lp.row_upper = np.concatenate([lp.row_upper, np.full(rows.shape[0], np.inf)])
