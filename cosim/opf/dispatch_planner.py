"""The planner: devices, a formulation of the network and an objective, solved at every step."""

from __future__ import annotations

import logging
import time
from dataclasses import replace

import numpy as np

from cosim.devices.bounds import each
from cosim.errors import FeederError, FormulationRefused
from cosim.model.arrays import FloatArray
from cosim.model.forecast import Forecast
from cosim.model.site import Site
from cosim.model.state import Certificate, Measurement, NoPlan, Plan
from cosim.model.timegrid import Horizon
from cosim.opf.devices.circle import back_into_circle
from cosim.opf.devices.energy_block import EnergyBlock
from cosim.opf.devices.model import DeviceModel
from cosim.opf.formulations.network_block import Formulation, NetworkBlock
from cosim.opf.futures import Futures, MakeStorage, Planned
from cosim.opf.options import ONLY_ON_EXACT_FLOWS, PlannerOptions
from cosim.opf.problem import DispatchProblem, Solved
from cosim.opf.program_size import ProgramSize
from cosim.opf.solvers.route import STOPPED

log = logging.getLogger(__name__)

MOST_REPAIRS = 5
GLOBAL_GAP = 1e-6
"""A plan whose exact cost is within this part of a proven bound is called globally optimal."""
MOST_DRIFT_KWH = 1e-3
"""A plan whose stored energy differs by more from that of the program is not what was optimised."""

LOOSE_GAP = 0.01
"""A bound further away than this says nothing: its relaxation has left the physics."""


class DispatchPlanner:
    """Multi-period dispatch with one formulation of the network.

    The program is compiled here, once; :meth:`plan` only writes parameters and solves.

    Args:
        name: of the formulation.
        formulation: builds the network's part of the program.
        site: facts of the plant.
        horizon: the periods of every plan.
        options: see :class:`cosim.opf.options.PlannerOptions`.
        storage: builds the program's part of devices with energy.

    Raises:
        FormulationRefused: the formulation does not cover this feeder.
        SolverMissing, SolverUnsuited: see :class:`DispatchProblem`.
    """

    def __init__(
        self,
        name: str,
        formulation: Formulation,
        site: Site,
        horizon: Horizon,
        options: PlannerOptions,
        *,
        storage: MakeStorage = EnergyBlock,
    ) -> None:
        if not site.devices:
            raise FormulationRefused(
                f"planner {name} has nothing to plan: the scenario has no device; "
                "add some, or use control: {type: idle}"
            )
        self.name = name
        self._horizon = horizon
        self._devices = DeviceModel(site.devices, horizon, options)
        self._futures = Futures(name, self._devices, formulation, site, horizon, options, storage)
        asked = options.asked()
        beyond = {*self.network.blind_to, *ONLY_ON_EXACT_FLOWS}
        blind = [option for option, wanted in asked.items() if wanted and option in beyond]
        if blind:
            log.warning("planner %s does nothing with %s on this feeder", name, ", ".join(blind))
        self.problem = DispatchProblem(
            self._futures.program, solver=options.solver, seconds=options.solver_seconds
        )
        self._earlier: Plan | None = None
        self._first: tuple[Measurement, Forecast] | None = None
        self._gap: FloatArray | None = None

    @property
    def network(self) -> NetworkBlock:
        """The formulation of the network, in the first future where there are several."""
        return self._futures.first.network

    @property
    def storage(self) -> EnergyBlock:
        """The program's part of devices with energy."""
        return self._futures.first.energy

    @property
    def program_size(self) -> ProgramSize:
        """Of the affine part of the compiled program."""
        return self.problem.size

    @property
    def resumable(self) -> bool:
        """Whether later plans depend on the first program and the last plan alone.

        Clarabel keeps the scaling of the first program and starts every solve anew; other solvers start
        from the answer before.
        """
        return self.problem.solver == "clarabel"

    def state(self) -> tuple[tuple[Measurement, Forecast] | None, Plan | None]:
        """See :class:`cosim.model.roles.Resumable`."""
        return self._first, self._earlier

    def restore(self, state: tuple[tuple[Measurement, Forecast] | None, Plan | None]) -> None:
        """See :class:`cosim.model.roles.Resumable`: the first program is solved again."""
        first, earlier = state
        if first is not None:
            self.plan(*first)
        self._earlier = earlier

    def plan(self, measurement: Measurement, forecast: Forecast) -> Plan | NoPlan:
        """Plan from the measured state; see :class:`cosim.model.roles.Planner`."""
        build_s = self.set_up(measurement, forecast)
        solved = self._solve(measurement, forecast)
        first = self._earlier is None
        plan = self.plan_of(solved, measurement, forecast, build_s)
        # Where a battery's idling loss falls is only known once there is a plan.
        again = first and isinstance(plan, Plan) and self._devices.idles
        return self.plan(measurement, forecast) if again else plan

    def set_up(self, measurement: Measurement, forecast: Forecast) -> float:
        """Write the data of a plan into the program; returns the seconds that it took."""
        self._first = self._first or (measurement, forecast)
        started = time.perf_counter()
        self._futures.update(measurement, forecast, self._earlier)
        return time.perf_counter() - started

    def plan_of(
        self, solved: Solved, measurement: Measurement, forecast: Forecast, build_s: float
    ) -> Plan | NoPlan:
        """The plan that stands in the variables of a solved program.

        Args:
            solved: outcome of the last solve.
            measurement, forecast: that the program was set up with.
            build_s: seconds of the set-up.
        """
        if not solved.found:
            reason = f"the {self.name} program is {solved.status}"
            doubt = f"; {self.network.caution}" if self.network.caution else ""
            return NoPlan(solved.status, reason + doubt, build_s, solved.solve_s)
        planned = self._planned(measurement, forecast)
        gap = self.network.relaxation_gap()
        try:
            expected = self._futures.expected(
                (planned.kw + 1j * planned.kvar).T, (planned.source_kw + 1j * planned.source_kvar).T
            )
        except FeederError as error:
            return NoPlan(
                "not_physical", f"the {self.name} plan cannot be: {error}", build_s, solved.solve_s
            )
        self._gap = gap
        self._futures.adopt()
        stored_kwh = self._devices.roll_out(measurement.stored_kwh, planned.kw, measurement.time_s)
        plan = Plan(
            time_s=measurement.time_s,
            period_s=np.asarray(self._horizon.period_s, dtype=np.float64),
            p_kw=np.concatenate([planned.kw, planned.source_limit_kw], axis=1),
            q_kvar=np.concatenate([planned.kvar, planned.source_kvar], axis=1),
            stored_kwh=stored_kwh,
            import_kw=np.asarray(expected.import_kva.real),
            import_kvar=np.asarray(expected.import_kva.imag),
            losses_kw=expected.losses_kw,
            voltage_pu=np.ascontiguousarray(expected.voltage_pu.T),
            certificate=self._certificate(solved, build_s, stored_kwh),
            relaxation_gap_kva=None if gap is None else np.abs(gap).max(axis=1),
        )
        self._earlier = plan
        return plan

    def _planned(self, measurement: Measurement, forecast: Forecast) -> Planned:
        """Set-points of the answer.

        What a solver's tolerance puts beyond a window or a circle is taken back here, so that the plant
        need not cut it. More than a tolerance is left as it is: it must be seen.
        """
        planned, energy = self._futures.planned(), self._futures.first.energy
        # From where the program starts, which a rounding of the measurement may lie outside of.
        stored = measurement.stored_kwh.copy()
        stored[: len(energy.ratings)] = energy.start_kwh
        kw = self._devices.within_window(stored, forecast.available_kw, planned.kw, measurement.time_s)
        kvar = back_into_circle(kw, planned.kvar, each(energy.ratings, "kva"))
        return replace(planned, kw=kw, kvar=kvar)

    def _solve(self, measurement: Measurement, forecast: Forecast) -> Solved:
        """Solve what was set up; planners whose data follow from answers do it more than once."""
        del measurement, forecast
        return self._solve_program()

    def _solve_program(self) -> Solved:
        """Solve; with complementarity ``repair`` again, until no battery does both at once."""
        self._futures.free_directions()
        solved = first = self.problem.solve()
        for _ in range(MOST_REPAIRS):
            if not (solved.found and self._futures.fix_directions()):
                break
            again = self.problem.solve()
            # Fixing directions can only cost, so the first bound holds for all.
            solved = replace(
                again,
                status=again.status if again.found else f"{again.status} after repair; use binary",
                bound=first.bound,
                iterations=solved.iterations + again.iterations,
                solve_s=solved.solve_s + again.solve_s,
            )
        return solved

    def _certificate(self, solved: Solved, build_s: float, stored_kwh: FloatArray) -> Certificate:
        gap, constant, futures = self._gap, self._futures.constant(), self._futures
        objective, optimality_gap = self._objective(solved.objective + constant), None
        if gap is not None:
            # The exact flow of the plan now stands in the variables, and what it exceeds is paid for.
            objective = self.problem.objective() + constant
            if np.isfinite(solved.bound):
                bound = solved.bound + constant
                optimality_gap = (objective - bound) / max(abs(bound), 1.0)
        program_gap = None
        if futures.program.binaries and np.isfinite(solved.bound):
            program_gap = (solved.objective - solved.bound) / max(abs(solved.objective + constant), 1.0)
        drift_kwh = futures.drift_kwh(stored_kwh[:, : len(self._devices.energy)])
        claim = self._claim(optimality_gap, drift_kwh)
        if solved.status == STOPPED and program_gap is not None and claim == self._verdict(optimality_gap):
            claim = (
                f"stopped at its time limit, within {100 * program_gap:.2g} % of the optimum of its model"
            )
        return Certificate(
            planner=self.name,
            status=solved.status,
            objective=objective,
            primal_residual=solved.primal_residual,
            simultaneous_kw=futures.simultaneous_kw(),
            simultaneous_h=futures.simultaneous_hours(),
            slack_pu=futures.slack_pu(),
            over_kw=futures.over_kw(),
            iterations=solved.iterations,
            build_s=build_s,
            solve_s=solved.solve_s,
            relaxation_gap_kva=None if gap is None else float(np.max(np.abs(gap), initial=0.0)),
            optimality_gap=optimality_gap,
            claim=claim,
            program_gap=program_gap,
        )

    def _objective(self, programmed: float) -> float:
        """Value of the objective, given what the program says of it, currency."""
        return programmed

    def _claim(self, optimality_gap: float | None, drift_kwh: float) -> str:
        """What is proven about the plan, in words."""
        if self._futures.simultaneous_hours():
            return "not realisable: a battery charges and discharges at once; use complementarity repair"
        if drift_kwh > MOST_DRIFT_KWH:
            return f"not exact: stored energy is off by {drift_kwh:.2g} kWh, idling losses fell elsewhere"
        return self._verdict(optimality_gap)

    def _verdict(self, optimality_gap: float | None) -> str:
        """What is proven about a plan that its devices can carry out, in words."""
        if optimality_gap is not None and not self.problem.exact:
            if abs(optimality_gap) <= GLOBAL_GAP:
                return "globally optimal"
            if -GLOBAL_GAP <= optimality_gap <= LOOSE_GAP:
                return f"within {100 * optimality_gap:.2g} % of the global optimum"
            return f"nothing: {self.network.caution or 'the relaxation is not exact; use branch_flow_nl'}"
        return "locally optimal" if self.problem.exact else "optimal for its own model"
