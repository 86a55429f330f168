"""The nonlinear program on the same unbalanced network, by IPOPT: the reference of optimality.

Voltages of all nodes and periods are variables, the balance of currents at every node is an equation,
loads follow their laws. Regulators and capacitors are held where they are given. Load laws have corners
at their voltage limits; each solve takes the smooth piece that every load stands on, and is repeated
where loads have left theirs.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import casadi
import numpy as np
import scipy.sparse as sp

from benchmarks.opf.nlp_network import Day, across, incidence
from cosim.devices.pv import PvRating
from cosim.devices.storage import StorageRating
from cosim.model.arrays import ComplexArray, FloatArray, IntArray
from cosim.opf.devices.circle import POLYGON_SIDES
from cosim.opf.options import PlannerOptions

BASE_VA = 1e5
MOST_PASSES = 4
MARGIN_PU = 1e-6
"""Voltage limits are this much narrower. Loads of some models jump at vminpu and vmaxpu, which are often
the limits; on the edge itself OpenDSS may stand on the other side of the jump. Near it both sides can be
solutions of the power flow (seen on the 37-node feeder: 1e-3 pu apart), which no margin cures."""
IPOPT = {
    "ipopt.print_level": 0,
    "ipopt.sb": "yes",
    "ipopt.tol": 1e-8,
    "ipopt.acceptable_tol": 1e-7,
    "ipopt.max_iter": 500,
    "ipopt.linear_solver": "mumps",
    # A bound on slack that is moved by 1e-8 and costs 2e4 would show in the objective.
    "ipopt.bound_relax_factor": 0.0,
    # Rows are per unit already; with the default scaling the 123-node case takes ten times as long and
    # stops 1e-4 short of the optimum.
    "ipopt.nlp_scaling_method": "none",
    "print_time": False,
}


@dataclass(frozen=True)
class Solution:
    """Of the program.

    Attributes:
        status: IPOPT's word in the last pass.
        storage_kva, pv_kva: shape (period, device).
        curtailed: per unit of the panels, shape (period, PV system).
        voltage: volt, shape (node, period).
        import_kva: shape (period,).
        cost: of the objective, currency.
        slack_pu: largest slack of a voltage limit.
        simultaneous_kw: largest power charged and discharged at once.
        iterations: of all passes.
        passes: solves until every load stood on its piece, or as many as are allowed.
        left: loads that have left their piece in the last pass.
        build_cpu_s, solve_cpu_s: of all passes.
        variables, constraints: size.
    """

    status: str
    storage_kva: ComplexArray
    pv_kva: ComplexArray
    curtailed: FloatArray
    voltage: ComplexArray
    import_kva: ComplexArray
    cost: float
    slack_pu: float
    simultaneous_kw: float
    iterations: int
    passes: int
    left: int
    build_cpu_s: float
    solve_cpu_s: float
    variables: int
    constraints: int


@dataclass
class _Program:
    """A program being written: variables with bounds and start, rows with bounds, a cost."""

    x: list[casadi.SX] = field(default_factory=list)
    lower: list[FloatArray] = field(default_factory=list)
    upper: list[FloatArray] = field(default_factory=list)
    start: list[FloatArray] = field(default_factory=list)
    g: list[casadi.SX] = field(default_factory=list)
    g_lower: list[FloatArray] = field(default_factory=list)
    g_upper: list[FloatArray] = field(default_factory=list)
    cost: casadi.SX = field(default_factory=lambda: casadi.SX(0))

    def variable(
        self, name: str, shape: tuple[int, int], lower: FloatArray, upper: FloatArray, start: FloatArray
    ) -> casadi.SX:
        """A table of variables, shape (row, period)."""
        x = casadi.SX.sym(name, *shape)
        self.x.append(casadi.vec(x))
        for kept, values in ((self.lower, lower), (self.upper, upper), (self.start, start)):
            kept.append(np.broadcast_to(values, shape).ravel(order="F").astype(np.float64))
        return x

    def rows(self, expression: casadi.SX, lower: float, upper: float) -> None:
        """Rows between two numbers."""
        self.g.append(casadi.vec(expression))
        size = expression.numel()
        self.g_lower.append(np.full(size, lower))
        self.g_upper.append(np.full(size, upper))


class ExactProgram:
    """See the module.

    Args:
        day: the network and the forecast.
        options: as the planners get them.
    """

    def __init__(self, day: Day, options: PlannerOptions) -> None:
        self._day, self._options = day, options
        self._hours: FloatArray = day.forecast.horizon.hours
        self._storages, self._pvs = day.site.of_type(StorageRating), day.site.of_type(PvRating)
        devices = (*self._storages, *self._pvs)
        self._kw = np.array([d.kw for d in devices], dtype=np.float64)
        self._kva = np.array([d.kva for d in devices], dtype=np.float64)

    def solve(self) -> Solution:
        """Solve to a local optimum from the idle flow."""
        day = self._day
        regions, start = day.regions(day.start()), None
        iterations, build_s, solve_s = 0, 0.0, 0.0
        for passes in range(1, MOST_PASSES + 1):  # noqa: B007
            began = time.process_time()
            program, read = self._write(regions, start)
            solver = self._solver(program)
            build_s, began = build_s + time.process_time() - began, time.process_time()
            found = solver(
                x0=np.concatenate(program.start),
                lbx=np.concatenate(program.lower),
                ubx=np.concatenate(program.upper),
                lbg=np.concatenate(program.g_lower),
                ubg=np.concatenate(program.g_upper),
            )
            solve_s += time.process_time() - began
            iterations += int(solver.stats()["iter_count"])
            values = [np.asarray(table) for table in read(found["x"])]
            voltage = np.asarray(
                (values[0] + 1j * values[1]) * day.data.base_v[:, None], dtype=np.complex128
            )
            now = day.regions(voltage)
            left = int((now != regions).sum())
            if not left:
                break
            regions, start = now, np.asarray(found["x"]).ravel()
        spent = (iterations, passes, left, build_s, solve_s)
        return self._solution(
            str(solver.stats()["return_status"]), values, voltage, float(found["f"]), spent, solver
        )

    def _solver(self, program: _Program) -> casadi.Function:
        problem = {"x": casadi.vertcat(*program.x), "f": program.cost, "g": casadi.vertcat(*program.g)}
        options: Any = IPOPT
        return casadi.nlpsol("exact", "ipopt", problem, options)

    def _solution(
        self,
        status: str,
        values: list[FloatArray],
        voltage: ComplexArray,
        cost: float,
        spent: tuple[int, int, int, float, float],
        solver: casadi.Function,
    ) -> Solution:
        count = len(self._storages)
        _, _, p, q, curtailed, both, slack = values
        source = self._day.data.source
        v = voltage[source.nodes]
        current = source.current[:, None] - source.admittance @ v
        power = p.T + 1j * q.T
        return Solution(
            status=status,
            storage_kva=power[:, :count],
            pv_kva=power[:, count:],
            curtailed=curtailed.T,
            voltage=voltage,
            import_kva=np.asarray((v * np.conj(current)).sum(axis=0) / 1e3),
            cost=cost,
            slack_pu=float(slack.max(initial=0.0)),
            simultaneous_kw=float(both.max(initial=0.0)),
            iterations=spent[0],
            passes=spent[1],
            left=spent[2],
            build_cpu_s=spent[3],
            solve_cpu_s=spent[4],
            variables=solver.size1_in("x0"),
            constraints=solver.size1_out("g"),
        )

    # --- the program ------------------------------------------------------------------------------

    def _write(self, regions: IntArray, start: FloatArray | None) -> tuple[_Program, casadi.Function]:
        """The program, and a function from its variables to tables of voltage and power."""
        day, program = self._day, _Program()
        base = day.data.base_v[:, None]
        idle, free = day.start() / base, np.inf
        real = program.variable("vr", idle.shape, np.array(-free), np.array(free), idle.real)
        imag = program.variable("vi", idle.shape, np.array(-free), np.array(free), idle.imag)
        p, q, curtailed, both = self._write_devices(program)
        self._write_balance(program, regions, (real, imag), (p, q))
        slack = self._write_limits(program, (real, imag))
        self._write_import(program, (real, imag))
        if start is not None:
            cuts = np.cumsum([len(part) for part in program.start])[:-1]
            program.start = np.split(start, cuts)
        tables = [real, imag, p, q, curtailed, both, slack]
        return program, casadi.Function("read", [casadi.vertcat(*program.x)], tables)

    def _write_devices(self, program: _Program) -> tuple[casadi.SX, casadi.SX, casadi.SX, casadi.SX]:
        """Variables and limits of devices; returns kW, kvar, curtailed per unit, kW both ways at once."""
        periods, options = len(self._hours), self._options
        batteries, pvs = len(self._storages), len(self._pvs)
        zero, one, cells = np.array(0.0), np.array(1.0), (batteries, periods)
        charge = program.variable("c", cells, zero, one, zero)
        discharge = program.variable("d", cells, zero, one, zero)
        room = (self._kva / self._kw)[:, None]
        up = program.variable("qu", (batteries + pvs, periods), zero, room, zero)
        down = program.variable("qd", (batteries + pvs, periods), zero, room, zero)
        sun = np.maximum(self._day.forecast.available_kw[:, batteries:], 0.0).T / self._kw[batteries:, None]
        curtailed = program.variable("x", (pvs, periods), zero, sun, zero)
        p = casadi.vertcat(discharge - charge, casadi.DM(sun) - curtailed)
        q = up - down
        for angle in (2 * np.arange(POLYGON_SIDES) + 1) * np.pi / POLYGON_SIDES:
            side = (
                np.cos(angle) * p
                + np.sin(angle) * q
                - np.cos(np.pi / POLYGON_SIDES) * casadi.DM(np.repeat(room, periods, axis=1))
            )
            program.rows(side, -np.inf, 0.0)
        self._write_energies(program, charge, discharge)
        rated = casadi.DM(self._kw * 1.0)
        hours = casadi.DM(self._hours)
        battery_kw = casadi.DM(self._kw[:batteries])
        through = battery_kw.T @ (charge + discharge) @ hours
        program.cost += options.throughput_cost_per_kwh * through
        program.cost += options.reactive_cost_per_kvarh * (rated.T @ (up + down) @ hours)
        lost = casadi.DM(self._kw[batteries:]).T @ curtailed @ hours
        program.cost += options.curtailment_cost_per_kwh * lost
        scale = casadi.diag(rated)
        both = casadi.diag(battery_kw) @ casadi.fmin(charge, discharge)
        return scale @ p, scale @ q, curtailed, both

    def _write_energies(self, program: _Program, charge: casadi.SX, discharge: casadi.SX) -> None:
        """Stored energy per unit of the cell after each period; at the end it is the target."""
        storages, hours = self._storages, self._hours
        if not storages:
            return
        full = np.array([s.kwh for s in storages])
        low = np.repeat(np.array([[s.min_kwh / s.kwh] for s in storages]), len(hours), axis=1)
        high = np.repeat(np.array([[s.max_kwh / s.kwh] for s in storages]), len(hours), axis=1)
        low[:, -1] = high[:, -1] = self._options.terminal.target_kwh(storages) / full
        begin = (self._day.measurement.stored_kwh[: len(storages)] / full)[:, None]
        energy = program.variable("e", low.shape, low, high, begin)
        into = np.array([[s.efficiency_charge * s.kw / s.kwh] for s in storages]) * hours
        out = np.array([[s.kw / s.kwh / s.efficiency_discharge] for s in storages]) * hours
        before = casadi.horzcat(casadi.DM(begin), energy[:, :-1])
        program.rows(energy - before - casadi.DM(into) * charge + casadi.DM(out) * discharge, 0.0, 0.0)

    def _write_balance(
        self,
        program: _Program,
        regions: IntArray,
        voltage: tuple[casadi.SX, casadi.SX],
        power: tuple[casadi.SX, casadi.SX],
    ) -> None:
        """Currents at every node of every period sum to zero, per unit."""
        day, data = self._day, self._day.data
        unit = data.base_v / BASE_VA
        source = np.zeros(data.size, dtype=np.complex128)
        source[data.source.nodes] = data.source.current
        source *= unit
        loads = self._load_currents(regions, voltage)
        devices = self._device_currents(voltage, power)
        for t, point in enumerate(day.points):
            y = sp.diags(unit) @ point.admittance @ sp.diags(data.base_v)
            g, b = casadi.DM(sp.csc_matrix(y.real)), casadi.DM(sp.csc_matrix(y.imag))
            vr, vi = voltage[0][:, t], voltage[1][:, t]
            real = g @ vr - b @ vi + loads[0][:, t] - devices[0][:, t] - source.real
            imag = g @ vi + b @ vr + loads[1][:, t] - devices[1][:, t] - source.imag
            program.rows(casadi.vertcat(real, imag), 0.0, 0.0)

    def _load_currents(
        self, regions: IntArray, voltage: tuple[casadi.SX, casadi.SX]
    ) -> tuple[casadi.SX, casadi.SX]:
        """Currents that loads draw from nodes, per unit, by the piece of the law each stands on."""
        day, legs = self._day, self._day.data.loads
        ur, ui, gather = self._across(legs.a, legs.b, voltage)
        squared = ur**2 + ui**2
        terms = day.data.laws.terms[legs.law[:, None], regions]
        power = 1e3 * day.load_kva()
        m = casadi.sqrt(squared) / casadi.DM(np.repeat(legs.base_v[:, None], len(self._hours), axis=1))
        drawn = []
        for part, value in ((0, power.real), (1, power.imag)):
            a, b, c, d, exponent = (casadi.DM(terms[:, :, part, i] * 1.0) for i in range(5))
            factor = a * m**2 + b * m + c + d * m**exponent
            drawn.append(casadi.DM(value) * factor)
        real = (drawn[0] * ur + drawn[1] * ui) / squared
        imag = (drawn[0] * ui - drawn[1] * ur) / squared
        return gather @ real, gather @ imag

    def _device_currents(
        self, voltage: tuple[casadi.SX, casadi.SX], power: tuple[casadi.SX, casadi.SX]
    ) -> tuple[casadi.SX, casadi.SX]:
        """Currents that devices feed into nodes, per unit."""
        legs = self._day.data.devices
        ur, ui, gather = self._across(legs.a, legs.b, voltage)
        squared = ur**2 + ui**2
        owner = sp.csc_matrix(
            (1e3 * legs.share, (np.arange(len(legs)), legs.owner)), shape=(len(legs), len(self._kw))
        )
        p, q = casadi.DM(owner) @ power[0], casadi.DM(owner) @ power[1]
        return gather @ ((p * ur + q * ui) / squared), gather @ ((p * ui - q * ur) / squared)

    def _across(
        self, a: IntArray, b: IntArray, voltage: tuple[casadi.SX, casadi.SX]
    ) -> tuple[casadi.SX, casadi.SX, casadi.DM]:
        """Voltage across legs in volt, and what gathers their currents at the nodes, per unit."""
        data = self._day.data
        pairs = incidence(a, b, data.size)
        volts = casadi.DM(sp.csc_matrix(pairs @ sp.diags(data.base_v)))
        gather = casadi.DM(sp.csc_matrix(sp.diags(data.base_v / BASE_VA) @ pairs.T))
        return volts @ voltage[0], volts @ voltage[1], gather

    def _write_limits(self, program: _Program, voltage: tuple[casadi.SX, casadi.SX]) -> casadi.SX:
        """One slack for each watched voltage and period, which widens both limits."""
        watch, limits = self._day.data.watch, self._options.limits
        shape = (len(watch.names), len(self._hours))
        slack = program.variable("s", shape, np.array(0.0), np.array(0.5), np.array(0.0))
        pairs = incidence(watch.a, watch.b, self._day.data.size)
        per_unit = sp.diags(1.0 / watch.base_v) @ pairs @ sp.diags(self._day.data.base_v)
        wide = casadi.DM(sp.csc_matrix(per_unit))
        squared = (wide @ voltage[0]) ** 2 + (wide @ voltage[1]) ** 2
        program.rows(squared - (limits.voltage_min_pu + MARGIN_PU - slack) ** 2, 0.0, np.inf)
        program.rows(squared - (limits.voltage_max_pu - MARGIN_PU + slack) ** 2, -np.inf, 0.0)
        hours = casadi.DM(self._hours)
        program.cost += limits.voltage_penalty_per_pu_h * casadi.sum1(slack @ hours)
        return slack

    def _write_import(self, program: _Program, voltage: tuple[casadi.SX, casadi.SX]) -> None:
        """Price times the power that leaves the source."""
        data, price = self._day.data, self._day.forecast.price_per_kwh * self._hours
        nodes = data.source.nodes
        base = casadi.DM(data.base_v[nodes])
        y, current = data.source.admittance, data.source.current
        g, b = casadi.DM(np.ascontiguousarray(y.real)), casadi.DM(np.ascontiguousarray(y.imag))
        for t in range(len(self._hours)):
            vr = voltage[0][nodes.tolist(), t] * base
            vi = voltage[1][nodes.tolist(), t] * base
            real = casadi.DM(current.real) - (g @ vr - b @ vi)
            imag = casadi.DM(current.imag) - (g @ vi + b @ vr)
            watts = casadi.dot(vr, real) + casadi.dot(vi, imag)
            program.cost += self._options.objective.energy_cost * float(price[t]) * watts / 1e3


def voltage_pu(day: Day, voltage: ComplexArray) -> FloatArray:
    """Watched voltages per unit, shape (node, period)."""
    watch = day.data.watch
    grounded = np.concatenate([voltage, np.zeros((1, voltage.shape[1]))])
    return np.asarray(np.abs(grounded[watch.a] - grounded[watch.b]) / watch.base_v[:, None])


def losses_kw(day: Day, solution: Solution) -> FloatArray:
    """Import and injection less what the loads draw, shape (period,)."""
    legs, terms = day.data.loads, day.data.laws.terms
    m = np.abs(across(legs, solution.voltage)) / legs.base_v[:, None]
    a, b, c, d, exponent = np.moveaxis(terms[legs.law[:, None], day.regions(solution.voltage), 0], -1, 0)
    drawn = (day.load_kva().real * (a * m**2 + b * m + c + d * m**exponent)).sum(axis=0)
    injected = solution.storage_kva.real.sum(axis=1) + solution.pv_kva.real.sum(axis=1)
    return np.asarray(solution.import_kva.real + injected - drawn)
