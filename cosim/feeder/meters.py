"""What is read of a solved feeder: voltages, taps, capacitors, import, losses, line currents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cosim.errors import FeederError
from cosim.feeder.balance import PowerBalance
from cosim.feeder.branch import Watched
from cosim.feeder.element_meters import ElementMeters
from cosim.feeder.engine import Engine
from cosim.feeder.unbalance import highest_unbalance_percent, three_phase_buses
from cosim.model.arrays import FloatArray
from cosim.model.meter import MeterPlace


class TapMeter:
    """Reads the taps of some windings.

    Args:
        engine: with the circuit.
        windings: transformer and its winding, in the order of every vector per tap.
    """

    def __init__(self, engine: Engine, windings: Mapping[str, int]) -> None:
        self._engine, self.windings = engine, dict(windings)

    def ratios(self) -> FloatArray:
        """Tap ratio of each winding."""
        return np.array([winding.Tap() for winding in self._each()])

    def write(self, ratios: FloatArray) -> None:
        """Put each winding where it is said to stand."""
        for winding, ratio in zip(self._each(), ratios, strict=True):
            if winding.Tap() != ratio:
                winding.Tap(float(ratio))

    def steps(self) -> FloatArray:
        """Ratio between neighbouring taps of each winding.

        Raises:
            FeederError: a transformer has none.
        """
        for winding in self._each():
            if winding.NumTaps() <= 0:
                taps = winding.NumTaps()
                raise FeederError(
                    f"transformer {winding.Name().lower()} has numtaps={taps}, and a control or "
                    "a controller moves its taps; give it taps (usual: 32), or disable the control"
                )
        return np.array([(w.MaxTap() - w.MinTap()) / w.NumTaps() for w in self._each()])

    def _each(self) -> Iterator[Any]:
        """The engine's transformer, active at each winding in turn."""
        transformers = self._engine.dss.Transformers
        for name, winding in self.windings.items():
            transformers.Name(name)
            transformers.Wdg(winding)
            yield transformers


@dataclass(frozen=True)
class Loading:
    """Highest currents over normal ratings.

    Attributes:
        line: of any line, and ``line_name``, which one; 0 and empty without lines.
        transformer: of any transformer at its first winding; 0 without transformers.
    """

    line: float
    line_name: str
    transformer: float


class Meters:
    """Reads voltages, head of the feeder and lines.

    Args:
        engine: solved, with all devices in the circuit.
        watched: the voltages of the site's nodes, in order.
        balance: of the circuit, for losses the engine leaves out.
        places: of meters at elements.

    Attributes:
        at_elements: meters beside the head of the feeder.
    """

    def __init__(
        self,
        engine: Engine,
        watched: Sequence[Watched],
        balance: PowerBalance,
        places: Sequence[MeterPlace] = (),
    ) -> None:
        self._engine, self._balance = engine, balance
        self.at_elements = ElementMeters(engine, places)
        self._node_a = np.array([w.a for w in watched], dtype=np.int64)
        # Ground is the entry after the last node.
        ground = len(engine.node_names())
        self._node_b = np.array([w.b if w.b >= 0 else ground for w in watched], dtype=np.int64)
        self._base_v = np.array([w.base_kv * 1e3 for w in watched])
        elements = [name.lower() for name in engine.dss.PDElements.AllNames()]
        lines = [i for i, name in enumerate(elements) if name.startswith("line.")]
        transformers = [i for i, name in enumerate(elements) if name.startswith("transformer.")]
        self._line_at = np.array(lines, dtype=np.int64)
        self._transformer_at = np.array(transformers, dtype=np.int64)
        self._line_names = [elements[i] for i in lines]
        self._three_phase = three_phase_buses(engine.node_names())
        self._dead_nodes = frozenset(self.without_voltage())

    @property
    def dead_nodes(self) -> frozenset[str]:
        """Nodes that had no voltage when the feeder was opened."""
        return self._dead_nodes

    def voltage_pu(self) -> FloatArray:
        """Voltage of each watched node."""
        volts = np.append(self._engine.voltages(), 0.0)
        return np.asarray(np.abs(volts[self._node_a] - volts[self._node_b]) / self._base_v)

    def head(self) -> tuple[complex, float]:
        """Power of the main source (kW + j kvar) and the losses of the whole circuit in kW."""
        p, q = self._engine.dss.Circuit.TotalPower()
        others = self._balance.other_sources_kva()
        losses_w = self._engine.dss.Circuit.Losses()[0]
        return complex(-p, -q) - others, float(losses_w) / 1e3 + self._balance.shunt_losses_kw()

    def loading(self) -> Loading:
        """Highest currents over ratings."""
        percent = np.asarray(self._engine.dss.PDElements.AllPctNorm())
        transformer = float(np.max(percent[self._transformer_at], initial=0.0)) / 100.0
        if not len(self._line_at):
            return Loading(0.0, "", transformer)
        lines = percent[self._line_at]
        worst = int(np.argmax(lines))
        return Loading(float(lines[worst]) / 100.0, self._line_names[worst], transformer)

    def unbalance_percent(self) -> float:
        """Highest negative-sequence ratio of any bus with three phases."""
        return highest_unbalance_percent(self._engine.voltages(), self._three_phase)

    def without_voltage(self) -> list[str]:
        """Nodes that carry none now."""
        names = self._engine.node_names()
        return [names[i] for i in np.flatnonzero(~self._engine.energised())]

    def lost_nodes(self) -> list[str]:
        """Nodes that lost their voltage since the feeder was opened."""
        return [node for node in self.without_voltage() if node not in self._dead_nodes]
