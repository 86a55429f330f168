"""The quadratic program of one tangent step, and its answer.

Devices with energy come first (batteries, flexible loads, vehicles), then sources (PV): J = B + K.
Positive power flows into the network.

    energy   p = d - c,          q = u - v,   s_t = s_(t-1) + h_t (eta_c c - d / eta_d) - drain
    source   p = available - x,  q = u - v
    polygon  cos(a_m) p + sin(a_m) q <= rating cos(pi / 16),   a_m = (2 m + 1) pi / 16,  m = 0 .. 15
    row      a_p p_t + a_q q_t - sigma <= limit,  sigma >= 0;  a row of the peak has the peak for sigma
    minimise costs of c, d, x, u, v, sigma, s_T and the peak
             + gradient . (p, q) + 1/2 damping ((p - p0)^2 + (q - q0)^2)
             + sum_t 1/2 weight_t || M_p (p_t - p0_t) + M_q (q_t - q0_t) ||^2

A program may have scenarios: t is then a node of a tree (:class:`cosim.model.scenario_tree.ScenarioTree`),
t - 1 the node before it, T the number of nodes, and s_T the energies at the ends of all branches. Costs are
those of the nodes: whoever builds the program weighs them.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from typing import Literal

import numpy as np

from cosim.errors import ContractError
from cosim.model.arrays import BoolArray, FloatArray, IntArray
from cosim.model.scenario_tree import ScenarioTree
from cosim.opf.program_size import ProgramSize
from cosim.opf.structured_qp.program_shapes import expected_shapes, least_values

FACES = 16
"""Sides of the polygon inscribed in the circle of a rating."""
FACE_COSINE: FloatArray = np.cos((2 * np.arange(FACES) + 1) * np.pi / FACES)
FACE_SINE: FloatArray = np.sin((2 * np.arange(FACES) + 1) * np.pi / FACES)
FACE_DISTANCE = float(np.cos(np.pi / FACES))
"""Of a side from the centre, for a circle of radius one."""

EndRule = Literal["free", "fixed", "value", "soft"]
Status = Literal["optimal", "almost", "infeasible", "failed"]


@dataclass(frozen=True)
class EnergyDevices:
    """EnergyDevices of one program; T periods or nodes, B energy.

    Attributes:
        charge_max_kw, discharge_max_kw: shape (T, B), at least 0; 0 fixes the variable.
        reactive_max_kvar, absorb_max_kvar: largest u and v, shape (T, B), at least 0; 0 fixes them.
        rating_kva: of the inverter, shape (B,).
        charge_efficiency, discharge_efficiency: fractions in (0, 1], shape (B,).
        start_kwh: stored at the start of the first period, shape (B,).
        least_kwh, most_kwh: window of the energy at the end of each period, shape (T, B).
        drain_kwh: lost per period, shape (T, B).
        charge_cost, discharge_cost: currency per kW held over the period, shape (T, B).
        reactive_cost: currency per kvar of u + v over the period, shape (T, B).
        end: what holds for the energy at the end of the last period: ``free``; ``fixed`` at ``end_kwh``;
            ``value``: the objective gets - ``end_price`` times the energy;
            ``soft``: it gets ``end_price`` times the distance from ``end_kwh``.
        end_kwh: target, shape (B,), read by ``fixed`` and ``soft``.
        end_price: currency per kWh, shape (B,), or (branch, B) where the program has scenarios; read by
            ``value`` and ``soft`` (there at least 0).
    """

    charge_max_kw: FloatArray
    discharge_max_kw: FloatArray
    reactive_max_kvar: FloatArray
    absorb_max_kvar: FloatArray
    rating_kva: FloatArray
    charge_efficiency: FloatArray
    discharge_efficiency: FloatArray
    start_kwh: FloatArray
    least_kwh: FloatArray
    most_kwh: FloatArray
    drain_kwh: FloatArray
    charge_cost: FloatArray
    discharge_cost: FloatArray
    reactive_cost: FloatArray
    end: EndRule
    end_kwh: FloatArray
    end_price: FloatArray


@dataclass(frozen=True)
class SourceDevices:
    """Devices without energy of one program; T periods, K devices.

    Attributes:
        available_kw: shape (T, K), at least 0.
        curtail_max_kw: largest curtailed power, shape (T, K): the available power, or 0 where not allowed.
        reactive_max_kvar, absorb_max_kvar: largest u and v, shape (T, K).
        rating_kva: of the inverter, shape (K,).
        polygon: whether the polygon of the rating holds, shape (K,); where curtailment is not allowed
            these two alone must keep the rating.
        curtail_cost: currency per kW held over the period, shape (T, K).
        reactive_cost: currency per kvar of u + v over the period, shape (T, K).
    """

    available_kw: FloatArray
    curtail_max_kw: FloatArray
    reactive_max_kvar: FloatArray
    absorb_max_kvar: FloatArray
    rating_kva: FloatArray
    polygon: BoolArray
    curtail_cost: FloatArray
    reactive_cost: FloatArray


@dataclass(frozen=True)
class Tangent:
    """First and second order of the cost in the device powers.

    Attributes:
        gradient_p, gradient_q: currency per kW and kvar over the period, any sign, shape (T, J).
        damping: currency per kW^2, at least 0, shape (T, J).
        centre_p_kw, centre_q_kvar: where the curvature is centred, shape (T, J).
        mode_p, mode_q: shared by all periods, shape (m, J).
        mode_weight: currency per unit of a squared mode, at least 0, shape (T,).
    """

    gradient_p: FloatArray
    gradient_q: FloatArray
    damping: FloatArray
    centre_p_kw: FloatArray
    centre_q_kvar: FloatArray
    mode_p: FloatArray
    mode_q: FloatArray
    mode_weight: FloatArray


@dataclass(frozen=True)
class SoftRows:
    """Linear limits on the powers of one period each.

    Attributes:
        period: of each row, shape (R,).
        p, q: coefficients, scaled so that the largest is about 1, shape (R, J).
        limit: in kW of the scaled row, shape (R,).
        price: currency per kW of slack, more than 0 (not read for rows of the peak), shape (R,).
        of_peak: the row bounds the peak from below instead of having slack, shape (R,).
    """

    period: IntArray
    p: FloatArray
    q: FloatArray
    limit: FloatArray
    price: FloatArray
    of_peak: BoolArray

    @classmethod
    def none(cls, devices: int) -> SoftRows:
        """No rows."""
        slope, empty = np.zeros((0, devices)), np.zeros(0)
        return cls(np.zeros(0, dtype=np.int64), slope, slope, empty, empty, np.zeros(0, dtype=bool))

    def joined(self, more: SoftRows) -> SoftRows:
        """These and more."""
        pairs = [(getattr(self, part.name), getattr(more, part.name)) for part in fields(self)]
        return SoftRows(*(np.concatenate(pair) for pair in pairs))


@dataclass(frozen=True)
class Peak:
    """A peak that is paid for.

    Attributes:
        price: currency per kW, more than 0.
        floor_kw: the peak that is paid anyway.
    """

    price: float
    floor_kw: float


@dataclass(frozen=True)
class StepProgram:
    """One quadratic program.

    Attributes:
        hours: length of each period, shape (T,).
        energy, sources, tangent, rows: see there.
        peak: None: no row may be of the peak.
        scenarios: None: one future, the periods follow each other.

    Raises:
        ContractError: an array has the wrong shape or a value outside its range.
    """

    hours: FloatArray
    energy: EnergyDevices
    sources: SourceDevices
    tangent: Tangent
    rows: SoftRows
    peak: Peak | None = None
    scenarios: ScenarioTree | None = None

    def __post_init__(self) -> None:
        if self.period_count and len(self.tree) != self.period_count:
            raise ContractError(
                f"a step program has {self.period_count} periods, but {len(self.tree)} nodes of scenarios"
            )
        for name, values, shape in expected_shapes(self):
            if np.shape(values) != shape:
                raise ContractError(
                    f"{name} of a step program has shape {np.shape(values)}, expected {shape}"
                )
            if not np.isfinite(values).all():
                raise ContractError(f"{name} of a step program has values that are not finite")
        for name, smallest in least_values(self):
            if smallest < 0.0:
                raise ContractError(f"{name} of a step program is {smallest:.6g}, expected at least 0")
        if self.peak is None and bool(self.rows.of_peak.any()):
            raise ContractError("a row of a step program is of the peak, but the program has no peak")
        if self.row_count and not 0 <= self.rows.period.min() <= self.rows.period.max() < self.period_count:
            raise ContractError(f"rows of a step program name periods outside 0 .. {self.period_count - 1}")

    @cached_property
    def tree(self) -> ScenarioTree:
        """Which node follows which."""
        return self.scenarios or ScenarioTree(max(self.period_count, 1))

    @cached_property
    def end_price(self) -> FloatArray:
        """Price of the energy at the end of each branch, shape (branch, B)."""
        return np.broadcast_to(self.energy.end_price, (self.tree.branches, self.energy_count))

    @property
    def period_count(self) -> int:
        """Number of periods or nodes, T."""
        return len(self.hours)

    @property
    def energy_count(self) -> int:
        """Number of devices with energy, B."""
        return len(self.energy.rating_kva)

    @property
    def source_count(self) -> int:
        """Number of sources, K."""
        return len(self.sources.rating_kva)

    @property
    def device_count(self) -> int:
        """Number of devices, J = B + K."""
        return self.energy_count + self.source_count

    @property
    def row_count(self) -> int:
        """Number of rows, R."""
        return len(self.rows.limit)

    @property
    def size(self) -> ProgramSize:
        """Variables and rows as written in the module, fixed variables included."""
        T, B, K, R = self.period_count, self.energy_count, self.source_count, self.row_count
        of_peak, polygons = int(self.rows.of_peak.sum()), int(self.sources.polygon.sum())
        slack_and_peak = R - of_peak + (self.peak is not None)
        return ProgramSize(
            variables=T * (5 * B + 3 * K) + slack_and_peak,
            rows=T * (B + FACES * (B + polygons)) + R,
        )


@dataclass(frozen=True)
class Multipliers:
    """Multipliers of one answer, in currency per unit of the constraint.

    Attributes:
        row: of the rows, at least 0, shape (R,).
        energy: of the energy balances, minus the marginal worth of stored energy, shape (T, B): the
            Lagrangian holds energy (s_t - s_(t-1) - h (eta_c c - d / eta_d) + drain).
        face: of the polygons, at least 0, shape (T, J, 16).
        end: of the rule ``soft``: of s_T - target, within plus and minus the price, shape (branch, B);
            else 0.
    """

    row: FloatArray
    energy: FloatArray
    face: FloatArray
    end: FloatArray


@dataclass(frozen=True)
class Fallback:
    """One route that did not answer.

    Attributes:
        solver: the route.
        reason: why its answer was not taken.
    """

    solver: str
    reason: str


@dataclass(frozen=True)
class StepAnswer:
    """Answer to one quadratic program.

    Attributes:
        charge_kw, discharge_kw: as the solver left them (both may be positive), shape (T, B).
        curtailed_kw: shape (T, K).
        reactive_up_kvar, reactive_down_kvar: u and v, shape (T, J).
        p_kw, q_kvar: shape (T, J).
        stored_kwh: at the end of each period, shape (T, B).
        slack_kw: of the rows, 0 for rows of the peak, shape (R,).
        peak_kw: 0 without a peak.
        multipliers: None where there is no plan.
        objective: of the formula, at this plan.
        primal_residual: largest violation relative to the rating or capacity of its device.
        gap: objective minus a lower bound that the multipliers prove, in currency.
        iterations: of the solver.
        solver: the route that ran.
        status: ``almost``: stopped early, with an answer; ``infeasible`` and ``failed``: without a plan.
        message: why it is not optimal, else empty.
        seconds: wall-clock.
        fallbacks: routes tried before this one.
        warm: to be handed to the next structured solve, else None.
    """

    charge_kw: FloatArray
    discharge_kw: FloatArray
    curtailed_kw: FloatArray
    reactive_up_kvar: FloatArray
    reactive_down_kvar: FloatArray
    p_kw: FloatArray
    q_kvar: FloatArray
    stored_kwh: FloatArray
    slack_kw: FloatArray
    peak_kw: float
    multipliers: Multipliers | None
    objective: float
    primal_residual: float
    gap: float
    iterations: int
    solver: str
    status: Status
    message: str = ""
    seconds: float = 0.0
    fallbacks: tuple[Fallback, ...] = ()
    warm: object | None = None

    @property
    def row_price(self) -> FloatArray:
        """Multipliers of the rows, shape (R,); zero where there is no plan."""
        return np.zeros_like(self.slack_kw) if self.multipliers is None else self.multipliers.row
