"""Programs of an owner and of an aggregator, tied by the powers of the devices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import cvxpy as cp
import numpy as np

from cosim.devices.bounds import each
from cosim.model.arrays import FloatArray, IntArray
from cosim.model.device import Device
from cosim.model.forecast import Forecast
from cosim.model.site import Site
from cosim.model.state import Measurement
from cosim.model.timegrid import Horizon
from cosim.opf.devices.energy_block import EnergyBlock
from cosim.opf.devices.source_block import SourceBlock
from cosim.opf.expected import Expected
from cosim.opf.formulations.copper_plate import CopperPlate
from cosim.opf.formulations.lindistflow import LinDistFlowNetwork
from cosim.opf.options import PlannerOptions
from cosim.opf.problem import DispatchProblem
from cosim.opf.program import EmptyBlock, Program, Squares
from cosim.opf.terms import ImportTerms


class Pull(Protocol):
    """Where powers are pulled to."""

    @property
    def weight(self) -> FloatArray:
        """Of the squares, shape (2, row, period): active power, reactive power."""
        ...

    @property
    def center(self) -> FloatArray:
        """Of the squares, of that shape, in units."""
        ...


class Schedules:
    """Powers of the devices of an owner as variables that can be pulled.

    Args:
        unit_kva: of all powers.
        shape: (device, period).
    """

    def __init__(self, unit_kva: float, shape: tuple[int, int]) -> None:
        self.unit_kva = unit_kva
        self.kw, self.kvar = cp.Variable(shape), cp.Variable(shape)
        self.pull = [Squares(power, np.zeros(shape), np.zeros(shape)) for power in (self.kw, self.kvar)]
        self.constraints: list[cp.Constraint] = []

    def pull_to(self, consensus: Pull, rows: slice | IntArray) -> None:
        """Pull some of the rows to what is agreed."""
        for kind, squares in enumerate(self.pull):
            squares.weight, squares.center = squares.weight.copy(), squares.center.copy()
            squares.weight[rows], squares.center[rows] = consensus.weight[kind], consensus.center[kind]

    def values(self) -> FloatArray:
        """Of the last solution, shape (2, device, period), in units."""
        return np.stack([np.asarray(self.kw.value), np.asarray(self.kvar.value)])


class SummedSchedules(Schedules):
    """Powers of the devices of an owner, of which only the sum over the devices is pulled.

    Args:
        unit_kva: of all powers.
        shape: (device, period).
    """

    def __init__(self, unit_kva: float, shape: tuple[int, int]) -> None:
        super().__init__(unit_kva, shape)
        one = (1, shape[1])
        self._sums = [cp.Variable(one), cp.Variable(one)]
        self.pull = [Squares(power, np.zeros(one), np.zeros(one)) for power in self._sums]
        self.constraints += [
            total == cp.sum(power, axis=0, keepdims=True)
            for total, power in zip(self._sums, (self.kw, self.kvar), strict=True)
        ]


class OwnDevices(CopperPlate):
    """Devices of an owner without a network; their powers can be pulled.

    Args:
        site, energy, sources, horizon, options: see :class:`CopperPlate`.
        schedules: variables of the powers, devices in the order of the site.
    """

    def __init__(
        self,
        site: Site,
        energy: EnergyBlock,
        sources: SourceBlock,
        horizon: Horizon,
        options: PlannerOptions,
        *,
        schedules: Schedules,
    ) -> None:
        super().__init__(site, energy, sources, horizon, options)
        first = 0
        for block in (energy, sources):
            if not block.ratings:
                continue
            here = slice(first, first + len(block.ratings))
            first = here.stop
            self.constraints += [
                schedules.unit_kva * schedules.kw[here] == block.change_kw,
                schedules.unit_kva * schedules.kvar[here] == block.kvar,
            ]
        self.constraints += schedules.constraints
        self.squares += schedules.pull


class AlikeSchedules(SummedSchedules):
    """Requested powers of all devices, of which only the sum is pulled, and all of a sort do alike.

    The aggregator does not learn which device gives how much. It assumes that each gives the same part of
    its rating.

    Args:
        unit_kva: of all powers.
        rated_kva: of each device, shape (device,).
        periods: of the horizon.
        split: number of devices with energy, which come first.
    """

    def __init__(self, unit_kva: float, rated_kva: FloatArray, *, periods: int, split: int) -> None:
        super().__init__(unit_kva, (len(rated_kva), periods))
        for here in (slice(0, split), slice(split, len(rated_kva))):
            room = rated_kva[here, None] / unit_kva
            if room.size:
                for power in (self.kw, self.kvar):
                    part = cp.Variable((1, periods))
                    self.constraints.append(power[here] == room @ part)


@dataclass(frozen=True)
class _Requested:
    """Devices of one sort as the aggregator sees them: powers within the rating, and nothing else."""

    ratings: Sequence[Device]
    change_kw: cp.Expression
    kvar: cp.Expression


class Requests:
    """The program of the aggregator: which powers it would like to have, for the import and the limits.

    Args:
        site: of the feeder.
        horizon: the periods of every plan.
        shared: options that planners share.
        schedules: requested powers of all devices, in the order of the site.

    Attributes:
        schedules: of the arguments.
        network: of the feeder.
        problem: compiled once.
    """

    def __init__(self, site: Site, horizon: Horizon, shared: PlannerOptions, schedules: Schedules) -> None:
        count, periods = len(site.devices), len(horizon)
        self.schedules, unit_kva = schedules, schedules.unit_kva
        self._split = split = sum(device.has_energy for device in site.devices)
        parts = [
            _Requested(site.devices[here], unit_kva * schedules.kw[here], unit_kva * schedules.kvar[here])
            for here in (slice(0, split), slice(split, count))
        ]
        self.network = LinDistFlowNetwork(site, parts[0], parts[1], horizon, shared)
        self._import = ImportTerms(shared.objective, shared.limits, horizon, self.network.import_kw)
        block = EmptyBlock()
        room = each(site.devices, "kva")[:, None] / unit_kva
        least, most = -room * np.ones((1, periods)), room * np.ones((1, periods))
        # Sources can only be curtailed.
        most[split:] = 0.0
        block.constraints += [
            schedules.kw >= least,
            schedules.kw <= most,
            schedules.kvar >= -np.abs(least),
            schedules.kvar <= np.abs(least),
        ]
        block.constraints += schedules.constraints
        block.squares += schedules.pull
        program = Program.of((self.network, self._import, block))
        solver = "piqp" if shared.solver == "auto" else shared.solver
        self.problem = DispatchProblem(program, solver=solver, seconds=shared.solver_seconds)

    def set_up(self, measurement: Measurement, forecast: Forecast) -> None:
        """Write the data of a plan into the program."""
        base_kw = self.network.update(measurement, forecast)
        self._import.update(base_kw, forecast.price_per_kwh, measurement.peak_import_kw)
        self._available_kw = forecast.available_kw.T[self._split :]

    def expected(self, powers: FloatArray) -> Expected:
        """What the network does under the powers of all devices.

        Args:
            powers: shape (2, device, period), in units; see :meth:`Schedules.values`.
        """
        kva = (powers[0] + 1j * powers[1]) * self.schedules.unit_kva
        return self.network.expected(kva[: self._split], self._available_kw + kva[self._split :])
