"""The horizon cut in time: windows that agree on the energy stored where one ends and the next begins.

Each window is a plan of the whole feeder for a part of the horizon. Nothing but stored energy couples the
periods, so two windows next to each other hold a copy of it, and a multiplier and a penalty pull the copies
together, see :mod:`cosim.opf.distributed.consensus`. Windows could be planned at the same time; here they
are planned one after the other.

This is a baseline: one controller that knows everything is as good and, up to long horizons, faster.

Source: after the project of Jha, Paul and Dubey on temporal decomposition of multi-period optimal power
flow (tADMM; model and stored results read, no paper), in which every window is one period.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

import cvxpy as cp
import numpy as np
from pydantic import Field

from cosim.errors import FormulationRefused
from cosim.model.arrays import FloatArray
from cosim.model.forecast import Forecast
from cosim.model.site import Site
from cosim.model.state import Certificate, Measurement, NoPlan, Plan
from cosim.model.timegrid import Horizon
from cosim.model.twin import OpenTwin
from cosim.opf.devices.energy_block import Bound, EnergyBlock
from cosim.opf.devices.model import DeviceModel
from cosim.opf.dispatch_planner import DispatchPlanner
from cosim.opf.distributed.consensus import Balance, Consensus
from cosim.opf.formulations.lindistflow import LinDistFlowNetwork
from cosim.opf.options import PlannerOptions, Terminal, fastest_solver
from cosim.opf.problem import Solved
from cosim.opf.program import Squares
from cosim.plugins import Options, needs, options

FIXED = Balance(factor=1.0)
"""Linear programs jump between charging and discharging, so residuals say little about the penalty."""


class TemporalOptions(Options):
    """Options of planner temporal_admm."""

    windows: int = Field(2, ge=1, description="number of parts of the horizon")
    rounds: int = Field(40, ge=1, le=1000, description="largest number of rounds of every plan")
    tolerance: float = Field(
        5e-3, gt=0.0, description="difference of stored energy where windows meet, part of the mean battery"
    )
    dual_tolerance: float = Field(
        0.05, gt=0.0, description="change of agreed energy times penalty below which windows agree"
    )
    penalty: float = Field(3.0, gt=0.0, description="as a part of the mean price")
    relaxation: float = Field(1.6, ge=1.0, lt=2.0, description="over-relaxation; 1 is none")


class WindowStorage(EnergyBlock):
    """Devices with energy in a window: stored energy at its ends can be pulled.

    Args:
        model, horizon, options: see :class:`EnergyBlock`.
        measured: whether the window begins with what is measured.

    Attributes:
        first, last: stored energy at both ends in units of the mean store, shape (device, 1).
        pull: squares of both.
    """

    def __init__(
        self, model: DeviceModel, horizon: Horizon, options: PlannerOptions, *, measured: bool
    ) -> None:
        self._measured = measured
        super().__init__(model, horizon, options)
        self.unit_kwh = float(self._kwh.mean())
        shape = (len(self.ratings), 1)
        self.first, self.last = cp.Variable(shape), cp.Variable(shape)
        size = self._kwh / self.unit_kwh
        self.constraints += [
            self.first == cp.multiply(size, self._energy[:, :1]),
            self.last == cp.multiply(size, self._energy[:, -1:]),
        ]
        self.pull = [Squares(end, np.zeros(shape), np.zeros(shape)) for end in (self.first, self.last)]
        self.squares += self.pull

    @property
    def start_kwh(self) -> FloatArray:
        """Stored energy that the program starts from, shape (device,)."""
        return np.asarray(self.first.value)[:, 0] * self.unit_kwh

    def _begin(self, least: Bound, most: Bound) -> list[cp.Constraint]:
        if self._measured:
            return super()._begin(least, most)
        return [self._energy[:, :1] >= least[:, :1], self._energy[:, :1] <= most[:, :1]]


@dataclass
class _Window:
    """A part of the horizon: its planner, its periods, and the last outcome."""

    planner: DispatchPlanner
    storage: WindowStorage
    periods: slice
    horizon: Horizon
    start_s: float
    solved: Solved | None = None
    copies: tuple[FloatArray, FloatArray] | None = None


@needs("network")
@options(TemporalOptions)
class TemporalAdmmPlanner:
    """Windows of the horizon that agree on stored energy (ADMM in time).

    Args:
        site: facts of the plant; needs a radial network.
        horizon: the periods of every plan.
        shared: options that planners share.
        options: of the planner.

    Raises:
        FormulationRefused: there are fewer periods than windows, no device stores energy, or a demand
            charge couples all periods.
    """

    name = "temporal_admm"

    def __init__(
        self,
        site: Site,
        horizon: Horizon,
        shared: PlannerOptions,
        _twin: OpenTwin | None = None,
        *,
        options: TemporalOptions,
    ) -> None:
        self._devices = DeviceModel(site.devices, horizon, shared)
        if len(horizon) < options.windows:
            raise FormulationRefused(
                f"{len(horizon)} periods cannot be cut into {options.windows} windows; reduce "
                "control.planner.options.windows"
            )
        if not self._devices.energy:
            raise FormulationRefused("windows have nothing to agree on: no device stores energy")
        if shared.objective.peak_per_kw:
            raise FormulationRefused(
                "a demand charge couples all windows of planner temporal_admm; set peak_per_kw 0"
            )
        self._horizon, self._options, self._shared = horizon, options, shared
        cuts = np.linspace(0, len(horizon), options.windows + 1).round().astype(int).tolist()
        self._windows = [self._window(site, slice(first, last)) for first, last in pairwise(cuts)]

    def _window(self, site: Site, periods: slice) -> _Window:
        horizon, shared = Horizon(self._horizon.period_s[periods]), self._shared
        if periods.stop < len(self._horizon):
            shared = replace(shared, terminal=Terminal("free"))
        storage = partial(WindowStorage, measured=periods.start == 0)
        planner = DispatchPlanner(
            self.name, LinDistFlowNetwork, site, horizon, fastest_solver(shared), storage=storage
        )
        block = planner.storage
        if not isinstance(block, WindowStorage):
            raise TypeError("the planner of a window has lost its storage")
        return _Window(planner, block, periods, horizon, float(self._horizon.starts_s[periods.start]))

    def plan(self, measurement: Measurement, forecast: Forecast) -> Plan | NoPlan:
        """Let the windows agree, and put their plans together; see :class:`cosim.model.roles.Planner`."""
        links = self._links(measurement, forecast)
        build_s = sum(
            window.planner.set_up(*self._data(window, measurement, forecast)) for window in self._windows
        )
        solve_s, rounds, iterations = 0.0, 0, 0
        for _ in range(self._options.rounds):
            rounds += 1
            for place, window in enumerate(self._windows):
                solved = self._solve(place, window, links)
                solve_s, iterations = solve_s + solved.solve_s, iterations + solved.iterations
                if not solved.found:
                    reason = f"window {place + 1}: the program is {solved.status}"
                    return NoPlan(solved.status, reason, build_s, solve_s)
            for place, link in enumerate(links):
                before, after = self._windows[place].copies, self._windows[place + 1].copies
                if before is not None and after is not None:
                    link.update(before[1][None], after[0][None])
            if all(self._agreed(link) for link in links):
                break
        apart = max((float(link.primal.max()) for link in links), default=0.0)
        return self._joined(measurement, forecast, build_s, solve_s, (rounds, iterations, apart))

    def _links(self, measurement: Measurement, forecast: Forecast) -> list[Consensus]:
        """What windows agree on at first: energy as measured, at the mean price."""
        made = []
        price = float(np.abs(forecast.price_per_kwh).mean()) or 1.0
        for window in self._windows[:-1]:
            unit_kwh = window.storage.unit_kwh
            stored = measurement.stored_kwh[: len(self._devices.energy)]
            shape = (1, len(stored), 1)
            link = Consensus(shape, relaxation=self._options.relaxation, balance=FIXED)
            # The window before sells energy to the one after it.
            value = np.full(shape, -price * unit_kwh)
            scale = np.array([price * unit_kwh])
            first = (stored / unit_kwh).reshape(shape)
            link.start(first, value, scale=scale, penalty=self._options.penalty)
            made.append(link)
        return made

    def _agreed(self, link: Consensus) -> bool:
        tolerances = self._options.tolerance, self._options.dual_tolerance
        return float(link.primal.max()) <= tolerances[0] and float(link.dual.max()) <= tolerances[1]

    def _data(
        self, window: _Window, measurement: Measurement, forecast: Forecast
    ) -> tuple[Measurement, Forecast]:
        """Measurement and forecast of a window."""
        here = window.periods
        ratio = forecast.source_ratio
        return (
            replace(measurement, time_s=measurement.time_s + window.start_s),
            Forecast(
                window.horizon,
                forecast.demand_kw[here],
                forecast.demand_kvar[here],
                forecast.available_kw[here],
                forecast.price_per_kwh[here],
                None if ratio is None else ratio[here],
            ),
        )

    def _solve(self, place: int, window: _Window, links: Sequence[Consensus]) -> Solved:
        """Plan a window about what is agreed at its ends."""
        storage = window.storage
        for end, link, sign in ((0, place - 1, -1.0), (1, place, 1.0)):
            if not 0 <= link < len(links):
                continue
            # The multiplier of a link is that of the window before it.
            agreed, penalty = links[link], links[link].penalty
            storage.pull[end].weight = agreed.weight[0]
            storage.pull[end].center = (agreed.agreed - sign * agreed.multiplier / penalty)[0]
        window.solved = solved = window.planner.problem.solve()
        if solved.found:
            window.copies = np.asarray(storage.first.value), np.asarray(storage.last.value)
        return solved

    def _joined(
        self,
        measurement: Measurement,
        forecast: Forecast,
        build_s: float,
        solve_s: float,
        counts: tuple[int, int, float],
    ) -> Plan | NoPlan:
        """One plan of the plans of all windows."""
        parts: list[Plan] = []
        stored_kwh = measurement.stored_kwh
        for window in self._windows:
            own, ahead = self._data(window, replace(measurement, stored_kwh=stored_kwh), forecast)
            if window.solved is None:
                raise TypeError("a window has not been solved")
            part = window.planner.plan_of(window.solved, own, ahead, 0.0)
            if isinstance(part, NoPlan):
                return part
            parts.append(part)
            stored_kwh = part.stored_kwh[-1]
        energy = len(self._devices.energy)
        kw = np.vstack([part.p_kw for part in parts])
        proofs = [part.certificate for part in parts]
        rounds, iterations, apart = counts
        agreed = apart <= self._options.tolerance
        return Plan(
            time_s=measurement.time_s,
            period_s=np.asarray(self._horizon.period_s, dtype=np.float64),
            p_kw=kw,
            q_kvar=np.vstack([part.q_kvar for part in parts]),
            stored_kwh=self._devices.roll_out(measurement.stored_kwh, kw[:, :energy], measurement.time_s),
            import_kw=np.concatenate([part.import_kw for part in parts]),
            import_kvar=np.concatenate([part.import_kvar for part in parts]),
            losses_kw=np.concatenate([part.losses_kw for part in parts]),
            voltage_pu=np.vstack([part.voltage_pu for part in parts]),
            certificate=Certificate(
                planner=self.name,
                status="settled" if agreed else "stopped",
                objective=sum(proof.objective for proof in proofs),
                primal_residual=max(proof.primal_residual for proof in proofs),
                simultaneous_kw=max(proof.simultaneous_kw for proof in proofs),
                simultaneous_h=sum(proof.simultaneous_h for proof in proofs),
                slack_pu=max(proof.slack_pu for proof in proofs),
                over_kw=max(proof.over_kw for proof in proofs),
                iterations=iterations,
                build_s=build_s,
                solve_s=solve_s,
                relaxation_gap_kva=None,
                optimality_gap=None,
                claim=f"{len(parts)} windows {'agree' if agreed else 'do not agree'}: stored energy "
                f"differs by {apart:.1e} of the mean battery",
                rounds=rounds,
            ),
        )
