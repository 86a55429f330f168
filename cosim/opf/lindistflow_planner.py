"""The planner that solves the anchored LinDistFlow program at every step."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np

from cosim.errors import FeederError
from cosim.model.arrays import ComplexArray
from cosim.model.forecast import Forecast
from cosim.model.site import Site
from cosim.model.state import Certificate, Measurement, NoPlan, Plan
from cosim.model.timegrid import Horizon
from cosim.opf.devices.inverter import Capability
from cosim.opf.devices.pv import PvBlock
from cosim.opf.devices.storage import StorageBlock, Terminal
from cosim.opf.formulations.lindistflow import LinDistFlowNetwork
from cosim.opf.linear_flow import LinearFlow
from cosim.opf.problem import DispatchProblem, Solved
from cosim.opf.terms import ImportTerms, Limits, Objective


@dataclass(frozen=True)
class PlannerOptions:
    """How a plan is made.

    Attributes:
        objective, limits, terminal: what is asked.
        capability: shape of the inverter limit.
        storage_reactive, pv_reactive, pv_curtail: what the devices may do.
        throughput_cost_per_kwh, curtailment_cost_per_kwh, reactive_cost_per_kvarh: small costs, see
            the device blocks.
        solver: cvxpy's name of the solver.
    """

    objective: Objective = field(default_factory=Objective)
    limits: Limits = field(default_factory=Limits)
    terminal: Terminal = field(default_factory=Terminal)
    capability: Capability = "polygon"
    storage_reactive: bool = True
    pv_reactive: bool = True
    pv_curtail: bool = True
    throughput_cost_per_kwh: float = 0.005
    curtailment_cost_per_kwh: float = 0.0
    reactive_cost_per_kvarh: float = 0.002
    solver: str = "clarabel"


class LinDistFlowPlanner:
    """Multi-period dispatch on the linear network model.

    The program is compiled here, once; :meth:`plan` only writes parameters and solves.

    Args:
        site: facts of the plant; needs a radial network.
        horizon: the periods of every plan.
        options: see :class:`PlannerOptions`.

    Raises:
        FeederError: the site has no radial network (the reason is repeated).
        SolverMissing: the solver is not installed.
    """

    name = "lindistflow"

    def __init__(self, site: Site, horizon: Horizon, options: PlannerOptions) -> None:
        if site.network is None:
            raise FeederError(f"planner lindistflow needs a radial feeder: {site.no_network_reason}")
        if not (site.storages or site.pvs):
            raise FeederError(
                "planner lindistflow has nothing to plan: the scenario has no battery and no PV system; "
                "add some, or use control: {type: idle}"
            )
        self._horizon = horizon
        self._flow = LinearFlow(site.network)
        self._storage = StorageBlock(
            site.storages,
            horizon,
            terminal=options.terminal,
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
        self._network = LinDistFlowNetwork(
            self._flow,
            self._storage,
            self._pv,
            horizon,
            objective=options.objective,
            limits=options.limits,
        )
        self._import = ImportTerms(
            options.objective, options.limits, horizon, self._network.import_change_kw
        )
        blocks = (self._storage, self._pv, self._network, self._import)
        self.problem = DispatchProblem(
            sum(block.cost for block in blocks),
            [constraint for block in blocks for constraint in block.constraints],
            squares=self._network.squares,
            solver=options.solver,
        )
        self._earlier: Plan | None = None

    def plan(self, measurement: Measurement, forecast: Forecast) -> Plan | NoPlan:
        """Plan from the measured state; see :class:`cosim.model.roles.Planner`."""
        started = time.perf_counter()
        measured_der = self._der_kva(
            measurement.storage_kw + 1j * measurement.storage_kvar,
            measurement.pv_kw + 1j * measurement.pv_kvar,
        )
        anchor = self._flow.anchor(measurement, measured_der)
        demand = forecast.demand_kw.T, forecast.demand_kvar.T
        sunny = self._network.pv_share @ forecast.pv_available_kw.T.astype(np.complex128)
        base = self._flow.predict(anchor, *demand, sunny)
        self._network.update(base)
        self._storage.update(measurement.stored_kwh, self._earlier, measurement.time_s)
        self._pv.update(forecast.pv_available_kw)
        self._import.update(base.import_kw, forecast.price_per_kwh, measurement.peak_import_kw)
        build_s = time.perf_counter() - started
        solved = self.problem.solve()
        if not solved.found:
            return NoPlan(
                solved.status,
                f"the {self.name} program is {solved.status}",
                build_s,
                solved.solve_s,
            )
        storage_kw, storage_kvar = self._storage.planned()
        pv_kw, pv_kw_limit, pv_kvar = self._pv.planned()
        planned_der = self._der_kva((storage_kw + 1j * storage_kvar).T, (pv_kw + 1j * pv_kvar).T)
        expected = self._flow.predict(anchor, *demand, planned_der)
        voltage = expected.voltage_pu
        plan = Plan(
            time_s=measurement.time_s,
            period_s=np.asarray(self._horizon.period_s, dtype=np.float64),
            storage_kw=storage_kw,
            storage_kvar=storage_kvar,
            pv_kw_limit=pv_kw_limit,
            pv_kvar=pv_kvar,
            stored_kwh=self._storage.roll_out(measurement.stored_kwh, storage_kw),
            import_kw=expected.import_kw,
            lowest_pu=voltage.min(axis=0),
            highest_pu=voltage.max(axis=0),
            next_voltage_pu=voltage[:, 0],
            certificate=self._certificate(solved, build_s),
        )
        self._earlier = plan
        return plan

    def _der_kva(self, storage_kva: ComplexArray, pv_kva: ComplexArray) -> ComplexArray:
        network = self._network
        return np.asarray(network.storage_share @ storage_kva + network.pv_share @ pv_kva)

    def _certificate(self, solved: Solved, build_s: float) -> Certificate:
        return Certificate(
            planner=self.name,
            status=solved.status,
            objective=solved.objective + self._import.constant(),
            primal_residual=solved.primal_residual,
            simultaneous_kw=self._storage.simultaneous_kw(),
            slack_pu=self._network.slack_pu(),
            iterations=solved.iterations,
            build_s=build_s,
            solve_s=solved.solve_s,
        )
