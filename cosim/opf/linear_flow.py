"""Power flow of the linear radial model: flows without losses, squared voltages, anchored.

The multi-phase form of the linearised DistFlow equations

    (1 - share) S = demand                       S_j = demand_j + sum_k share_jk S_k
    (1 - gain) u  = source - 2 (Re H P + Im H Q)     source: squared, at the head

Source: Baran and Wu, 1989, eqs. 2a-2c with the loss terms dropped; three-phase form of Gan and Low,
2014, eqs. 12-13, here with the measured voltage ratios instead of balanced ones.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import splu

from cosim.model.arrays import ComplexArray, FloatArray, Matrix
from cosim.model.network import RadialNetwork, SparseEntries
from cosim.model.state import Measurement

ZIP_PASSES = 3
"""Fixed-point passes for the voltage dependence of loads, starting from the measurement."""


def real_matrix(values: SparseEntries, shape: tuple[int, int]) -> Matrix:
    """Real part as a sparse matrix."""
    return sp.csr_matrix((values.real, (values.row, values.column)), shape=shape)


def complex_matrix(values: SparseEntries, shape: tuple[int, int]) -> Matrix:
    """Complex sparse matrix."""
    data = values.real + 1j * values.imaginary
    return sp.csr_matrix((data, (values.row, values.column)), shape=shape)


@dataclass(frozen=True)
class Flow:
    """State of the linear model, one column per period.

    Attributes:
        squared_pu: squared voltage, shape (node, period).
        flow_kva: complex power each node receives, shape (node, period).
        import_kva: complex power drawn from the source, shape (period,).
        losses_kw: of all branches, by the flows, shape (period,).
    """

    squared_pu: FloatArray
    flow_kva: ComplexArray
    import_kva: ComplexArray
    losses_kw: FloatArray

    @property
    def voltage_pu(self) -> FloatArray:
        """Voltage magnitude, shape (node, period)."""
        return np.sqrt(np.maximum(self.squared_pu, 0.0))


@dataclass(frozen=True)
class Anchor:
    """What must be added to the linear model so that it agrees with a measurement.

    Attributes:
        squared_pu: per node.
        import_kva: of the feeder's head.
        start_squared_pu: where predictions start from: the measurement itself, per node.
        source_ratio: voltage of the source over what the master says, at the measurement.
        head_kva: power that each head receives at the measurement by the lossless model, shape (head,).
    """

    squared_pu: FloatArray
    import_kva: complex
    start_squared_pu: FloatArray
    source_ratio: float = 1.0
    head_kva: ComplexArray = field(default_factory=lambda: np.zeros(0, dtype=np.complex128))


class LinearFlow:
    """The linear power flow of one network.

    Args:
        network: extracted from the feeder.
        losses_imported: whether the import counts losses (by the lossless flows). The textbook form
            does not.
    """

    def __init__(self, network: RadialNetwork, *, losses_imported: bool = True) -> None:
        self.network = network
        self._losses_imported = losses_imported
        size = network.size
        identity = sp.identity(size, format="csc")
        self.gain = real_matrix(network.gain, (size, size))
        self.share = complex_matrix(network.share, (size, size))
        self.drop = complex_matrix(network.drop, (size, size))
        self.load_share = complex_matrix(network.load_share, (size, len(network.loads)))
        self.load_voltage = real_matrix(network.load_voltage, (len(network.loads), size))
        self._flows = splu((identity - self.share).tocsc(), permc_spec="NATURAL")
        self._exponent = real_matrix(network.tap_exponent, (size, max(len(network.regulators), 1)))
        self._taps = network.tap
        self._voltages = splu((identity - self.gain).tocsc(), permc_spec="NATURAL")

    def device_share(self, values: SparseEntries, count: int) -> Matrix:
        """Power at each node per power of each device, shape (node, device)."""
        return complex_matrix(values, (self.network.size, count))

    def flows_of(self, power_kva: FloatArray) -> FloatArray:
        """Largest flow into each node when every node takes a power of any sign, shape (node,)."""
        size = self.network.size
        most = splu((sp.identity(size, format="csc") - abs(self.share)).tocsc(), permc_spec="NATURAL")
        return np.asarray(most.solve(power_kva))

    def set_taps(self, taps: FloatArray) -> None:
        """Follow the measured tap ratios."""
        if np.array_equal(taps, self._taps):
            return
        ratio = np.log(taps / self.network.tap)
        factor = np.exp(2.0 * (self._exponent @ ratio))
        identity = sp.identity(self.network.size, format="csc")
        gain = sp.diags(factor) @ self.gain
        self._voltages = splu((identity - gain).tocsc(), permc_spec="NATURAL")
        self._taps = taps.copy()

    def anchor(self, measurement: Measurement, der_kva: ComplexArray) -> Anchor:
        """Difference between a measurement and the model at the same demand and injection.

        Args:
            measurement: voltages, taps and demand are taken from it.
            der_kva: injection of the devices at each node, shape (node,).
        """
        self.set_taps(measurement.tap)
        squared = measurement.voltage_pu**2
        demand = self._node_demand(
            squared[:, None], measurement.demand_kw[:, None], measurement.demand_kvar[:, None]
        )
        ratio = measurement.source_ratio
        flow = self._solve(demand - der_kva[:, None], squared[:, None], self._ratio_now(measurement))
        head_kva = flow.flow_kva[self.network.head, 0]
        # Nobody measures the import of an area: its own losses must not be counted twice.
        measured = head_kva.sum() if self.network.heads_measured else _import_kva(measurement)
        return Anchor(
            squared - flow.squared_pu[:, 0],
            complex(measured) - complex(flow.import_kva[0]),
            squared,
            ratio,
            head_kva,
        )

    def _ratio_now(self, measurement: Measurement) -> FloatArray:
        """Voltage of the source over that of the model, as measured, for one period."""
        if not self.network.heads_measured:
            return np.array([measurement.source_ratio])
        return np.asarray(measurement.voltage_pu[self.network.head] / self.network.source_pu)[None, :]

    def unanchored(self, taps: FloatArray, source_ratio: float = 1.0) -> Anchor:
        """No correction: the equations as they stand, at the given tap ratios and source voltage."""
        self.set_taps(taps)
        size = self.network.size
        source = self.network.source_squared_pu(np.array([source_ratio]))[:, 0]
        start: FloatArray = np.asarray(self._voltages.solve(source))
        return Anchor(np.zeros(size), 0j, start, source_ratio)

    def predict(
        self,
        anchor: Anchor,
        demand_kw: FloatArray,
        demand_kvar: FloatArray,
        der_kva: ComplexArray,
        source_ratio: FloatArray | None = None,
    ) -> Flow:
        """Anchored prediction.

        Args:
            anchor: from :meth:`anchor`.
            demand_kw, demand_kvar: at rated voltage, shape (load, period).
            der_kva: injection at each node, shape (node, period).
            source_ratio: voltage of the source over what the master says, shape (period,), or
                (period, head) for an area; None: that of the anchor.
        """
        periods = demand_kw.shape[1]
        ratio = np.full(periods, anchor.source_ratio) if source_ratio is None else source_ratio
        squared = np.repeat(anchor.start_squared_pu[:, None], periods, axis=1)
        for _ in range(ZIP_PASSES):
            demand = self._node_demand(squared, demand_kw, demand_kvar)
            lossless = self._solve(demand - der_kva, squared, ratio)
            squared = lossless.squared_pu + anchor.squared_pu[:, None]
        return Flow(squared, lossless.flow_kva, lossless.import_kva + anchor.import_kva, lossless.losses_kw)

    def _node_demand(
        self, squared_pu: FloatArray, demand_kw: FloatArray, demand_kvar: FloatArray
    ) -> ComplexArray:
        """Consumption at each node, with the loads' dependence on voltage, shape (node, period)."""
        network = self.network
        own = np.maximum(self.load_voltage @ squared_pu, 0.0)
        root = np.sqrt(own)
        p, q = network.load_zip_p, network.load_zip_q
        kw = demand_kw * (p[:, :1] * own + p[:, 1:2] * root + p[:, 2:3])
        kvar = demand_kvar * (q[:, :1] * own + q[:, 1:2] * root + q[:, 2:3])
        shunt = 1j * network.shunt_kvar[:, None] * squared_pu
        return np.asarray(self.load_share @ (kw + 1j * kvar) - shunt)

    def _solve(self, consumption: ComplexArray, squared_pu: FloatArray, source_ratio: FloatArray) -> Flow:
        flow: ComplexArray = np.asarray(self._flows.solve(np.ascontiguousarray(consumption)))
        drop = 2.0 * (self.drop @ np.conj(flow)).real
        source = self.network.source_squared_pu(source_ratio)
        squared = self._voltages.solve(np.ascontiguousarray(source - drop))
        # |I|^2 Z of every branch, from the flows: the import must pay for them.
        lost = (flow * (self.drop @ np.conj(flow)) / np.maximum(squared_pu, 0.25)).sum(axis=0)
        head = flow[self.network.head].sum(axis=0)
        imported = head + lost if self._losses_imported else head
        return Flow(squared, flow, imported, np.asarray(lost.real))


def _import_kva(measurement: Measurement) -> complex:
    return complex(measurement.import_kw, measurement.import_kvar)
