"""The values that cross the border between plant and policy at every step.

Units: kW, kvar, kWh, per unit of the node's base, seconds since the start of the run. Positive
power flows into the network; ``import_kw`` is positive when the substation feeds the feeder.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from cosim.errors import ContractError
from cosim.model.arrays import FloatArray
from cosim.model.forecast import Outlook
from cosim.model.search_details import SearchDetails
from cosim.model.site import Site


def _none() -> FloatArray:
    return np.zeros(0)


NOT_DELIVERED = "not delivered"
"""How the event begins that a device does not deliver what was accepted."""
NOT_SOLVED = "no power flow"
"""How the event begins that a step has no solution, and repeats what the last one with a solution gave."""


@dataclass(frozen=True)
class Measurement:
    """State at the start of a step, before the decision of that step.

    Load and sun are those of the new step, the set-points still those of the last one.

    Attributes:
        step, time_s: which step, and its start.
        voltage_pu: per node.
        demand_kw, demand_kvar: per load, what it would draw at rated voltage (positive consumption).
        price_per_kwh: price of the step.
        p_kw, q_kvar, stored_kwh: per device.
        available_kw: per device, what the sun, or the load behind it, offers; 0 where that means nothing.
        tap: tap ratio per regulator.
        capacitor_closed: 1 or 0 per switched capacitor.
        import_kw, import_kvar, losses_kw: of the whole feeder.
        peak_import_kw: highest import of any step of the run so far, 0 before the first.
        position: per network device.
        source_ratio: voltage of the sources over what the master says.
    """

    step: int
    time_s: float
    voltage_pu: FloatArray
    demand_kw: FloatArray
    demand_kvar: FloatArray
    price_per_kwh: float
    p_kw: FloatArray
    q_kvar: FloatArray
    stored_kwh: FloatArray
    available_kw: FloatArray
    tap: FloatArray
    capacitor_closed: FloatArray
    import_kw: float
    import_kvar: float
    losses_kw: float
    peak_import_kw: float
    position: FloatArray = field(default_factory=_none)
    source_ratio: float = 1.0


@dataclass(frozen=True)
class Setpoints:
    """What the devices are asked to do, in the order of the site's devices.

    Attributes:
        p_kw: active power; discharging and shedding is positive. An upper limit for a PV system.
        q_kvar: reactive power.
        position: of each network device of the site. NaN leaves a device where it is, an empty vector all.
    """

    p_kw: FloatArray
    q_kvar: FloatArray
    position: FloatArray = field(default_factory=_none)

    @classmethod
    def idle(cls, site: Site) -> Setpoints:
        """Nobody asks for anything (batteries rest, PV runs free, taps stay): the safe state."""
        return cls(
            p_kw=np.array([device.rest_kw for device in site.devices], dtype=np.float64),
            q_kvar=np.zeros(len(site.devices)),
        )

    def check(self, site: Site, *, sender: str, step: int) -> None:
        """Refuse a vector of the wrong length or with a value that is no number.

        Raises:
            ContractError: names the sender, the quantity, the step and what was expected.
        """
        count = len(site.devices)
        for quantity, values in (("p_kw", self.p_kw), ("q_kvar", self.q_kvar)):
            if values.shape != (count,):
                raise ContractError(
                    f"{quantity} of step {step} from {sender!r} has {values.size} values, "
                    f"the plant has {count} devices; send one value per device of the site"
                )
            if not np.isfinite(values).all():
                at = int(np.flatnonzero(~np.isfinite(values))[0])
                raise ContractError(
                    f"{quantity}[{at}] ({site.devices[at].name}) of step {step} from {sender!r} is "
                    f"{values[at]}; set-points must be finite"
                )
        self._check_position(site, sender=sender, step=step)

    def _check_position(self, site: Site, *, sender: str, step: int) -> None:
        count = len(site.network_devices)
        if self.position.size and self.position.shape != (count,):
            raise ContractError(
                f"position of step {step} from {sender!r} has {self.position.size} values, the plant has "
                f"{count} network devices; send one value per network device of the site, or none"
            )
        if np.isinf(self.position).any():
            at = int(np.flatnonzero(np.isinf(self.position))[0])
            raise ContractError(
                f"position[{at}] ({site.network_devices[at].name}) of step {step} from {sender!r} is "
                f"{self.position[at]}; positions are whole numbers, or NaN for no move"
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
        program_gap: objective of a mixed-integer program above the bound that its solver proved, as a part
            of it; None for other programs.
        solver: which solver answered, where a planner chooses.
        rounds, messages, message_bytes: exchange between areas that the plan took; None for one controller.
        messages_lost: messages between areas that were lost, or came after the plan.
        area_source: where the set-points of each area come from, in the order of the areas; empty for one
            controller.
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
    program_gap: float | None = None
    solver: str = ""
    rounds: int | None = None
    messages: int | None = None
    message_bytes: int | None = None
    messages_lost: int | None = None
    area_source: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """A whole look-ahead.

    Attributes:
        time_s: when the plan starts.
        period_s: length of each period, shape (period,).
        p_kw, q_kvar: set-points, shape (period, device).
        stored_kwh: shape (period + 1, device), the first row is now, by the exact law of each kind.
        import_kw, import_kvar, losses_kw: what the planner's own model expects, shape (period,).
        voltage_pu: likewise, shape (period, node).
        certificate: what is proven about it.
        relaxation_gap_kva: largest loss over the periods that a relaxation invents in each branch, shape
            (node,); None if nothing is relaxed.
        position: of the network devices, shape (period, network device); empty: they stay where they are.
        details: how a search went that found the plan; None where it was not searched for by candidates.
        caution: what is not as it should be, for the reason of decisions that follow the plan.
    """

    time_s: float
    period_s: FloatArray
    p_kw: FloatArray
    q_kvar: FloatArray
    stored_kwh: FloatArray
    import_kw: FloatArray
    import_kvar: FloatArray
    losses_kw: FloatArray
    voltage_pu: FloatArray
    certificate: Certificate
    relaxation_gap_kva: FloatArray | None = None
    position: FloatArray = field(default_factory=_none)
    details: SearchDetails | None = None
    caution: str = ""

    @property
    def lowest_pu(self) -> FloatArray:
        """Expected lowest voltage of any node, shape (period,)."""
        return np.asarray(self.voltage_pu.min(axis=1))

    @property
    def highest_pu(self) -> FloatArray:
        """Expected highest voltage of any node, shape (period,)."""
        return np.asarray(self.voltage_pu.max(axis=1))

    @property
    def next_voltage_pu(self) -> FloatArray:
        """Expected in the first period, shape (node,)."""
        return np.asarray(self.voltage_pu[0])

    def period_at(self, time_s: float) -> int | None:
        """Index of the period that holds a moment of the run, or None outside the plan."""
        offset = time_s - self.time_s
        ends = np.cumsum(self.period_s)
        if offset < 0 or offset >= ends[-1]:
            return None
        return int(np.searchsorted(ends, offset, side="right"))

    def setpoints(self, period: int) -> Setpoints:
        """Set-points of one period."""
        position = self.position[period] if self.position.size else _none()
        return Setpoints(self.p_kw[period], self.q_kvar[period], position)


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
class Belief:
    """What a controller takes the state of the feeder to be, where it does not see it.

    Attributes:
        voltage_pu: per node.
        voltage_std_pu: standard deviation of its error; NaN where nobody can say.
        demand_kw, demand_kvar: per load at rated voltage.
        rejected: nodes whose sensors were taken for failed.
    """

    voltage_pu: FloatArray
    voltage_std_pu: FloatArray
    demand_kw: FloatArray
    demand_kvar: FloatArray
    rejected: tuple[str, ...]


@dataclass(frozen=True)
class Decision:
    """Set-points, where they come from, and why.

    Attributes:
        step: step of the measurement it answers.
        issued_at_s: time of that measurement.
        setpoints: what is asked.
        source, reason: origin of the set-points; the reason is empty when all is well.
        plan: the plan made at this step, if one was made.
        belief: what it was decided on, where the state is not seen as it is.
        owner: the federate whose set-points they are; drivers fill it in.
        outlook: what was forecast for the whole feeder, where the record keeps it.
        parts: the decisions of several controllers, in their order, each on its own devices; empty for one.
    """

    step: int
    issued_at_s: float
    setpoints: Setpoints
    source: Source = Source.PLAN
    reason: str = ""
    plan: Plan | None = None
    belief: Belief | None = None
    owner: str = ""
    outlook: Outlook | None = None
    parts: tuple[Decision, ...] = ()


@dataclass(frozen=True)
class Applied:
    """The plant's acknowledgement.

    Attributes:
        setpoints: accepted values.
        reason: per device, why accepted differs from requested (empty if not).
        position_reason: the same per network device.
    """

    setpoints: Setpoints
    reason: tuple[str, ...]
    position_reason: tuple[str, ...] = ()


@dataclass(frozen=True)
class StepResult:
    """What the grid did in a step, regulators and capacitors acting.

    Attributes:
        step: which step.
        voltage_pu: per node.
        p_kw, q_kvar: per device, at the terminals.
        stored_kwh: per device, at the end of the step.
        tap: tap ratio per regulator, at the end of the step.
        import_kw, import_kvar, losses_kw: of the whole feeder; losses include those of shunt elements.
        loading: highest current of any line over its rating, and ``loading_line``, which line.
        iterations: power-flow iterations.
        events: sentences about what was unusual (control overrun, nodes without voltage).
        load_kw, load_kvar: what all loads draw at the voltages of the step, positive consumption.
        other_kw: injection of all that is neither source, load nor controllable device (generators,
            storage and PV that nobody controls).
        balance_error_kw: import + other + devices - load - losses, a rounding unless an event says more.
        position: per network device, at the end of the step.
        operations: of each network device in the step; by its own control where nobody commands it.
        meter_kw: per meter of the scenario, in its order: power into the element; empty without meters.
        transformer_loading: highest current of any transformer over its normal rating.
        unbalance_percent: highest ratio of negative to positive sequence voltage of any bus with three
            phases; 0 without such a bus.
        capacitor_closed: per capacitor, 1 in service, else 0, at the end of the step.
    """

    step: int
    voltage_pu: FloatArray
    p_kw: FloatArray
    q_kvar: FloatArray
    stored_kwh: FloatArray
    tap: FloatArray
    import_kw: float
    import_kvar: float
    losses_kw: float
    loading: float
    loading_line: str
    iterations: int
    events: tuple[str, ...]
    load_kw: float
    load_kvar: float
    other_kw: float
    balance_error_kw: float
    position: FloatArray = field(default_factory=_none)
    operations: FloatArray = field(default_factory=_none)
    meter_kw: FloatArray = field(default_factory=_none)
    transformer_loading: float = 0.0
    unbalance_percent: float = 0.0
    capacitor_closed: FloatArray = field(default_factory=_none)
