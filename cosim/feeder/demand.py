"""The demand of a step, written to the loads of the circuit."""

from __future__ import annotations

import numpy as np

from cosim.feeder.engine import Batch, Engine
from cosim.feeder.group import positions
from cosim.feeder.loads import LoadTable
from cosim.model.arrays import FloatArray


class Demand:
    """Writes kW and kvar of every load.

    Args:
        engine: with the circuit, in the mode in which it will be solved.
        loads: of the circuit.

    Attributes:
        batch: all loads of the circuit.
    """

    def __init__(self, engine: Engine, loads: LoadTable) -> None:
        self.batch = Batch(engine, "load")
        self._at = positions(self.batch, loads.names)
        # The engine multiplies variable loads itself; its multiplier also dispatches generators.
        exempt = np.array(loads.exempt, dtype=bool) & (not engine.timed)
        self._multiplier = np.where(np.array(loads.fixed, dtype=bool) | exempt, 1.0, loads.multiplier)
        self._kw, self._kvar = self.batch.read("kW"), self.batch.read("kvar")

    def write(self, kw: FloatArray, kvar: FloatArray) -> None:
        """Let the loads draw this at rated voltage, shape (load,) each."""
        self._kw[self._at] = kw / self._multiplier
        self._kvar[self._at] = kvar / self._multiplier
        # In this order: a new kW keeps the power factor and so moves the kvar.
        self.batch.write("kW", self._kw)
        self.batch.write("kvar", self._kvar)
