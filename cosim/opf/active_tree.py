"""The part of a radial network that devices can influence, without loss of exactness.

Flows change only between a device and the source. Voltages of nodes that hang off those paths move
in step with a node on them, so their limits are folded into limits of that node, and branches
without a noticeable drop are merged. What is left is often a tenth of the feeder.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from cosim.model.arrays import FloatArray, IntArray, Matrix
from cosim.opf.linear_flow import LinearFlow

MERGE_BELOW_PU = 1e-6
"""A branch whose squared-voltage drop at full device power is below this is no branch."""


@dataclass(frozen=True)
class ActiveTree:
    """Reduced equations of the change that devices cause.

    With x the devices' complex power, s the change of flow and u the change of squared voltage

        s = inject x + share s          (positive towards the source)
        u = gain u + 2 (Re drop P + Im drop Q)

    Attributes:
        flow_nodes: network nodes that have a flow variable, shape (flow,).
        voltage_nodes: network nodes that have a voltage variable, shape (voltage,).
        reach_kva: largest change the devices can make to each flow, shape (flow,).
        inject: complex, shape (flow, device).
        share: complex, shape (flow, flow).
        gain: shape (voltage, voltage).
        drop: complex, per unit per kVA, shape (voltage, flow).
        head: complex, import change = - Re head s, shape (flow,).
        groups: rows of distinct voltage changes, shape (group, voltage).
        group_of: group of each network node, -1 where devices have no influence, shape (node,).
        group_scale: change of a node per change of its group, shape (node,).
    """

    flow_nodes: IntArray
    voltage_nodes: IntArray
    reach_kva: FloatArray
    inject: Matrix
    share: Matrix
    gain: Matrix
    drop: Matrix
    head: FloatArray
    groups: Matrix
    group_of: IntArray
    group_scale: FloatArray

    def changes(self, nodes: IntArray) -> Matrix:
        """Change of the squared voltage at nodes per voltage variable, shape (node, voltage)."""
        row = np.flatnonzero(self.group_of[nodes] >= 0)
        entries = self.group_scale[nodes[row]], (row, self.group_of[nodes[row]])
        return sp.csr_matrix(entries, shape=(len(nodes), self.groups.shape[0])) @ self.groups

    def bounds(
        self, squared_pu: FloatArray, low_pu: float, high_pu: float
    ) -> tuple[FloatArray, FloatArray]:
        """Lower and upper bound of each group's change, shape (group, period).

        Args:
            squared_pu: squared voltages without change, shape (node, period).
            low_pu, high_pu: band of the voltage.
        """
        members = np.flatnonzero(self.group_of >= 0)
        group, scale = self.group_of[members], self.group_scale[members][:, None]
        low = (low_pu**2 - squared_pu[members]) / scale
        high = (high_pu**2 - squared_pu[members]) / scale
        shape = (self.groups.shape[0], squared_pu.shape[1])
        lower, upper = np.full(shape, -np.inf), np.full(shape, np.inf)
        np.maximum.at(lower, group, low)
        np.minimum.at(upper, group, high)
        return lower, upper


def active_tree(
    flow: LinearFlow, inject: Matrix, device_kva: FloatArray, *, heads_move: bool = False
) -> ActiveTree:
    """Reduce a network to what its devices can influence.

    Args:
        flow: the linear model.
        inject: complex power at each node per power of each device, shape (node, device).
        device_kva: largest apparent power of each device, shape (device,).
        heads_move: whether the voltages of the heads are variables too, those of an area.
    """
    size = flow.network.size
    reach = np.asarray(abs(inject) @ device_kva)
    share = flow.share.tocoo()
    # Nodes are in tree order, so one sweep from the leaves reaches every ancestor.
    order = np.argsort(-share.col, kind="stable")
    for parent, child, value in zip(share.row[order], share.col[order], share.data[order], strict=True):
        reach[parent] += abs(value) * reach[child]
    flow_nodes = np.flatnonzero(reach > 0)
    moving = flow.network.head if heads_move else flow.network.head[:0]
    rows, variables = _voltage_rows(flow, reach, moving)
    groups, group_of, group_scale = _groups(rows, variables, size)
    voltage_nodes = np.array(sorted(variables, key=variables.__getitem__), dtype=np.int64)
    gain = sp.lil_matrix((len(voltage_nodes), len(voltage_nodes)))
    gain_csr = flow.gain.tocsr()
    for row, node in enumerate(voltage_nodes):
        for column, value in _through(gain_csr, int(node), rows).items():
            gain[row, column] = value
    head = np.zeros(size)
    head[flow.network.head] = 1.0
    return ActiveTree(
        flow_nodes=flow_nodes,
        voltage_nodes=voltage_nodes,
        reach_kva=reach[flow_nodes],
        inject=inject.tocsr()[flow_nodes],
        share=flow.share.tocsr()[flow_nodes][:, flow_nodes],
        gain=gain.tocsr(),
        drop=flow.drop.tocsr()[voltage_nodes][:, flow_nodes],
        head=head[flow_nodes],
        groups=groups,
        group_of=group_of,
        group_scale=group_scale,
    )


def _voltage_rows(
    flow: LinearFlow, reach: FloatArray, moving: IntArray
) -> tuple[list[dict[int, float]], dict[int, int]]:
    """Each node's voltage change as a combination of voltage variables, and the variables."""
    possible = 2.0 * np.asarray(abs(flow.drop) @ reach)
    possible[moving] = np.inf
    gain = flow.gain.tocsr()
    rows: list[dict[int, float]] = []
    variables: dict[int, int] = {}
    for node in range(flow.network.size):
        if possible[node] > MERGE_BELOW_PU:
            variables[node] = len(variables)
            rows.append({variables[node]: 1.0})
        else:
            rows.append(_through(gain, node, rows))
    return rows, variables


def _through(gain: Matrix, node: int, rows: list[dict[int, float]]) -> dict[int, float]:
    """The combination a node inherits from its parents."""
    combined: dict[int, float] = defaultdict(float)
    for at in range(gain.indptr[node], gain.indptr[node + 1]):
        for variable, coefficient in rows[gain.indices[at]].items():
            combined[variable] += float(gain.data[at]) * coefficient
    return dict(combined)


def _groups(
    rows: list[dict[int, float]], variables: dict[int, int], size: int
) -> tuple[Matrix, IntArray, FloatArray]:
    """Collect nodes whose voltage changes are multiples of each other."""
    known: dict[tuple[tuple[int, float], ...], int] = {}
    group_of = np.full(size, -1, dtype=np.int64)
    scale = np.ones(size)
    for node, row in enumerate(rows):
        if not row:
            continue
        largest = max(row.values(), key=abs)
        key = tuple(sorted((variable, round(value / largest, 6)) for variable, value in row.items()))
        group_of[node] = known.setdefault(key, len(known))
        scale[node] = largest
    matrix = sp.lil_matrix((len(known), len(variables)))
    for key, group in known.items():
        for variable, value in key:
            matrix[group, variable] = value
    return matrix.tocsr(), group_of, scale
