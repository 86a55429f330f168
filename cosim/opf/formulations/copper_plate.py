"""No network at all: every device sits at the substation.

The cheapest plan energy storage alone allows, and what a market without a grid would see. It knows no
voltages and no losses beyond those measured now, and so accepts every feeder, meshed or unbalanced.
"""

from __future__ import annotations

import cvxpy as cp
import numpy as np

from cosim.model.arrays import ComplexArray, FloatArray
from cosim.model.forecast import Forecast
from cosim.model.site import Site
from cosim.model.state import Measurement
from cosim.model.timegrid import Horizon
from cosim.opf.devices.energy_block import EnergyBlock
from cosim.opf.devices.source_block import SourceBlock
from cosim.opf.expected import Expected
from cosim.opf.options import PlannerOptions
from cosim.opf.program import EmptyBlock


class CopperPlate(EmptyBlock):
    """Balance of power at the substation.

    Args:
        site: any site.
        energy, sources: device blocks.
        horizon: the periods.
        options: ``anchor`` says whether the losses measured now are expected to stay.
    """

    def __init__(
        self,
        site: Site,
        energy: EnergyBlock,
        sources: SourceBlock,
        horizon: Horizon,
        options: PlannerOptions,
    ) -> None:
        super().__init__()
        self.caution, self.blind_to = "", tuple(options.asked())
        del site
        self._split = len(energy.ratings)
        self._anchored = options.anchor == "measurement"
        self.import_kw: cp.Expression = cp.Constant(np.zeros(len(horizon)))
        if energy.ratings:
            self.import_kw -= cp.sum(energy.change_kw, axis=0)
        if sources.ratings:
            self.import_kw -= cp.sum(sources.change_kw, axis=0)

    def update(self, measurement: Measurement, forecast: Forecast) -> FloatArray:
        """Set demand and sun; returns their balance."""
        self._demand = (forecast.demand_kw + 1j * forecast.demand_kvar).sum(axis=1)
        self._voltage_pu = measurement.voltage_pu
        self._offset, self._losses_kw = 0j, 0.0
        if self._anchored:
            known = (measurement.demand_kw + 1j * measurement.demand_kvar).sum()
            device_kva = measurement.p_kw + 1j * measurement.q_kvar
            known -= device_kva[: self._split].sum()
            known -= device_kva[self._split :].sum()
            self._offset = complex(measurement.import_kw, measurement.import_kvar) - complex(known)
            self._losses_kw = measurement.losses_kw
        return np.asarray(
            (self._demand + self._offset).real - forecast.available_kw[:, self._split :].sum(axis=1)
        )

    def expected(self, energy_kva: ComplexArray, source_kva: ComplexArray) -> Expected:
        """The balance, with voltages as they are measured now."""
        imported = self._demand + self._offset - energy_kva.sum(axis=0) - source_kva.sum(axis=0)
        periods = len(imported)
        return Expected(
            imported,
            np.full(periods, self._losses_kw),
            np.repeat(self._voltage_pu[:, None], periods, axis=1),
        )

    def slack_pu(self) -> float:
        """No voltages, no slack."""
        return 0.0

    def over_kw(self) -> float:
        """No lines."""
        return 0.0

    def relaxation_gap(self) -> FloatArray | None:
        """Nothing is relaxed."""
        return None
