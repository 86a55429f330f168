"""One program for one future or several: blocks for each, which share what is decided first.

Several futures are equally probable. What devices do in the first period is the same in all of them
(non-anticipativity), written as equalities between copies. The objective is the expected cost plus the
weighted conditional value at risk. A plan is the mean over the futures, which keeps all ratings and energy
windows, because these are convex.

Source: Birge and Louveaux, *Introduction to Stochastic Programming*, 2nd ed., 2011, ch. 2 (two-stage
program with recourse, split variables); Rockafellar and Uryasev, *Optimization of conditional
value-at-risk*, Journal of Risk 2(3), 2000 (after the abstract).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import cvxpy as cp
import numpy as np

from cosim.errors import FormulationRefused
from cosim.model.arrays import ComplexArray, FloatArray
from cosim.model.forecast import Forecast
from cosim.model.site import Site
from cosim.model.state import Measurement, Plan
from cosim.model.timegrid import Horizon
from cosim.opf.devices.energy_block import EnergyBlock
from cosim.opf.devices.model import DeviceModel
from cosim.opf.devices.source_block import SourceBlock
from cosim.opf.expected import Expected
from cosim.opf.formulations.network_block import Formulation, NetworkBlock
from cosim.opf.options import PlannerOptions
from cosim.opf.program import Program
from cosim.opf.terms import ImportTerms
from cosim.opf.uncertainty import ScenarioPlanning

MakeStorage = Callable[[DeviceModel, Horizon, PlannerOptions], EnergyBlock]
"""Builds a program's part of devices with energy."""


@dataclass(frozen=True)
class Future:
    """The blocks of one future."""

    energy: EnergyBlock
    sources: SourceBlock
    network: NetworkBlock
    imported: ImportTerms

    @classmethod
    def of(
        cls,
        devices: DeviceModel,
        formulation: Formulation,
        site: Site,
        horizon: Horizon,
        options: PlannerOptions,
        storage: MakeStorage,
    ) -> Future:
        """Blocks without data yet."""
        energy = storage(devices, horizon, options)
        sources = SourceBlock(devices, horizon, options)
        network = formulation(site, energy, sources, horizon, options)
        imported = ImportTerms(options.objective, options.limits, horizon, network.import_kw)
        return cls(energy, sources, network, imported)

    @property
    def program(self) -> Program:
        """Of this future alone."""
        return Program.of((self.energy, self.sources, self.network, self.imported))

    def first_decisions(self) -> list[cp.Expression]:
        """What devices do in the first period."""
        return [*self.energy.first_decisions(), *self.sources.first_decisions()]

    def update(
        self, devices: DeviceModel, measurement: Measurement, forecast: Forecast, earlier: Plan | None
    ) -> None:
        """Set the data of all blocks."""
        base_kw = self.network.update(measurement, forecast)
        energy, sources = devices.bounds(
            measurement.stored_kwh, forecast.available_kw, earlier, measurement.time_s
        )
        self.energy.update(energy)
        self.sources.update(sources)
        self.imported.update(base_kw, forecast.price_per_kwh, measurement.peak_import_kw)


@dataclass(frozen=True)
class Planned:
    """Set-points of a plan, kW and kvar, shape (period, device of the sort).

    Attributes:
        kw, kvar: of devices with energy.
        source_kw, source_limit_kw, source_kvar: of the others; the limit is what they are told.
    """

    kw: FloatArray
    kvar: FloatArray
    source_kw: FloatArray
    source_limit_kw: FloatArray
    source_kvar: FloatArray


class Futures:
    """The futures of a planner.

    Args:
        name: of the planner.
        devices: the devices.
        formulation: builds the network's part of a program.
        site, horizon, options, storage: see :class:`cosim.opf.dispatch_planner.DispatchPlanner`.

    Raises:
        FormulationRefused: the formulation does not cover this feeder, or risk is to count and the cost of
            a future is not linear.
    """

    def __init__(
        self,
        name: str,
        devices: DeviceModel,
        formulation: Formulation,
        site: Site,
        horizon: Horizon,
        options: PlannerOptions,
        storage: MakeStorage = EnergyBlock,
    ) -> None:
        planning = options.uncertainty
        self._planning = planning if isinstance(planning, ScenarioPlanning) else ScenarioPlanning(1)
        # With one period there is nothing to tell futures apart.
        count = self._planning.count if len(horizon) > 1 else 1
        self._each = [
            Future.of(devices, formulation, site, horizon, options, storage) for _ in range(count)
        ]
        self._devices, self._sun_kw = devices, site.sun_kw()
        self._risk: _Risk | None = None
        self.program = self._joint(name)

    @property
    def first(self) -> Future:
        """The first, or the only one."""
        return self._each[0]

    def _joint(self, name: str) -> Program:
        parts, share, planning = [one.program for one in self._each], 1.0 / len(self._each), self._planning
        if len(parts) == 1:
            return parts[0]
        if planning.cvar_weight and any(part.squares for part in parts):
            raise FormulationRefused(
                f"planner {name} weighs risk only where costs are linear, and here losses or voltage "
                "deviation cost something; set uncertainty.cvar_weight, losses_at_price and "
                "voltage_deviation_per_pu2_h to 0, or use planner tangent"
            )
        for part in parts:
            for squares in part.squares:
                squares.share = share
        cost = sum((share * part.cost for part in parts), cp.Constant(0.0))
        constraints = [item for part in parts for item in part.constraints]
        first = self.first.first_decisions()
        for future in self._each[1:]:
            constraints += [a == b for a, b in zip(future.first_decisions(), first, strict=True)]
        if planning.cvar_weight:
            self._risk = _Risk([part.cost for part in parts], planning)
            cost, constraints = cost + self._risk.cost, constraints + self._risk.constraints
        return Program(
            cost,
            constraints,
            [item for part in parts for item in part.squares],
            [item for part in parts for item in part.cones],
            [item for part in parts for item in part.binaries],
        )

    def update(self, measurement: Measurement, forecast: Forecast, earlier: Plan | None) -> None:
        """Set the data: the first period as forecast, the others as in their scenarios."""
        for future, own in zip(self._each, self._forecasts(forecast), strict=True):
            future.update(self._devices, measurement, own, earlier)
        if self._risk is not None:
            self._risk.update(np.array([one.imported.constant() for one in self._each]))

    def _forecasts(self, forecast: Forecast) -> list[Forecast]:
        if len(self._each) == 1:
            return [forecast]
        drawn = forecast.scenarios(len(self._each), self._sun_kw)
        return [
            replace(
                forecast,
                demand_kw=_after_first(forecast.demand_kw, drawn.demand_kw[i]),
                demand_kvar=_after_first(forecast.demand_kvar, drawn.demand_kvar[i]),
                available_kw=_after_first(forecast.available_kw, drawn.available_kw[i]),
                price_per_kwh=_after_first(forecast.price_per_kwh, drawn.price_per_kwh[i]),
            )
            for i in range(len(self._each))
        ]

    # --- directions of batteries ----------------------------------------------------------------------

    def free_directions(self) -> None:
        """See :class:`EnergyBlock`."""
        for one in self._each:
            one.energy.free_directions()

    def fix_directions(self) -> bool:
        """See :class:`EnergyBlock`."""
        fixed = [one.energy.fix_directions() for one in self._each]  # each of them, not up to the first
        return any(fixed)

    # --- the answer -------------------------------------------------------------------------------------

    def planned(self) -> Planned:
        """The mean over the futures; in the first period they agree."""
        energy = [one.energy.planned() for one in self._each]
        sources = [one.sources.planned() for one in self._each]
        means = [_mean(values) for values in (*zip(*energy, strict=True), *zip(*sources, strict=True))]
        return Planned(*means)

    def expected(self, energy_kva: ComplexArray, source_kva: ComplexArray) -> Expected:
        """What the futures say of one plan, on average; arguments of shape (device, period).

        Raises:
            FeederError: a plan has no power flow.
        """
        said = [one.network.expected(energy_kva, source_kva) for one in self._each]
        return Expected(
            np.asarray(np.mean([one.import_kva for one in said], axis=0)),
            _mean([one.losses_kw for one in said]),
            _mean([one.voltage_pu for one in said]),
        )

    def adopt(self) -> None:
        """See :class:`ImportTerms`."""
        for one in self._each:
            one.imported.adopt()

    def constant(self) -> float:
        """Part of the objective that the program leaves out, currency."""
        # The program of the risk knows it: only the expected cost lacks it.
        return float(np.mean([one.imported.constant() for one in self._each]))

    def drift_kwh(self, stored_kwh: FloatArray) -> float:
        """See :class:`EnergyBlock`: between a plan and the mean of the programs' energies."""
        if not self.first.energy.ratings:
            return 0.0
        programmed = _mean([one.energy.programmed_kwh() for one in self._each])
        return float(np.max(np.abs(stored_kwh - programmed)))

    def simultaneous_kw(self) -> float:
        """Largest of any future, see :class:`EnergyBlock`."""
        return max(one.energy.simultaneous_kw() for one in self._each)

    def simultaneous_hours(self) -> float:
        """Expected device-hours, see :class:`EnergyBlock`."""
        return float(np.mean([one.energy.simultaneous_hours() for one in self._each]))

    def slack_pu(self) -> float:
        """Largest of any future, see :class:`NetworkBlock`."""
        return max(one.network.slack_pu() for one in self._each)

    def over_kw(self) -> float:
        """Largest of any future, of the import and of lines."""
        return max(max(one.imported.over_kw(), one.network.over_kw()) for one in self._each)


class _Risk:
    """The weighted conditional value at risk of the futures' costs, as a linear program.

    Args:
        costs: of each future, affine.
        planning: weight and level.
    """

    def __init__(self, costs: Sequence[cp.Expression], planning: ScenarioPlanning) -> None:
        count = len(costs)
        self._constant = cp.Parameter(count)
        value_at_risk, beyond = cp.Variable(), cp.Variable(count, nonneg=True)
        self.constraints = [
            beyond[i] >= cost + self._constant[i] - value_at_risk for i, cost in enumerate(costs)
        ]
        worst = count * (1.0 - planning.cvar_level)
        self.cost = planning.cvar_weight * (value_at_risk + cp.sum(beyond) / worst)

    def update(self, constant: FloatArray) -> None:
        """Set the part of each future's cost that its program leaves out, currency."""
        self._constant.value = constant


def _mean(values: Sequence[FloatArray]) -> FloatArray:
    return np.asarray(np.mean(values, axis=0))


def _after_first(known: FloatArray, drawn: FloatArray) -> FloatArray:
    """A scenario whose first period is the forecast's."""
    return np.concatenate([known[:1], drawn[1:]])
