"""LinDistFlow as fast as it can be made here: the same model as the project's planner, another route.

The optimum is that of planner ``lindistflow`` with polygon inverters, a hard end and energy cost; only
what the cases use is supported. Rows that no answer breaks by more than 1e-9 pu² are left out, so the
optimal cost agrees to about that tolerance times the price of a violation.
"""

from __future__ import annotations

import time

import numpy as np

from benchmarks.opf.planned import certificate, plan_from
from benchmarks.opf.tuned_program import StepData, TunedProgram, reduce
from benchmarks.opf.tuned_routes import Answer, HighsRoute, LinearRoute, PiqpRoute
from cosim.devices.pv import PvRating
from cosim.devices.storage import StorageRating
from cosim.errors import FormulationRefused
from cosim.model.arrays import ComplexArray, FloatArray
from cosim.model.forecast import Forecast
from cosim.model.site import Site
from cosim.model.state import Measurement, NoPlan, Plan
from cosim.model.timegrid import Horizon
from cosim.opf.active_tree import active_tree
from cosim.opf.devices.circle import back_into_circle
from cosim.opf.devices.model import DeviceModel
from cosim.opf.expected import Expected
from cosim.opf.formulations.lindistflow import FAR_AWAY, VOLTAGE_UNIT_PU2
from cosim.opf.formulations.network_block import radial_network
from cosim.opf.linear_flow import LinearFlow
from cosim.opf.options import PlannerOptions

ROUTES = ("highs", "piqp")
TOLERANCE = 1e-7
"""Of limits in the program's unit of 0.01 pu²."""
NEW_ROWS = {"highs": 10, "piqp": 40}
"""Voltage rows per period and side in one go: a set-up costs PIQP more than rows do."""
MOST_ROUNDS = 60


class TunedLinDistFlow:
    """See the module; takes the place of :class:`cosim.opf.dispatch_planner.DispatchPlanner`.

    Args:
        site: facts of the plant.
        horizon: periods, all of one length.
        options: as the cases set them.
        route: one of :data:`ROUTES`.

    Attributes:
        expected: what the model says of the last plan.
        parts_s: seconds of the last plan: ``base`` (flows without change), ``program``, ``solver`` and
            ``other``.
        rows: voltage rows and sides that stand in the program.

    Raises:
        FormulationRefused: an option this route does not know, or a feeder without a tree.
    """

    def __init__(self, site: Site, horizon: Horizon, options: PlannerOptions, route: str) -> None:
        _must_suit(horizon, options)
        self._site, self._horizon, self._options = site, horizon, options
        network = radial_network(site, "lindistflow")
        self._flow = LinearFlow(network)
        self._inject = self._flow.device_share(network.device_share, len(site.devices)).tocsr()
        kva = _rated_kva(site)
        self._tree = active_tree(self._flow, self._inject, kva)
        self._program = TunedProgram(site, reduce(self._tree), horizon.hours, options)
        self._new_rows = NEW_ROWS[route]
        equalities = len(horizon) * len(site.of_type(StorageRating))
        self._route: LinearRoute = HighsRoute() if route == "highs" else PiqpRoute(equalities)
        self._target = options.terminal.target_kwh(site.of_type(StorageRating))
        self.name = f"lindistflow-tuned-{route}"
        self.expected: Expected | None = None
        self.parts_s: dict[str, float] = {}

    @property
    def rows(self) -> int:
        """Rows of the program beyond the energy balances."""
        return self._program.program.matrix.shape[0] - len(self._horizon) * len(
            self._site.of_type(StorageRating)
        )

    def plan(self, measurement: Measurement, forecast: Forecast) -> Plan | NoPlan:
        """Plan from the measured state; see :class:`cosim.model.roles.Planner`."""
        self.parts_s = dict.fromkeys(("base", "program", "solver", "other"), 0.0)
        clocks = [time.perf_counter()]
        base_cost, data = self._read(measurement, forecast)
        clocks.append(time.perf_counter())
        self.parts_s["base"] = clocks[1] - clocks[0]
        changed = self._program.update(data)
        answer = self._solve(changed)
        clocks.append(time.perf_counter())
        if not answer.optimal:
            return NoPlan(answer.status, f"{self.name} says {answer.status}")
        plan = self._adopt(answer, base_cost, measurement, forecast)
        self.parts_s["program"] = clocks[2] - clocks[1] - self.parts_s["solver"]
        self.parts_s["other"] = time.perf_counter() - clocks[2]
        return plan

    def _read(self, measurement: Measurement, forecast: Forecast) -> tuple[float, StepData]:
        """Cost without change and the step's data: flows with batteries at rest and all the sun."""
        site, options = self._site, self._options
        now = measurement.p_kw + 1j * measurement.q_kvar
        self._anchor = self._flow.anchor(measurement, np.asarray(self._inject @ now))
        self._demand = forecast.demand_kw.T, forecast.demand_kvar.T
        rest = np.zeros((len(self._horizon), len(site.of_type(StorageRating))))
        sunny = np.concatenate([rest, forecast.available_kw[:, rest.shape[1] :]], axis=1).T.astype(
            np.complex128
        )
        base = self._flow.predict(self._anchor, *self._demand, np.asarray(self._inject @ sunny))
        limits = options.limits
        low, high = self._tree.bounds(base.squared_pu, limits.voltage_min_pu, limits.voltage_max_pu)
        price = options.objective.energy_cost * forecast.price_per_kwh * self._horizon.hours
        full = np.array([s.kwh for s in site.of_type(StorageRating)], dtype=np.float64)
        least, most = (
            np.array([getattr(s, end) for s in site.of_type(StorageRating)])
            for end in ("min_kwh", "max_kwh")
        )
        head = int(measurement.time_s // self._horizon.period_s[0]) % len(self._horizon)
        data = StepData(
            head=head,
            price=price,
            start=np.clip(measurement.stored_kwh[: len(full)], least, most) / full,
            target=self._target / full,
            available=np.maximum(forecast.available_kw[:, len(full) :], 0.0).T
            / self._program.kw[len(full) :, None],
            low=np.clip(low / VOLTAGE_UNIT_PU2, -FAR_AWAY, FAR_AWAY),
            high=np.clip(high / VOLTAGE_UNIT_PU2, -FAR_AWAY, FAR_AWAY),
        )
        return float(price @ base.import_kva.real), data

    def _solve(self, changed: list[tuple[int, int, float]]) -> Answer:
        """Solve, add the rows that are broken, solve again."""
        iterations = 0
        for _ in range(MOST_ROUNDS):
            began = time.perf_counter()
            answer = self._route.solve(self._program.program, changed)
            self.parts_s["solver"] += time.perf_counter() - began
            iterations += answer.iterations
            changed = []
            if not answer.optimal:
                return answer
            if not self._program.extend(answer.z, tolerance=TOLERANCE, most=self._new_rows):
                return Answer(True, "optimal", answer.z, answer.objective, iterations)
        return Answer(False, f"rows still missing after {MOST_ROUNDS} rounds", answer.z, 0.0, iterations)

    def _adopt(
        self, answer: Answer, base_cost: float, measurement: Measurement, forecast: Forecast
    ) -> Plan:
        storage_kva, pv_kva, limit = self._set_points(answer.z, measurement, forecast)
        injected = np.concatenate([storage_kva, pv_kva], axis=1).T
        flow = self._flow.predict(self._anchor, *self._demand, np.asarray(self._inject @ injected))
        self.expected = Expected(flow.import_kva, flow.losses_kw, flow.voltage_pu)
        devices = DeviceModel(self._site.devices, self._horizon, self._options)
        stored = devices.roll_out(measurement.stored_kwh, storage_kva.real, measurement.time_s)
        slack = self._program.slack(answer.z) * VOLTAGE_UNIT_PU2 / 2.0
        proof = certificate(
            self.name, base_cost + answer.objective, slack, answer.iterations, self.parts_s["solver"]
        )
        return plan_from(
            self._horizon, measurement.time_s, stored, storage_kva, pv_kva, limit, self.expected, proof
        )

    def _set_points(
        self, z: FloatArray, measurement: Measurement, forecast: Forecast
    ) -> tuple[ComplexArray, ComplexArray, FloatArray]:
        """Powers of batteries and PV systems and the latter's limits, tidied as the project does."""
        site, count = self._site, len(self._site.of_type(StorageRating))
        change_kw, kvar, curtailed = self._program.powers(z)
        rated = self._program.kw
        change_kw[np.abs(change_kw) < 1e-7 * rated[:, None]] = 0.0
        kvar[np.abs(kvar) < 1e-7 * rated[:, None]] = 0.0
        kw = DeviceModel(site.devices, self._horizon, self._options).within_window(
            measurement.stored_kwh, forecast.available_kw, change_kw[:count].T, measurement.time_s
        )
        sun = forecast.available_kw[:, count:] + change_kw[count:].T
        limit = np.where(curtailed.T < 1e-5, rated[count:], np.clip(sun, 0.0, rated[count:]))
        kva = _rated_kva(site)
        storage_kva = kw + 1j * back_into_circle(kw, kvar[:count].T, kva[:count])
        return storage_kva, sun + 1j * back_into_circle(sun, kvar[count:].T, kva[count:]), limit


def _must_suit(horizon: Horizon, options: PlannerOptions) -> None:
    asked = [name for name, wanted in options.asked().items() if wanted]
    if asked or options.terminal.kind != "hard" or options.capability != "polygon":
        raise FormulationRefused(
            "the tuned LinDistFlow knows energy cost, a hard end and polygons only, not "
            f"{', '.join(asked) or 'these options'}; use solver clarabel"
        )
    if len(set(horizon.period_s)) > 1 or len(horizon) < 2:
        raise FormulationRefused("the tuned LinDistFlow needs two or more periods of one length")


def _rated_kva(site: Site) -> FloatArray:
    """Of all inverters, batteries first, shape (device,)."""
    devices = (*site.of_type(StorageRating), *site.of_type(PvRating))
    return np.array([device.kva for device in devices], dtype=np.float64)
