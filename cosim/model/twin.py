"""The controller's own model of the feeder, as planners see it.

A twin knows the feeder and what the controller measures and forecasts; it never sees the plant's state.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from cosim.model.arrays import BoolArray, ComplexArray, FloatArray, IntArray
from cosim.model.scenario_tree import ScenarioTree
from cosim.model.state import Measurement


class Quantity(StrEnum):
    """What can have a limit.

    Voltages are in pu, currents of conductors as a share of their rating, and unbalance is negative over
    positive sequence voltage. Switching is how near each capacitor's control is to its setting: below 1
    the bank stays as it is.
    """

    VOLTAGE = "voltage"
    LINE = "line"
    TRANSFORMER = "transformer"
    UNBALANCE = "unbalance"
    SWITCHING = "switching"


@dataclass(frozen=True)
class TwinFlow:
    """What the twin says the feeder does under some device powers.

    Attributes:
        device_kva: injections, batteries first, then PV systems, shape (period, device).
        tap: tap ratio of each regulator in each period, shape (period, regulator).
        capacitor_closed: of each controlled capacitor, shape (period, capacitor).
        voltage_pu: of the site's nodes, shape (node, period).
        import_kva: shape (period,).
        losses_kw: shape (period,).
        converged: whether there is a power flow, shape (period,).
        hunting: periods in which regulators and capacitors found no rest.
        iterations: of the power flow.
        inner: the twin's own.
    """

    device_kva: ComplexArray
    tap: FloatArray
    capacitor_closed: BoolArray
    voltage_pu: FloatArray
    import_kva: ComplexArray
    losses_kw: FloatArray
    converged: BoolArray
    hunting: int
    iterations: int
    inner: object


@dataclass(frozen=True)
class LossCurvature:
    """Losses of a change of powers, kW: ``|M (dp - j dq)|²`` over modes, and what they leave out.

    Attributes:
        mode_p, mode_q: real rows of the modes, root kW per kW, shape (row, device).
        rest: of each device by itself, 1/kW, at least 0, shape (device,).
    """

    mode_p: FloatArray
    mode_q: FloatArray
    rest: FloatArray


@dataclass(frozen=True)
class Prices:
    """What the network's part of a plan is charged in each period, shape (period,) each.

    Attributes:
        import_kw, losses_kw: currency per kW.
        deviation_pu2: currency per pu⁴ of the sum over nodes of the squared voltage's squared distance
            from that of ``centre_pu``.
        centre_pu: middle of the voltage limits.
    """

    import_kw: FloatArray
    losses_kw: FloatArray
    deviation_pu2: FloatArray
    centre_pu: float


@dataclass(frozen=True)
class FirstOrder:
    """What other device powers add to a flow, to first order, taps and capacitors held.

    Attributes:
        voltage_pu: of the site's nodes, shape (node, period).
        line_share: of the currents of lines, share of the rating, shape (conductor, period).
        import_kva: shape (period,).
        losses_kw: shape (period,).
    """

    voltage_pu: FloatArray
    line_share: FloatArray
    import_kva: ComplexArray
    losses_kw: FloatArray


Slope = tuple[FloatArray, FloatArray]
"""Change per kW and per kvar of each device, shape (row, device) each."""


class Twin(Protocol):
    """Exact flows of all periods and their exact slopes."""

    @property
    def nodes(self) -> tuple[str, ...]:
        """Names behind ``voltage_pu``."""
        ...

    @property
    def apart_pu(self) -> float:
        """How far it is from the feeder, pu and part of the import; 0 where that is negligible."""
        ...

    def state(self) -> dict[str, Any]:
        """What it found at its first flows and keeps, see :class:`cosim.model.roles.Resumable`."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what :meth:`state` gave."""
        ...

    def set_forecast(
        self,
        measurement: Measurement,
        demand_kva: ComplexArray,
        source_ratio: FloatArray | None = None,
        period_s: FloatArray | None = None,
        scenarios: ScenarioTree | None = None,
    ) -> None:
        """Take what is measured now, and what is forecast.

        Args:
            measurement: taps, capacitors and source voltage of now.
            demand_kva: at rated voltage, shape (period, load).
            source_ratio: voltage of the source over what the master says, shape (period,); None: as now.
            period_s: length of each period, shape (period,); None: a second, for a look at now.
            scenarios: None: one future. Else all that is per period, here and in flows, is per node of
                this tree, ``period_s`` excepted; regulators and capacitors react along each branch.
        """
        ...

    def at_rest(self, periods: int) -> TwinFlow:
        """Warm start for :meth:`flow` with the measured taps and capacitors in every period.

        It is not a solved power flow: all load and device powers are zero, ``converged`` is true.
        """
        ...

    def flow(
        self, device_kva: ComplexArray, start: TwinFlow | None = None, *, held: bool = False
    ) -> TwinFlow:
        """Flows under device powers of shape (period, device).

        Regulators and capacitors react from the measured state on, unless they are held as in ``start``.
        Positions of :meth:`set_positions` are in force in either case.
        """
        ...

    def candidates(
        self, device_kva: ComplexArray, start: TwinFlow, position: FloatArray | None = None
    ) -> TwinFlow:
        """Flows of many dispatches at once, one column per candidate and period on one factorisation.

        Regulators and capacitors react in each candidate from the measured state on. A candidate with a
        period that has no power flow keeps the states of ``start``.

        Args:
            device_kva: shape (candidate, period, device).
            start: a flow of the horizon to start each candidate from.
            position: commanded positions of the network devices, shape (candidate, period, network
                device), NaN where a device stays where it is; None: see :meth:`set_positions`.

        Returns:
            A flow with one row per candidate and period, candidate by candidate: row
            ``candidate * periods + period``. ``moved`` takes the rows of one candidate out of it.
        """
        ...

    def set_positions(self, position: FloatArray | None) -> None:
        """Command the network devices in all flows from now on.

        Args:
            position: shape (period, network device); NaN leaves a device where it was in the period
                before, or where it was measured. None: all stay where they were measured. Fractions of a
                tap are allowed, for relaxations.

        Raises:
            ContractError: the shape is not that of the forecast and the site.
        """
        ...

    def moved(self, flow: TwinFlow, period: IntArray) -> TwinFlow:
        """Horizon shift: the given periods of a flow, in the given order, shape (new period,).

        The result is a warm start for :meth:`flow`, and sensitivities are exact at it.
        """
        ...

    def first_order(self, flow: TwinFlow, change_kva: ComplexArray) -> FirstOrder:
        """What a change of the injections adds to a flow; ``change_kva``: shape (period, device)."""
        ...

    def rating_kva(self, quantity: Quantity) -> FloatArray:
        """What a share of one means for each line or transformer conductor, kVA."""
        ...

    def import_slope(self, flow: TwinFlow) -> Slope:
        """Slope of the import in kW, one row per period, regulators held."""
        ...

    def cost_slope(self, flow: TwinFlow, prices: Prices, worth: FloatArray) -> Slope:
        """Sensitivity of the cost to the device powers, one row per period.

        It is ``dc/dx - worth dr/dx`` with cost c, regulated voltages r and taps held. With ``worth`` of
        :meth:`tap_worth` it is the sensitivity with taps free; with zeros it is that with taps held.
        """
        ...

    def regulated(self, flow: TwinFlow) -> FloatArray:
        """Voltages that regulators hold, in parts of their set voltage, shape (regulator, period)."""
        ...

    def tap_worth(self, flow: TwinFlow, prices: Prices) -> FloatArray:
        """Regulator sensitivity: marginal cost of each regulated voltage, shape (regulator, period).

        The unit is currency per 1 pu of the set voltage. It is the w of ``w G = g``: g is the sensitivity
        of the cost to the taps, G that of the regulated voltages to the taps. It is zero where a tap is
        not free to move and in a twin with frozen controls. Hunting periods are included: flows hold
        their taps, but the taps move in the feeder.
        """
        ...

    def places(self, quantity: Quantity) -> int:
        """How many places have a quantity."""
        ...

    def values(self, flow: TwinFlow, quantity: Quantity) -> FloatArray:
        """A quantity everywhere, shape (place, period)."""
        ...

    def slope(self, flow: TwinFlow, quantity: Quantity, place: IntArray, period: IntArray) -> Slope:
        """Slopes of a quantity at some places and periods, one row each."""
        ...

    def alike(self, flow: TwinFlow, place: int, period: int, others: IntArray) -> FloatArray:
        """How nearly voltages at other places follow the devices as one does: cosines, shape (other,)."""
        ...

    def near_jump(self, flow: TwinFlow) -> int:
        """Number of loads that are close to a discontinuity of their load model in any period.

        The power flow may then have more than one solution.
        """
        ...

    def loss_curvature(self, flow: TwinFlow, period: int, modes: int) -> LossCurvature:
        """Curvature of the losses at one period."""
        ...


OpenTwin = Callable[[], Twin]
"""Builds the twin of a study; called by planners that want one."""
