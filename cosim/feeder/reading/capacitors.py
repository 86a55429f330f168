"""Reading controlled capacitors and the settings of their controls out of the engine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from cosim.feeder.engine import Engine
from cosim.feeder.reading.control_properties import (
    CHOICES,
    NotReproducedError,
    ask,
    each_enabled,
    eligible_phases,
)
from cosim.model.arrays import ComplexArray, IntArray
from cosim.twin.control_settings import (
    CURRENT,
    GROUND,
    KVAR,
    POWER_FACTOR,
    VOLTAGE,
    CapacitorControl,
    MovedWinding,
    SwitchedCapacitor,
)

WHOLE_MATRIX, KEEP_VOLTAGES = 2, 0
KIND_OF_MODE = {0: CURRENT, 1: VOLTAGE, 2: KVAR, 4: POWER_FACTOR}
LINEAR_CLASSES = frozenset({"line", "transformer", "reactor", "capacitor"})
"""Classes whose currents are their primitive admittance times the voltages."""


class Service(NamedTuple):
    """The two places where a bank can be interrupted; its control looks at the terminal only.

    ``step`` is whether any of its steps is in service.
    """

    terminal: bool
    step: bool


def read_banks(
    engine: Engine, switched: Sequence[str]
) -> tuple[tuple[SwitchedCapacitor, ...], tuple[Service, ...]]:
    """Switched capacitors in the order given, and how each is switched."""
    found = [_read_bank(engine, name) for name in switched]
    return tuple(bank for bank, _ in found), tuple(service for _, service in found)


def _read_bank(engine: Engine, name: str) -> tuple[SwitchedCapacitor, Service]:
    """A bank with the admittance it has when it is closed."""
    dss = engine.dss
    dss.Capacitors.Name(name)
    states = list(dss.Capacitors.States())
    dss.Circuit.SetActiveElement(f"capacitor.{name}")
    service = Service(not dss.CktElement.IsOpen(1, 0), any(states))
    if not all(service):
        _switch(engine, name, states if any(states) else [1] * len(states), close=True)
    admittance, nodes = engine.admittance()
    if not all(service):
        _switch(engine, name, states, close=service.terminal)
    return SwitchedCapacitor(name, nodes, admittance), service


def _switch(engine: Engine, capacitor: str, states: Sequence[int], *, close: bool) -> None:
    """Set the steps and the terminal of a bank, and build its admittance."""
    dss = engine.dss
    dss.Capacitors.Name(capacitor)
    dss.Capacitors.States(list(states))
    dss.Circuit.SetActiveElement(f"capacitor.{capacitor}")
    if close:
        dss.CktElement.Close(1, 0)
    else:
        dss.CktElement.Open(1, 0)
    dss.Solution.BuildYMatrix(WHOLE_MATRIX, KEEP_VOLTAGES)
    dss.Circuit.SetActiveElement(f"capacitor.{capacitor}")


def read_capacitors(
    engine: Engine,
    node_names: Sequence[str],
    banks: Sequence[SwitchedCapacitor],
    windings: Sequence[MovedWinding],
) -> tuple[list[CapacitorControl], dict[str, str]]:
    """Settings of the capacitor controls the laws reproduce, and reasons for those they do not."""
    by_name = {bank.name: bank for bank in banks}
    changing = {f"capacitor.{bank.name}" for bank in banks}
    changing |= {f"transformer.{winding.transformer}" for winding in windings}
    controls = engine.dss.CapControls
    uses = Counter(str(controls.Capacitor()).lower() for _ in each_enabled(controls))
    found, left = [], {}
    for name in [str(controls.Name()).lower() for _ in each_enabled(controls)]:
        controls.Name(name)
        bank = by_name[str(controls.Capacitor()).lower()]
        if uses[bank.name] > 1:
            left[f"capcontrol.{name}"] = f"{uses[bank.name]} controls switch capacitor {bank.name}"
            continue
        try:
            found.append(_read_capacitor(engine, name, node_names, bank, changing))
        except NotReproducedError as reason:
            left[f"capcontrol.{name}"] = str(reason)
    return found, left


@dataclass(frozen=True)
class _Terminal:
    """The monitored terminal of an element.

    ``admittance`` and ``nodes`` are of the whole element; ``rows`` are its rows at the terminal.
    """

    element: str
    nodes: IntArray
    admittance: ComplexArray
    rows: slice
    phases: int


def _read_terminal(engine: Engine) -> _Terminal:
    """What the active capacitor control monitors."""
    dss = engine.dss
    element, number = str(dss.CapControls.MonitoredObj()).lower(), int(dss.CapControls.MonitoredTerm())
    dss.Circuit.SetActiveElement(element)
    nodes: IntArray = np.asarray(dss.CktElement.NodeRef(), dtype=np.int64) - 1
    conductors, phases = int(dss.CktElement.NumConductors()), int(dss.CktElement.NumPhases())
    admittance: ComplexArray = np.zeros((0, len(nodes)), dtype=complex)
    if element.partition(".")[0] in LINEAR_CLASSES:
        admittance, _ = engine.admittance()
    return _Terminal(
        element, nodes, admittance, slice((number - 1) * conductors, number * conductors), phases
    )


def _read_capacitor(
    engine: Engine, name: str, node_names: Sequence[str], bank: SwitchedCapacitor, changing: set[str]
) -> CapacitorControl:
    controls, dss = engine.dss.CapControls, engine.dss
    kind = _kind(engine, name, bank)
    override = bool(controls.UseVoltOverride()) and kind != VOLTAGE
    terminal = _read_terminal(engine)
    if kind != VOLTAGE and (terminal.element in changing or not len(terminal.admittance)):
        raise NotReproducedError(f"the current of {terminal.element} is not a fixed matrix times voltages")
    dss.Capacitors.Name(bank.name)
    phases, rated_kvar = int(dss.CktElement.NumPhases()), float(dss.Capacitors.kvar())
    across: tuple[tuple[int, int], ...] = ()
    voltage_choice = 0
    if override or kind == VOLTAGE:
        bus = ask(engine, "capcontrol", name, "vbus") if override else ""
        nodes = [i for i, node in enumerate(node_names) if node.rsplit(".", 1)[0] == bus][:phases]
        local = [int(node) for node in terminal.nodes[terminal.rows]]
        across, voltage_choice = _sensed_pairs(
            engine, name, nodes if bus else local, phases, terminal.phases
        )
    current, current_choice = eligible_phases(ask(engine, "capcontrol", name, "ctphase"), phases)
    # A single current is always taken at terminal 1, whatever terminal is monitored.
    rows = [i + (terminal.rows.start if current_choice else 0) for i in current]
    powers = terminal.rows if kind in {KVAR, POWER_FACTOR} else slice(0, 0)
    on, off = _settings(engine, kind)
    return CapacitorControl(
        name=name,
        capacitor=bank,
        kind=kind,
        on=on,
        off=off,
        across=across,
        voltage_choice=voltage_choice,
        current_choice=current_choice,
        nodes=terminal.nodes,
        current_rows=terminal.admittance[rows if kind == CURRENT else []],
        power_nodes=terminal.nodes[powers],
        power_rows=terminal.admittance[powers],
        pt_ratio=float(controls.PTRatio()),
        ct_ratio=float(controls.CTRatio()),
        override=override,
        lowest_volts=float(controls.Vmin()),
        highest_volts=float(controls.Vmax()),
        least_kvar=rated_kvar * float(ask(engine, "capcontrol", name, "pctminkvar")) / 100.0,
        step_kvar=rated_kvar,
        on_delay_s=float(controls.Delay()),
        off_delay_s=float(controls.DelayOff()),
        dead_time_s=float(controls.DeadTime()),
    )


def _kind(engine: Engine, name: str, bank: SwitchedCapacitor) -> str:
    """Quantity that decides, if the bank and its control are of the reproduced sort."""
    mode = int(engine.dss.CapControls.Mode())
    if mode not in KIND_OF_MODE:
        kind = ask(engine, "capcontrol", name, "type")
        raise NotReproducedError(f"type {kind} does not look at the network alone")
    engine.dss.Capacitors.Name(bank.name)
    steps = int(engine.dss.Capacitors.NumSteps())
    if steps != 1:
        raise NotReproducedError(f"capacitor {bank.name} has {steps} steps")
    return KIND_OF_MODE[mode]


def _settings(engine: Engine, kind: str) -> tuple[float, float]:
    """ON and OFF settings; a power factor below 0 leads and counts from 2 down."""
    on, off = float(engine.dss.CapControls.ONSetting()), float(engine.dss.CapControls.OFFSetting())
    if kind != POWER_FACTOR:
        return on, off
    # Outside -1..1 they were never given, and the engine keeps its own.
    counted = [value if value >= 0.0 else 2.0 + value for value in (on, off)]
    return (counted[0] if abs(on) <= 1.0 else 0.95), (counted[1] if abs(off) <= 1.0 else 1.05)


def _sensed_pairs(
    engine: Engine, name: str, nodes: Sequence[int], phases: int, monitored_phases: int
) -> tuple[tuple[tuple[int, int], ...], int]:
    """Pairs of nodes whose voltage is sensed, and the choice among them.

    One fixed phase of a delta bank is sensed against the next phase, everything else against ground.
    """
    setting = ask(engine, "capcontrol", name, "ptphase")
    eligible, choice = eligible_phases(setting, monitored_phases if setting in CHOICES else phases)
    delta = bool(engine.dss.Capacitors.IsDelta()) and choice == 0
    ends = [(phase + 1) % phases for phase in eligible] if delta else []
    if max((*eligible, *ends)) >= len(nodes):
        raise NotReproducedError("it senses a phase that its bus does not have")
    if delta:
        return tuple((nodes[i], nodes[j]) for i, j in zip(eligible, ends, strict=True)), choice
    return tuple((nodes[i], GROUND) for i in eligible), choice
