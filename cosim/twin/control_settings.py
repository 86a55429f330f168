"""Regulated transformers and switched capacitors, and the settings of their controls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cosim.model.arrays import ComplexArray, IntArray

GROUND = -1
MAXIMUM, MINIMUM, AVERAGE = -2, -3, -1
"""Ways of choosing among the sensed phases, where it is not one fixed phase; the engine's own numbers
are these."""

CURRENT, VOLTAGE, KVAR, POWER_FACTOR = "current", "voltage", "kvar", "pf"
KINDS = (CURRENT, VOLTAGE, KVAR, POWER_FACTOR)


@dataclass(frozen=True)
class MovedWinding:
    """A transformer with a regulated winding, as read.

    Attributes:
        transformer: its name.
        nodes: system node of each row of ``admittance``, -1 is ground.
        admittance: primitive admittance in siemens at the tap ``tap``.
        rows: rows of the winding that moves.
        tap: tap ratio of that winding when ``admittance`` was read.
    """

    transformer: str
    nodes: IntArray
    admittance: ComplexArray
    rows: tuple[int, ...]
    tap: float


@dataclass(frozen=True)
class SwitchedCapacitor:
    """A controlled capacitor: its name, nodes (-1 is ground) and admittance in siemens when closed."""

    name: str
    nodes: IntArray
    admittance: ComplexArray


@dataclass(frozen=True)
class ReverseMode:
    """What a reversible regulator control does while power flows backwards.

    Attributes:
        power_rows: rows of the sensed winding in the transformer's admittance.
        threshold_w: power against its present direction that turns the control around.
        delay_s: how long it must last, which while the clock stands is only an order.
        vreg, band, drop, drop_magnitude: replace those of the forward direction.
        to_neutral: the tap goes to 1 instead, after ``neutral_delay_s``.
    """

    power_rows: tuple[int, ...]
    threshold_w: float
    delay_s: float
    vreg: float
    band: float
    drop: complex
    drop_magnitude: float
    to_neutral: bool
    neutral_delay_s: float


@dataclass(frozen=True)
class RegulatorControl:
    """One regulator control.

    Attributes:
        name: of the control.
        winding: the transformer it moves.
        across: pair of system nodes whose voltage difference is sensed, one pair per eligible phase.
        current_rows: row of the winding's admittance whose current (into the transformer) drives the
            line-drop compensation, one per eligible phase; empty without compensation.
        choice: ``MAXIMUM`` or ``MINIMUM`` among several eligible phases; 0 for a fixed phase.
        limited_across: pair of nodes watched by the voltage limit, if it is not the sensed one.
        sensing_ratio: sensed volts per control volt.
        vreg, band, vlimit: in control volts; a limit of 0 is none.
        volts_per_volt: winding volts per control volt, ``base_volts`` the winding's rated volts: their
            quotient turns a wanted voltage change into a wanted tap ratio.
        ct_amps: amps that give the full compensation voltage ``drop`` (R + jX, control volts).
        drop_magnitude: compensation by magnitudes only, in control volts; replaces ``drop`` if not 0.
        delay_s: time from arming to acting; shortened with the deviation if ``inverse_time``.
        most_taps: largest number of taps of one action; 0 keeps the tap.
        increment, lowest, highest: tap ratio of one tap and its limits.
        sign: -1 if the moved winding is not the sensed one.
        reverse: what it does when power flows backwards; None if it does not care.
    """

    name: str
    winding: MovedWinding
    across: tuple[tuple[int, int], ...]
    current_rows: tuple[int, ...]
    choice: int
    limited_across: tuple[int, int] | None
    sensing_ratio: float
    vreg: float
    band: float
    vlimit: float
    volts_per_volt: float
    base_volts: float
    ct_amps: float
    drop: complex
    drop_magnitude: float
    delay_s: float
    inverse_time: bool
    most_taps: int
    increment: float
    lowest: float
    highest: float
    sign: int
    reverse: ReverseMode | None


@dataclass(frozen=True)
class CapacitorControl:
    """One capacitor control.

    Attributes:
        name: of the control.
        capacitor: the bank it switches, in one step.
        kind: quantity that decides: ``CURRENT``, ``VOLTAGE``, ``KVAR`` or ``POWER_FACTOR``.
        on, off: close above ``on`` and open below ``off`` (voltage: close below, open above), in amps,
            volts or kvar behind the ratios; power factors count 0..2, above 1 leading.
        across: pairs of nodes whose voltage difference is sensed; empty if no voltage is.
        voltage_choice, current_choice: ``MAXIMUM``, ``MINIMUM``, ``AVERAGE`` or 0 for the only one.
        nodes: of the monitored element, one for each column of its rows of admittance.
        current_rows: admittance rows (siemens) of the monitored currents; empty if none is.
        power_nodes, power_rows: nodes and admittance rows of the monitored terminal's conductors.
        pt_ratio, ct_ratio: sensed volts and amps per control volt and amp.
        override: close below ``lowest_volts`` and open above ``highest_volts`` whatever else is sensed.
        least_kvar, step_kvar: reactive power without which a power factor does not close the bank, and
            the bank's rating.
        on_delay_s, off_delay_s, dead_time_s: before closing, before opening, and between an opening and
            the start of the delay of the next closing.
    """

    name: str
    capacitor: SwitchedCapacitor
    kind: str
    on: float
    off: float
    across: tuple[tuple[int, int], ...]
    voltage_choice: int
    current_choice: int
    nodes: IntArray
    current_rows: ComplexArray
    power_nodes: IntArray
    power_rows: ComplexArray
    pt_ratio: float
    ct_ratio: float
    override: bool
    lowest_volts: float
    highest_volts: float
    least_kvar: float
    step_kvar: float
    on_delay_s: float
    off_delay_s: float
    dead_time_s: float


def tap_parts(admittance: ComplexArray, rows: Sequence[int]) -> tuple[ComplexArray, ComplexArray]:
    """Parts of a transformer's admittance that scale with s and with s^2 when its winding's tap moves.

    s is the tap at which ``admittance`` was taken over the new tap. Windings are ideal turns around
    one core, so currents and voltages of the moved winding each scale with s. What lies from its
    conductors to ground (the neutral's impedance, and the small admittance that keeps a floating
    winding solvable) does not: it is what the rows of the winding do not sum to zero.

    Args:
        admittance: primitive admittance, shape (row, row), in siemens.
        rows: rows of the moved winding, all of its conductors.
    """
    moved = np.zeros(len(admittance), dtype=bool)
    moved[list(rows)] = True
    both, one = np.outer(moved, moved), np.logical_xor.outer(moved, moved)
    quadratic: ComplexArray = np.where(both, admittance, 0)
    quadratic -= np.diag(quadratic.sum(axis=1))
    linear: ComplexArray = np.where(one, admittance, 0)
    return linear, quadratic


def tap_scaled(admittance: ComplexArray, rows: Sequence[int], ratio: float) -> ComplexArray:
    """Primitive admittance of a transformer after the tap of one winding has moved.

    Args:
        admittance: shape (row, row), in siemens, at the old tap.
        rows: rows of the moved winding, all of its conductors.
        ratio: new tap over old tap.
    """
    linear, quadratic = tap_parts(admittance, rows)
    s = 1.0 / ratio
    return admittance + (s - 1.0) * linear + (s * s - 1.0) * quadratic
