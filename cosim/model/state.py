"""The values that cross the border between plant and policy at every step.

Units: kW, kvar, kWh, per unit of the node's base, seconds since the start of the run. Positive
power flows into the network; ``import_kw`` is positive when the substation feeds the feeder.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from cosim.errors import ContractError
from cosim.model.arrays import FloatArray
from cosim.model.site import Site

NOT_DELIVERED = "not delivered"
"""How the event begins that a device does not deliver what was accepted."""


@dataclass(frozen=True)
class Measurement:
    """State at the start of a step, before the decision of that step.

    Load and sun are those of the new step, the set-points still those of the last one.

    Attributes:
        step, time_s: which step, and its start.
        voltage_pu: per node.
        demand_kw, demand_kvar: per load, what it would draw at rated voltage (positive consumption).
        price_per_kwh: price of the step.
        stored_kwh, storage_kw, storage_kvar: per battery.
        pv_available_kw, pv_kw, pv_kvar: per PV system; available is before curtailment.
        tap: tap ratio per regulator.
        capacitor_closed: 1 or 0 per switched capacitor.
        import_kw, import_kvar, losses_kw: of the whole feeder.
        peak_import_kw: highest import of any step of the run so far, 0 before the first.
    """

    step: int
    time_s: float
    voltage_pu: FloatArray
    demand_kw: FloatArray
    demand_kvar: FloatArray
    price_per_kwh: float
    stored_kwh: FloatArray
    storage_kw: FloatArray
    storage_kvar: FloatArray
    pv_available_kw: FloatArray
    pv_kw: FloatArray
    pv_kvar: FloatArray
    tap: FloatArray
    capacitor_closed: FloatArray
    import_kw: float
    import_kvar: float
    losses_kw: float
    peak_import_kw: float


@dataclass(frozen=True)
class Setpoints:
    """What the devices are asked to do.

    Attributes:
        storage_kw, storage_kvar: per battery; discharging is positive.
        pv_kw_limit: per PV system, upper limit of active power.
        pv_kvar: per PV system.
    """

    storage_kw: FloatArray
    storage_kvar: FloatArray
    pv_kw_limit: FloatArray
    pv_kvar: FloatArray

    @classmethod
    def idle(cls, site: Site) -> Setpoints:
        """Batteries rest, PV runs free: the safe state."""
        return cls(
            storage_kw=np.zeros(len(site.storages)),
            storage_kvar=np.zeros(len(site.storages)),
            pv_kw_limit=np.array([pv.kw for pv in site.pvs], dtype=np.float64),
            pv_kvar=np.zeros(len(site.pvs)),
        )

    def check(self, site: Site, *, sender: str, step: int) -> None:
        """Refuse a vector of the wrong length or with a value that is no number.

        Raises:
            ContractError: names the sender, the quantity, the step and what was expected.
        """
        for quantity, values, count in (
            ("storage_kw", self.storage_kw, len(site.storages)),
            ("storage_kvar", self.storage_kvar, len(site.storages)),
            ("pv_kw_limit", self.pv_kw_limit, len(site.pvs)),
            ("pv_kvar", self.pv_kvar, len(site.pvs)),
        ):
            if values.shape != (count,):
                raise ContractError(
                    f"{quantity} of step {step} from {sender!r} has {values.size} values, "
                    f"the plant has {count} such devices; send one value per device of the site"
                )
            if not np.isfinite(values).all():
                at = int(np.flatnonzero(~np.isfinite(values))[0])
                raise ContractError(
                    f"{quantity}[{at}] of step {step} from {sender!r} is {values[at]}; "
                    "set-points must be finite"
                )


@dataclass(frozen=True)
class Certificate:
    """What a planner can prove about its plan.

    Attributes:
        planner: who made it.
        status: the solver's word, e.g. ``optimal``; ``settled`` is an end without proof, ``stopped`` none.
        objective: value of the objective in currency.
        primal_residual: largest violation of any constraint, recomputed from the solution, in the
            per-unit quantities of the program.
        simultaneous_kw: largest power charged and discharged at once by one battery; 0 is right.
        simultaneous_h: battery-hours in which that exceeds a thousandth of the rating.
        slack_pu: largest soft-limit violation that the plan itself expects.
        over_kw: largest violation of an import or line limit that the plan expects.
        iterations: of the solver.
        build_s, solve_s: seconds to write the parameters and to solve.
        relaxation_gap_kva: largest loss that a relaxed branch equation invents; None if nothing is
            relaxed.
        optimality_gap: cost of the plan by exact network equations above a proven lower bound, as a part
            of it; None where nothing is proven.
        claim: what follows from these numbers, in words.
        solver: which solver answered, where a planner chooses.
    """

    planner: str
    status: str
    objective: float
    primal_residual: float
    simultaneous_kw: float
    simultaneous_h: float
    slack_pu: float
    over_kw: float
    iterations: int
    build_s: float
    solve_s: float
    relaxation_gap_kva: float | None
    optimality_gap: float | None
    claim: str
    solver: str = ""


@dataclass(frozen=True)
class Plan:
    """A whole look-ahead.

    Attributes:
        time_s: when the plan starts.
        period_s: length of each period, shape (period,).
        storage_kw, storage_kvar: shape (period, battery).
        pv_kw_limit, pv_kvar: shape (period, PV system).
        stored_kwh: shape (period + 1, battery), the first row is now, by the exact storage law.
        import_kw: predicted, shape (period,).
        lowest_pu, highest_pu: predicted over all nodes, shape (period,).
        next_voltage_pu: predicted for the first period, per node of the site.
        certificate: what is proven about it.
    """

    time_s: float
    period_s: FloatArray
    storage_kw: FloatArray
    storage_kvar: FloatArray
    pv_kw_limit: FloatArray
    pv_kvar: FloatArray
    stored_kwh: FloatArray
    import_kw: FloatArray
    lowest_pu: FloatArray
    highest_pu: FloatArray
    next_voltage_pu: FloatArray
    certificate: Certificate

    def period_at(self, time_s: float) -> int | None:
        """Index of the period that holds a moment of the run, or None outside the plan."""
        offset = time_s - self.time_s
        ends = np.cumsum(self.period_s)
        if offset < 0 or offset >= ends[-1]:
            return None
        return int(np.searchsorted(ends, offset, side="right"))

    def setpoints(self, period: int) -> Setpoints:
        """Set-points of one period."""
        return Setpoints(
            storage_kw=self.storage_kw[period],
            storage_kvar=self.storage_kvar[period],
            pv_kw_limit=self.pv_kw_limit[period],
            pv_kvar=self.pv_kvar[period],
        )


@dataclass(frozen=True)
class NoPlan:
    """The planner found no plan: a result, not an error.

    Attributes:
        status: the solver's word, e.g. ``infeasible``.
        reason: a sentence for the log.
        build_s, solve_s: seconds spent.
    """

    status: str
    reason: str
    build_s: float = 0.0
    solve_s: float = 0.0


class Source(StrEnum):
    """Where the set-points of a decision come from."""

    PLAN = "PLAN"
    EARLIER_PLAN = "EARLIER_PLAN"
    FALLBACK = "FALLBACK"


@dataclass(frozen=True)
class Decision:
    """Set-points, where they come from, and why.

    Attributes:
        step: step of the measurement it answers.
        issued_at_s: time of that measurement.
        setpoints: what is asked.
        source, reason: origin of the set-points; the reason is empty when all is well.
        plan: the plan made at this step, if one was made.
    """

    step: int
    issued_at_s: float
    setpoints: Setpoints
    source: Source
    reason: str
    plan: Plan | None


@dataclass(frozen=True)
class Applied:
    """The plant's acknowledgement.

    Attributes:
        setpoints: accepted values.
        storage_reason, pv_reason: per device, why accepted differs from requested (empty if not).
    """

    setpoints: Setpoints
    storage_reason: tuple[str, ...]
    pv_reason: tuple[str, ...]


@dataclass(frozen=True)
class StepResult:
    """What the grid did in a step, regulators and capacitors acting.

    Attributes:
        step: which step.
        voltage_pu: per node.
        storage_kw, storage_kvar, pv_kw, pv_kvar: per device, at the terminals.
        stored_kwh: per battery, at the end of the step.
        tap: tap ratio per regulator, at the end of the step.
        import_kw, import_kvar, losses_kw: of the whole feeder.
        loading: highest current of any line over its rating, and ``loading_line``, which line.
        iterations: power-flow iterations.
        events: sentences about what was unusual (control overrun, nodes without voltage).
    """

    step: int
    voltage_pu: FloatArray
    storage_kw: FloatArray
    storage_kvar: FloatArray
    pv_kw: FloatArray
    pv_kvar: FloatArray
    stored_kwh: FloatArray
    tap: FloatArray
    import_kw: float
    import_kvar: float
    losses_kw: float
    loading: float
    loading_line: str
    iterations: int
    events: tuple[str, ...]
