"""The plant: a distribution feeder that OpenDSS simulates step by step."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from cosim.errors import ContractError, FeederError
from cosim.feeder.balance import PowerBalance, balance_complaint
from cosim.feeder.bases import must_have_right_bases
from cosim.feeder.branch import Watched, watched_voltages
from cosim.feeder.circuit import Circuit
from cosim.feeder.clock import open_clock
from cosim.feeder.compiled import FeederModel
from cosim.feeder.coordinates import map_of
from cosim.feeder.engine import Engine, SolveReport
from cosim.feeder.foresight import foresee
from cosim.feeder.meters import Meters, TapMeter
from cosim.feeder.network_devices import NetworkDevices
from cosim.feeder.operated_devices import OperatedDevices
from cosim.feeder.radial_model import radial_model
from cosim.feeder.reading.twin_model import read_twin_model
from cosim.feeder.step_inputs import StepInputs
from cosim.feeder.step_solver import Moment, NotSolved, OnNoConvergence, Reading, StepSolver
from cosim.feeder.supply import unsupplied
from cosim.model.device import Device
from cosim.model.exogenous import Exogenous
from cosim.model.meter import MeterPlace
from cosim.model.network import RadialNetwork
from cosim.model.network_device import NetworkDevice
from cosim.model.site import CONTRACT_VERSION, Site
from cosim.model.state import NOT_SOLVED, Applied, Measurement, Setpoints, StepResult
from cosim.model.timegrid import TimeGrid
from cosim.twin.acceptance import Acceptance
from cosim.twin.model_error import ModelError
from cosim.twin.twin_model import TwinModel

log = logging.getLogger(__name__)

SETTLING_SOLVES = 5
"""Solves allowed to bring regulators and capacitors to rest before step 0."""


class Feeder:
    """The feeder in operation: ``measure``, ``apply``, ``commit``, once each per step.

    A feeder whose model is not commanded takes set-points and writes none: what nobody commands is as
    its master says, and devices that the scenario adds rest.

    Args:
        model: the compiled master file; it belongs to the feeder from now on.
        devices: controllable devices, kind by kind; those the master does not define are added.
        network_devices: tap changers and capacitor banks that follow set-points.
        exogenous: demand, sun and price.
        grid: the steps of the run.
        meters: read after each step, beside the head of the feeder.
        with_network: read the radial network model, which takes most of the time on a large feeder.
        on_no_convergence: whether a step without a solution ends the run, or repeats what the step before
            gave, with stored energy as it was, and says so in an event.

    Attributes:
        site: the facts of the plant.
        meters: what is read of the feeder as it is solved now.
        taps: taps that regulators or a controller move.
        inputs: what each step brings from outside.

    Raises:
        FeederError: the feeder with its devices does not solve.
    """

    def __init__(
        self,
        model: FeederModel,
        *,
        devices: Sequence[Device],
        network_devices: Sequence[NetworkDevice] = (),
        exogenous: Exogenous,
        grid: TimeGrid,
        meters: Sequence[MeterPlace] = (),
        with_network: bool = True,
        on_no_convergence: OnNoConvergence = "stop",
    ) -> None:
        self._model, self._with_network = model, with_network
        self._engine = model.engine
        self._solver = StepSolver(self._engine, on_no_convergence)
        self._grid = grid
        must_have_right_bases(model.base_problems)
        self._devices = OperatedDevices(model, devices, grid)
        self._clock = open_clock(self._engine, grid, self._devices.by_inputs, model.tolerance)
        self._devices.open()
        self.inputs = StepInputs(model, self._devices, self._clock, exogenous)
        self._balance = PowerBalance(self._engine, self.inputs.demand.batch, self._devices.elements)
        self._switchgear = NetworkDevices(self._engine, network_devices, commanded=model.commanded)
        windings = self._engine.regulated_windings() | self._switchgear.windings
        self.taps = TapMeter(self._engine, dict(sorted(windings.items())))
        banks = {*self._engine.switched_capacitors(), *self._switchgear.banks}
        self._capacitors = tuple(sorted(banks))
        self._result: StepResult | None = None
        self._unsolved: list[str] = []
        self._settle()
        self._switchgear.take_over()
        self._solver.watch(self.taps, self._capacitors)
        circuit = model.circuit(self.taps.windings)
        self._watched = watched_voltages(circuit)
        self.meters = Meters(self._engine, self._watched, self._balance, meters)
        self._devices.watch()
        self._unsupplied = unsupplied(self._engine, self.meters.dead_nodes)
        if self._unsupplied is not None:
            log.warning("%s", self._unsupplied.sentence())
        self.site: Site = self._describe(circuit)
        self._measured: int | None = None
        self._applied = False
        self._next_step = 0
        self._peak_import_kw = 0.0

    def __enter__(self) -> Feeder:
        return self

    def __exit__(self, *_error: object) -> None:
        self._model.close()

    # --- the three verbs of a step ---------------------------------------------------------------

    def measure(self, step: int) -> Measurement:
        """State at the start of a step: its load and sun, under the set-points still in force.

        Regulators and capacitors have not reacted yet, nothing is integrated.

        Raises:
            ContractError: the step is not the next one.
            FeederError: the power flow has no solution.
        """
        if step != self._next_step:
            raise ContractError(
                f"step {step} is measured while the feeder is at step {self._next_step}; "
                "commit every step once, in order"
            )
        inputs = self.inputs.write(step)
        self._measured, self._applied = step, False
        found = self._solve(step, controls=False)
        seen = Reading.of(found.last) if isinstance(found, NotSolved) else self._read()
        return Measurement(
            step=step,
            time_s=float(self._grid.second(step)),
            voltage_pu=seen.voltage_pu,
            demand_kw=inputs.demand_kw,
            demand_kvar=inputs.demand_kvar,
            price_per_kwh=inputs.price_per_kwh,
            p_kw=seen.p_kw,
            q_kvar=seen.q_kvar,
            stored_kwh=self._devices.stored_kwh(),
            available_kw=self._devices.available_kw,
            tap=self.taps.ratios(),
            capacitor_closed=self._engine.closed_capacitors(self._capacitors),
            import_kw=seen.import_kw,
            import_kvar=seen.import_kvar,
            losses_kw=seen.losses_kw,
            peak_import_kw=self._peak_import_kw,
            position=self._switchgear.positions(),
            source_ratio=self.inputs.source_ratio,
        )

    def apply(self, setpoints: Setpoints) -> Applied:
        """Write set-points, as far as ratings, inverters and stored energy allow.

        A battery is never asked for more than it can hold for the whole step, because the simulator
        would deliver the energy and merely stop counting at the reserve.

        Returns:
            What was accepted, and why it differs from what was asked.
        """
        if self._measured is None:
            raise ContractError("set-points arrived before the step was measured; call measure first")
        setpoints.check(self.site, sender="the caller", step=self._measured)
        reasons = self._devices.accept(setpoints, self._measured)
        time_s = float(self._grid.second(self._measured))
        position, why = self._switchgear.apply(setpoints.position, time_s)
        self._applied = True
        return Applied(replace(self._devices.setpoints, position=position), reasons, why)

    def commit(self) -> StepResult:
        """Solve the step with regulators and capacitors acting, integrate storage once, move on.

        Raises:
            FeederError: the power flow did not converge or is not a number.
            ContractError: no set-points were applied.
        """
        if self._measured is None or not self._applied:
            raise ContractError("commit needs measure and apply of the same step before it")
        step = self._measured
        report = self._solve(step, controls=True)
        if isinstance(report, NotSolved):
            return self._move_on(self._held(report, step))
        delivered = self._devices.delivered_kva()
        power, losses = self.meters.head()
        load_kva, other_kw = self._balance.load_kva(), self._balance.other_kw()
        devices_kw = float(delivered.real.sum())
        error_kw = power.real + other_kw + devices_kw - load_kva.real - losses
        loading, unbalance_percent = self.meters.loading(), self.meters.unbalance_percent()
        meter_kw = self.meters.at_elements.kw()
        states = self._devices.states(step)
        self._engine.dss.Circuit.UpdateStorage()
        self._devices.integrate(delivered.real, states)
        stored, position = self._devices.stored_kwh(), self._switchgear.positions()
        result = StepResult(
            step=step,
            voltage_pu=self.meters.voltage_pu(),
            p_kw=delivered.real,
            q_kvar=delivered.imag,
            stored_kwh=stored,
            tap=self.taps.ratios(),
            import_kw=power.real,
            import_kvar=power.imag,
            losses_kw=losses,
            loading=loading.line,
            loading_line=loading.line_name,
            iterations=report.iterations,
            events=(
                *self._unsolved,
                *self._events(report),
                *self._devices.complaints(states, delivered, stored),
                *self._switchgear.compare(position),
                *balance_complaint(error_kw, power.real),
            ),
            load_kw=load_kva.real,
            load_kvar=load_kva.imag,
            other_kw=other_kw,
            balance_error_kw=error_kw,
            position=position,
            operations=self._switchgear.operations(position),
            meter_kw=meter_kw,
            transformer_loading=loading.transformer,
            unbalance_percent=unbalance_percent,
            capacitor_closed=self._engine.closed_capacitors(self._capacitors),
        )
        return self._move_on(result)

    def _held(self, found: NotSolved, step: int) -> StepResult:
        """A step without a solution: what the step before gave, and nothing integrated."""
        position = self._switchgear.positions()
        return replace(
            found.last,
            step=step,
            stored_kwh=self._devices.stored_kwh(),
            tap=self.taps.ratios(),
            iterations=found.iterations,
            events=tuple(self._unsolved),
            position=position,
            operations=self._switchgear.operations(position),
        )

    def _move_on(self, result: StepResult) -> StepResult:
        self._measured, self._next_step, self._result = None, result.step + 1, result
        self._peak_import_kw = max(self._peak_import_kw, result.import_kw)
        self._unsolved.clear()
        return result

    def _solve(self, step: int, *, controls: bool) -> SolveReport | NotSolved:
        """A power flow of a step; one without a solution is noted for the step's events.

        Raises:
            FeederError: there is no solution, and the run may not go on without.
        """
        kw = float(self._devices.setpoints.p_kw.sum())
        moment = Moment(step, controls, self.inputs.load_kw, kw, self.inputs.source_ratio)
        found = self._solver.solve(moment, self._result)
        if isinstance(found, NotSolved):
            self._unsolved.append(f"{NOT_SOLVED}: {found.sentence}. Values of the step before are repeated")
        return found

    def twin_model(self, error: ModelError, acceptance: Acceptance | None = None) -> TwinModel:
        """A model of the feeder that needs no engine, read before step 0.

        The feeder is afterwards as it was before: the same run follows, to the last bit, whether or not
        a model was read.

        Args:
            error: what the model is made to get wrong.
            acceptance: how far it may be from the feeder.

        Raises:
            FeederError: the feeder has an element the twin has no model for; it is named.
            ContractError: the run has begun.
        """
        if self._next_step:
            raise ContractError(f"a twin is read before step 0, the feeder is at step {self._next_step}")
        before = self._engine.voltages().copy()
        measurement = self.measure(0)
        moved = (self.taps.windings, self._capacitors)
        asked = acceptance or Acceptance()
        model = read_twin_model(self._engine, self._watched, self.site, moved, measurement, error, asked)
        if self._clock.followers:
            known = foresee(self._engine, self._clock, model.data, self._grid, asked.constant_power)
            model = replace(model, data=known)
            self.measure(0)
        self._engine.voltages()[:] = before
        self._measured = None
        return model

    @property
    def engine(self) -> Engine:
        """The engine the feeder runs in, for studies that set what no controller may set.

        Whatever is changed in it is not in the record; a run never uses it.
        """
        return self._engine

    @property
    def regulated_windings(self) -> dict[str, int]:
        """Transformers whose taps regulators or a controller move, and the winding of each."""
        return dict(self.taps.windings)

    @property
    def watched(self) -> tuple[Watched, ...]:
        """The voltages of the site's nodes, in order."""
        return self._watched

    def network(self) -> tuple[RadialNetwork | None, str]:
        """The radial model at the present state of the feeder, or None and why there is none."""
        return self._network(self._model.circuit(self.taps.windings))

    # --- building --------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Bring regulators and capacitors to rest under the demand of step 0, DER idle."""
        self._devices.rest()
        self.inputs.write(0)
        self.settling_solves = 0
        """How many power flows brought regulators and capacitors to rest."""
        for _ in range(SETTLING_SOLVES):
            self.settling_solves += 1
            before = self.taps.ratios()
            report = self._solve(0, controls=True)
            if isinstance(report, NotSolved):  # there is no step before to hold on to
                raise FeederError(report.sentence)
            if not report.control_overrun and np.array_equal(before, self.taps.ratios()):
                return
        log.warning("regulators or capacitors still move after %d solves at step 0", SETTLING_SOLVES)

    def _describe(self, circuit: Circuit) -> Site:
        loads = self._model.loads
        network, reason = self._network(circuit) if self._with_network else (None, "nobody asked for it")
        return Site(
            contract_version=CONTRACT_VERSION,
            grid=self._grid,
            nodes=tuple(w.name for w in self._watched),
            loads=loads.names,
            regulators=tuple(self.taps.windings),
            feeder_map=map_of(self._engine, circuit),
            tap_step=self.taps.steps(),
            devices=self._devices.devices,
            network=network,
            no_network_reason=reason,
            capacitors=self._capacitors,
            load_kw=self._model.loads.kw,
            load_kvar=self._model.loads.kvar,
            network_devices=self._switchgear.devices,
            unsupplied=self._unsupplied,
        )

    def _network(self, circuit: Circuit) -> tuple[RadialNetwork | None, str]:
        """The radial model, or why there is none."""
        return radial_model(
            circuit,
            self._watched,
            self._model.loads,
            devices=self._devices.connected(),
            taps=dict(zip(self.taps.windings, self.taps.ratios(), strict=True)),
            banks=self._switchgear.closed_banks(),
            source_ratio=self.inputs.source_ratio,
        )

    # --- reading ---------------------------------------------------------------------------------

    def _read(self) -> Reading:
        """The feeder as it is solved now."""
        delivered = self._devices.delivered_kva()
        power, losses = self.meters.head()
        return Reading(
            self.meters.voltage_pu(), delivered.real, delivered.imag, power.real, power.imag, losses
        )

    def _events(self, report: SolveReport) -> Sequence[str]:
        events: list[str] = []
        if report.control_overrun:
            events.append("regulators or capacitors were still hunting at the iteration limit")
        lost = self.meters.lost_nodes()
        if lost:
            events.append(f"{len(lost)} nodes lost their voltage, e.g. {lost[0]}")
        return events
