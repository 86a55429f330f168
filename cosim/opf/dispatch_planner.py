"""The planner: devices, a formulation of the network and an objective, solved at every step."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from cosim.errors import FeederError, FormulationRefused
from cosim.model.arrays import FloatArray
from cosim.model.forecast import Forecast
from cosim.model.site import Site
from cosim.model.state import Certificate, Measurement, NoPlan, Plan
from cosim.model.timegrid import Horizon
from cosim.opf.devices.pv import PvBlock
from cosim.opf.devices.storage import StorageBlock
from cosim.opf.formulations.network_block import Expected, Formulation
from cosim.opf.options import PlannerOptions
from cosim.opf.problem import DispatchProblem, Solved
from cosim.opf.program import Program
from cosim.opf.terms import ImportTerms

MOST_REPAIRS = 5
GLOBAL_GAP = 1e-6
"""A plan whose exact cost is within this part of a proven bound is called globally optimal."""
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
        SolverMissing, SolverUnsuited, ProgramTooLarge: see :class:`DispatchProblem`.
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
        self._import = ImportTerms(options.objective, options.limits, horizon, self._network.import_kw)
        program = Program.of((self._storage, self._pv, self._network, self._import))
        self.problem = DispatchProblem(program, solver=options.solver)
        self._earlier: Plan | None = None
        self.expected: Expected | None = None
        self.relaxation_gap: FloatArray | None = None

    def plan(self, measurement: Measurement, forecast: Forecast) -> Plan | NoPlan:
        """Plan from the measured state; see :class:`cosim.model.roles.Planner`."""
        started = time.perf_counter()
        try:
            base_kw = self._network.update(measurement, forecast)
        except FeederError as error:
            return NoPlan("infeasible", f"the {self.name} program cannot start: {error}")
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
        slack_pu, self.relaxation_gap = self._network.slack_pu(), self._network.relaxation_gap()
        try:
            expected = self._network.expected((storage_kw + 1j * storage_kvar).T, (pv_kw + 1j * pv_kvar).T)
        except FeederError as error:
            return NoPlan(
                "not_physical", f"the {self.name} plan cannot be: {error}", build_s, solved.solve_s
            )
        self.expected = expected
        voltage = expected.voltage_pu
        plan = Plan(
            time_s=measurement.time_s,
            period_s=np.asarray(self._horizon.period_s, dtype=np.float64),
            storage_kw=storage_kw,
            storage_kvar=storage_kvar,
            pv_kw_limit=pv_kw_limit,
            pv_kvar=pv_kvar,
            stored_kwh=self._storage.roll_out(measurement.stored_kwh, storage_kw),
            import_kw=np.asarray(expected.import_kva.real),
            lowest_pu=voltage.min(axis=0),
            highest_pu=voltage.max(axis=0),
            next_voltage_pu=voltage[:, 0],
            certificate=self._certificate(solved, build_s, slack_pu),
        )
        self._earlier = plan
        return plan

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
                bound=first.bound,
                iterations=solved.iterations + again.iterations,
                solve_s=solved.solve_s + again.solve_s,
            )
        return solved

    def _certificate(self, solved: Solved, build_s: float, slack_pu: float) -> Certificate:
        gap = self.relaxation_gap
        constant = self._import.constant()
        optimality_gap: float | None = None
        if gap is not None and np.isfinite(solved.bound):
            # The exact flow of the plan now stands in the network's variables.
            exact = self.problem.objective() + constant
            bound = solved.bound + constant
            optimality_gap = (exact - bound) / max(abs(bound), 1.0)
        return Certificate(
            planner=self.name,
            status=solved.status,
            objective=solved.objective + constant,
            primal_residual=solved.primal_residual,
            simultaneous_kw=self._storage.simultaneous_kw(),
            simultaneous_h=self._storage.simultaneous_hours(),
            slack_pu=slack_pu,
            iterations=solved.iterations,
            build_s=build_s,
            solve_s=solved.solve_s,
            relaxation_gap_kva=None if gap is None else float(np.max(np.abs(gap), initial=0.0)),
            optimality_gap=optimality_gap,
            claim=self._claim(optimality_gap),
        )

    def _claim(self, optimality_gap: float | None) -> str:
        """What is proven about the plan, in words."""
        if self._storage.simultaneous_hours():
            return "not realisable: a battery charges and discharges at once; use complementarity repair"
        if optimality_gap is not None:
            if optimality_gap <= GLOBAL_GAP:
                return "globally optimal"
            if optimality_gap <= LOOSE_GAP:
                return f"within {100 * optimality_gap:.2g} % of the global optimum"
            return f"nothing: {self._network.caution or 'the relaxation is not exact; use branch_flow_nl'}"
        if self.problem.exact:
            return "locally optimal"
        return "optimal for its own model"
