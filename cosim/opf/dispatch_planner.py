"""The planner: devices, a formulation of the network and an objective, solved at every step."""

from __future__ import annotations

import logging
import time
from dataclasses import replace

import numpy as np

from cosim.errors import FeederError, FormulationRefused
from cosim.model.arrays import FloatArray
from cosim.model.forecast import Forecast
from cosim.model.site import Site
from cosim.model.state import Certificate, Measurement, NoPlan, Plan
from cosim.model.timegrid import Horizon
from cosim.opf.devices.energy import roll_out
from cosim.opf.devices.pv import PvBlock
from cosim.opf.devices.storage import StorageBlock
from cosim.opf.expected import Expected
from cosim.opf.formulations.network_block import Formulation
from cosim.opf.options import ONLY_ON_EXACT_FLOWS, PlannerOptions
from cosim.opf.problem import DispatchProblem, Solved
from cosim.opf.program import Program
from cosim.opf.terms import ImportTerms

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

    Attributes:
        expected: what the formulation's own model says of the last plan; None before the first.
        relaxation_gap: of the last plan, see :class:`NetworkBlock`; None if nothing is relaxed.

    Raises:
        FormulationRefused: the formulation does not cover this feeder.
        SolverMissing, SolverUnsuited: see :class:`DispatchProblem`.
    """

    def __init__(
        self, name: str, formulation: Formulation, site: Site, horizon: Horizon, options: PlannerOptions
    ) -> None:
        if not (site.storages or site.pvs):
            raise FormulationRefused(
                f"planner {name} has nothing to plan: the scenario has no battery and no PV system; "
                "add some, or use control: {type: idle}"
            )
        self.name = name
        self._horizon = horizon
        self._storage = StorageBlock(
            site.storages,
            horizon,
            terminal=options.terminal,
            complementarity=options.complementarity,
            loss_cost_per_kwh=options.storage_loss_cost_per_kwh,
            throughput_cost_per_kwh=options.throughput_cost_per_kwh,
            reactive_cost_per_kvarh=options.reactive_cost_per_kvarh,
            capability=options.capability,
            reactive=options.storage_reactive,
        )
        self._pv = PvBlock(
            site.pvs,
            horizon,
            curtailment_cost_per_kwh=options.curtailment_cost_per_kwh,
            reactive_cost_per_kvarh=options.reactive_cost_per_kvarh,
            capability=options.capability,
            reactive=options.pv_reactive,
            curtail=options.pv_curtail,
        )
        self._network = formulation(site, self._storage, self._pv, horizon, options)
        asked = options.asked()
        beyond = {*self._network.blind_to, *ONLY_ON_EXACT_FLOWS}
        blind = [option for option, wanted in asked.items() if wanted and option in beyond]
        if blind:
            log.warning("planner %s does nothing with %s on this feeder", name, ", ".join(blind))
        self._import = ImportTerms(options.objective, options.limits, horizon, self._network.import_kw)
        program = Program.of((self._storage, self._pv, self._network, self._import))
        self.problem = DispatchProblem(program, solver=options.solver, seconds=options.solver_seconds)
        self._earlier: Plan | None = None
        self.expected: Expected | None = None
        self.relaxation_gap: FloatArray | None = None

    def plan(self, measurement: Measurement, forecast: Forecast) -> Plan | NoPlan:
        """Plan from the measured state; see :class:`cosim.model.roles.Planner`."""
        started = time.perf_counter()
        base_kw = self._network.update(measurement, forecast)
        self._storage.update(measurement.stored_kwh, self._earlier, measurement.time_s)
        self._pv.update(forecast.pv_available_kw)
        self._import.update(base_kw, forecast.price_per_kwh, measurement.peak_import_kw)
        build_s = time.perf_counter() - started
        solved = self._solve()
        if not solved.found:
            reason = f"the {self.name} program is {solved.status}"
            doubt = f"; {self._network.caution}" if self._network.caution else ""
            return NoPlan(solved.status, reason + doubt, build_s, solved.solve_s)
        storage_kw, storage_kvar = self._storage.planned()
        pv_kw, pv_kw_limit, pv_kvar = self._pv.planned()
        gap = self._network.relaxation_gap()
        try:
            expected = self._network.expected((storage_kw + 1j * storage_kvar).T, (pv_kw + 1j * pv_kvar).T)
        except FeederError as error:
            return NoPlan(
                "not_physical", f"the {self.name} plan cannot be: {error}", build_s, solved.solve_s
            )
        self.expected, self.relaxation_gap = expected, gap
        self._import.adopt()
        stored_kwh = roll_out(self._storage.ratings, self._horizon, measurement.stored_kwh, storage_kw)
        voltage = expected.voltage_pu
        plan = Plan(
            time_s=measurement.time_s,
            period_s=np.asarray(self._horizon.period_s, dtype=np.float64),
            storage_kw=storage_kw,
            storage_kvar=storage_kvar,
            pv_kw_limit=pv_kw_limit,
            pv_kvar=pv_kvar,
            stored_kwh=stored_kwh,
            import_kw=np.asarray(expected.import_kva.real),
            lowest_pu=voltage.min(axis=0),
            highest_pu=voltage.max(axis=0),
            next_voltage_pu=voltage[:, 0],
            certificate=self._certificate(solved, build_s, stored_kwh),
        )
        first, self._earlier = self._earlier is None, plan
        # Where a battery's idling loss falls is only known once there is a plan.
        return self.plan(measurement, forecast) if first and self._storage.idles else plan

    def _solve(self) -> Solved:
        """Solve; with complementarity ``repair`` again, until no battery does both at once."""
        self._storage.free_directions()
        solved = first = self.problem.solve()
        for _ in range(MOST_REPAIRS):
            if not (solved.found and self._storage.fix_directions()):
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
        gap, constant = self.relaxation_gap, self._import.constant()
        objective, optimality_gap = solved.objective + constant, None
        if gap is not None:
            # The exact flow of the plan now stands in the variables, and what it exceeds is paid for.
            objective = self.problem.objective() + constant
            if np.isfinite(solved.bound):
                bound = solved.bound + constant
                optimality_gap = (objective - bound) / max(abs(bound), 1.0)
        drift_kwh = self._storage.drift_kwh(stored_kwh)
        return Certificate(
            planner=self.name,
            status=solved.status,
            objective=objective,
            primal_residual=solved.primal_residual,
            simultaneous_kw=self._storage.simultaneous_kw(),
            simultaneous_h=self._storage.simultaneous_hours(),
            slack_pu=self._network.slack_pu(),
            over_kw=max(self._import.over_kw(), self._network.over_kw()),
            iterations=solved.iterations,
            build_s=build_s,
            solve_s=solved.solve_s,
            relaxation_gap_kva=None if gap is None else float(np.max(np.abs(gap), initial=0.0)),
            optimality_gap=optimality_gap,
            claim=self._claim(optimality_gap, drift_kwh),
        )

    def _claim(self, optimality_gap: float | None, drift_kwh: float) -> str:
        """What is proven about the plan, in words."""
        if self._storage.simultaneous_hours():
            return "not realisable: a battery charges and discharges at once; use complementarity repair"
        if drift_kwh > MOST_DRIFT_KWH:
            return f"not exact: stored energy is off by {drift_kwh:.2g} kWh, idling losses fell elsewhere"
        if optimality_gap is not None and not self.problem.exact:
            if abs(optimality_gap) <= GLOBAL_GAP:
                return "globally optimal"
            if -GLOBAL_GAP <= optimality_gap <= LOOSE_GAP:
                return f"within {100 * optimality_gap:.2g} % of the global optimum"
            return f"nothing: {self._network.caution or 'the relaxation is not exact; use branch_flow_nl'}"
        return "locally optimal" if self.problem.exact else "optimal for its own model"
