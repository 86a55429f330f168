"""What a step brings from outside: demand, sun, source voltage and the time of day."""

from __future__ import annotations

from dataclasses import dataclass

from cosim.feeder.clock import Clock
from cosim.feeder.compiled import FeederModel
from cosim.feeder.demand import Demand
from cosim.feeder.operated_devices import OperatedDevices
from cosim.model.arrays import FloatArray
from cosim.model.exogenous import Exogenous


@dataclass(frozen=True)
class Written:
    """The inputs of a step as they were written: per load at rated voltage, and the price of energy."""

    demand_kw: FloatArray
    demand_kvar: FloatArray
    price_per_kwh: float


class StepInputs:
    """Writes the inputs of a step to the circuit.

    Args:
        model: the compiled master file.
        devices: in the circuit; they see the sun and the loads of a step.
        clock: for elements that follow shapes.
        exogenous: demand, sun, source voltage and price.

    Attributes:
        exogenous: as it was given.
        demand: of the loads.
        source_ratio: voltage of the sources over that of the master.
        load_kw: demand of all loads in the step that was written last.
    """

    def __init__(
        self, model: FeederModel, devices: OperatedDevices, clock: Clock, exogenous: Exogenous
    ) -> None:
        self._model, self._devices, self._clock = model, devices, clock
        self.exogenous = exogenous
        self.demand = Demand(model.engine, model.loads)
        self.source_ratio = 1.0
        self.load_kw = 0.0

    def write(self, step: int) -> Written:
        """Let the circuit and its devices see the inputs of a step."""
        demand_kw, demand_kvar, _, price = self.exogenous.value_at(step)
        self._clock.set(step)
        self._write_source(self.exogenous.mean_source_ratio(step, step + 1))
        self.demand.write(demand_kw, demand_kvar)
        irradiance = self.exogenous.irradiance_at(len(self._devices.devices), step, step + 1)
        self._devices.expose(irradiance, demand_kw)
        self.load_kw = float(demand_kw.sum())
        return Written(demand_kw, demand_kvar, price)

    def _write_source(self, ratio: float) -> None:
        if ratio != self.source_ratio:
            sources = {name: pu * ratio for name, pu in self._model.sources.items()}
            self._model.engine.set_source_pu(sources)
            self.source_ratio = ratio
