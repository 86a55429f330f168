"""Reading the settings of regulator controls out of the engine.

What the laws cannot reproduce is said by name and reason instead of being guessed at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from cosim.feeder.engine import Engine
from cosim.feeder.reading.control_properties import NotReproducedError, ask, each_enabled, eligible_phases
from cosim.twin.control_settings import GROUND, MovedWinding, RegulatorControl, ReverseMode


def read_windings(engine: Engine, moved: Mapping[str, int]) -> tuple[MovedWinding, ...]:
    """Transformers whose taps move, each with its winding, in the order of their names."""
    found = []
    transformers = engine.dss.Transformers
    known = {name.lower() for name in transformers.AllNames()}
    for name, winding in sorted(moved.items()):
        nodes, admittance = np.zeros(0, dtype=np.int64), np.zeros((0, 0), dtype=complex)
        rows: tuple[int, ...] = ()
        tap = 1.0
        if name in known:
            transformers.Name(name)
            transformers.Wdg(winding)
            tap = float(transformers.Tap())
            engine.dss.Circuit.SetActiveElement(f"transformer.{name}")
            if engine.dss.CktElement.Enabled():
                admittance, nodes = engine.admittance()
                conductors = int(engine.dss.CktElement.NumConductors())
                rows = tuple(range((winding - 1) * conductors, winding * conductors))
        found.append(MovedWinding(name, nodes, admittance, rows, tap))
    return tuple(found)


def read_regulators(
    engine: Engine, windings: Sequence[MovedWinding]
) -> tuple[list[RegulatorControl], dict[str, str]]:
    """Settings of the regulator controls the laws reproduce, and reasons for those they do not."""
    by_name = {winding.transformer: winding for winding in windings}
    controls = engine.dss.RegControls
    uses = Counter(str(controls.Transformer()).lower() for _ in each_enabled(controls))
    found, left = [], {}
    for name in [str(controls.Name()).lower() for _ in each_enabled(controls)]:
        controls.Name(name)
        transformer = str(controls.Transformer()).lower()
        if uses[transformer] > 1:
            left[f"regcontrol.{name}"] = f"{uses[transformer]} controls move transformer {transformer}"
            continue
        try:
            found.append(_read_regulator(engine, name, by_name[transformer]))
        except NotReproducedError as reason:
            left[f"regcontrol.{name}"] = str(reason)
    return found, left


def _read_regulator(engine: Engine, name: str, winding: MovedWinding) -> RegulatorControl:
    controls, transformers = engine.dss.RegControls, engine.dss.Transformers
    if not winding.rows:
        raise NotReproducedError(f"{winding.transformer} is no enabled transformer")
    if ask(engine, "regcontrol", name, "cogen") in {"yes", "true"}:
        raise NotReproducedError("its co-generation mode is not reproduced")
    sensed, moved = int(controls.Winding()), int(controls.TapWinding())
    remote = bool(controls.MonitoredBus())
    pairs, conductors = _winding_pairs(engine, winding, sensed)
    eligible, choice = eligible_phases(ask(engine, "regcontrol", name, "ptphase"), len(pairs))
    pt_ratio = float(controls.PTRatio())
    magnitude = float(ask(engine, "regcontrol", name, "ldc_z"))
    drop = complex(controls.ForwardR(), controls.ForwardX())
    compensated = not remote and (drop != 0.0 or magnitude > 0.0)
    base_volts = _rated_volts(engine, winding.transformer, sensed)
    across = _remote_pair(engine, name, eligible, choice) if remote else tuple(pairs[i] for i in eligible)
    transformers.Name(winding.transformer)
    transformers.Wdg(moved)
    steps = int(transformers.NumTaps())
    lowest, highest = float(transformers.MinTap()), float(transformers.MaxTap())
    if steps < 1 or not highest > lowest:
        raise NotReproducedError(f"transformer {winding.transformer} has no taps to move to")
    return RegulatorControl(
        name=name,
        winding=winding,
        across=across,
        current_rows=tuple((sensed - 1) * conductors + i for i in eligible) if compensated else (),
        choice=0 if remote else choice,
        limited_across=pairs[0] if remote else None,
        sensing_ratio=float(ask(engine, "regcontrol", name, "remoteptratio")) if remote else pt_ratio,
        vreg=float(controls.ForwardVreg()),
        band=float(controls.ForwardBand()),
        vlimit=float(controls.VoltageLimit()),
        volts_per_volt=pt_ratio,
        base_volts=base_volts,
        ct_amps=float(controls.CTPrimary()),
        drop=drop,
        drop_magnitude=magnitude,
        delay_s=float(controls.Delay()),
        inverse_time=bool(controls.IsInverseTime()),
        most_taps=int(controls.MaxTapChange()),
        increment=(highest - lowest) / steps,
        lowest=lowest,
        highest=highest,
        sign=1 if sensed == moved else -1,
        reverse=_reverse_mode(engine, name, tuple(range((sensed - 1) * conductors, sensed * conductors))),
    )


def _reverse_mode(engine: Engine, name: str, rows: tuple[int, ...]) -> ReverseMode | None:
    """What the active control does with reversed power; a remote bus or no taps keep it from caring."""
    controls = engine.dss.RegControls
    if not controls.IsReversible() or controls.MonitoredBus() or not controls.MaxTapChange():
        return None
    return ReverseMode(
        power_rows=rows,
        threshold_w=1000.0 * float(ask(engine, "regcontrol", name, "revthreshold")),
        delay_s=float(ask(engine, "regcontrol", name, "revdelay")),
        vreg=float(controls.ReverseVreg()),
        band=float(controls.ReverseBand()),
        drop=complex(controls.ReverseR(), controls.ReverseX()),
        drop_magnitude=float(ask(engine, "regcontrol", name, "rev_z")),
        to_neutral=ask(engine, "regcontrol", name, "revneutral") in {"yes", "true"},
        neutral_delay_s=float(controls.TapDelay()),
    )


def look_backwards(
    engine: Engine, windings: Sequence[MovedWinding], regulators: Sequence[RegulatorControl]
) -> tuple[bool, ...]:
    """Which windings have a reversible control that power now flows through backwards."""
    backwards = dict.fromkeys((winding.transformer for winding in windings), False)
    for control in regulators:
        if control.reverse is not None:
            engine.dss.Circuit.SetActiveElement(f"transformer.{control.winding.transformer}")
            powers_kw = np.asarray(engine.dss.CktElement.Powers())[0::2]
            into_w = 1000.0 * float(powers_kw[list(control.reverse.power_rows)].sum())
            backwards[control.winding.transformer] = into_w > control.reverse.threshold_w
    return tuple(backwards.values())


def _winding_pairs(engine: Engine, winding: MovedWinding, number: int) -> tuple[list[tuple[int, int]], int]:
    """Node pairs between which each phase of a winding lies, and the conductors of a winding."""
    dss = engine.dss
    dss.Circuit.SetActiveElement(f"transformer.{winding.transformer}")
    phases, conductors = int(dss.CktElement.NumPhases()), int(dss.CktElement.NumConductors())
    nodes = winding.nodes[(number - 1) * conductors : number * conductors]
    if not _is_delta(engine, winding.transformer, number):
        return [(int(nodes[i]), int(nodes[phases])) for i in range(phases)], conductors
    step = _delta_direction(engine, winding.transformer)
    return [(int(nodes[i]), int(nodes[_next_phase(i, step, phases)])) for i in range(phases)], conductors


def _next_phase(phase: int, step: int, phases: int) -> int:
    """Other end of a delta leg; a two-phase delta is an open one with a third conductor."""
    return (phase + step) % (3 if phases == 2 else max(phases, 2))


def _is_delta(engine: Engine, transformer: str, number: int) -> bool:
    engine.dss.Transformers.Name(transformer)
    engine.dss.Transformers.Wdg(number)
    return bool(engine.dss.Transformers.IsDelta())


def _delta_direction(engine: Engine, transformer: str) -> int:
    """+1 if a delta leg goes to the following phase, -1 if to the one before."""
    first, second = _is_delta(engine, transformer, 1), _is_delta(engine, transformer, 2)
    if first == second:
        return 1
    first_is_high = _rated_kv(engine, transformer, 1) >= _rated_kv(engine, transformer, 2)
    high_is_delta = first if first_is_high else second
    leads = ask(engine, "transformer", transformer, "leadlag") in {"lead", "euro"}
    return 1 if leads == high_is_delta else -1


def _rated_kv(engine: Engine, transformer: str, number: int) -> float:
    engine.dss.Transformers.Name(transformer)
    engine.dss.Transformers.Wdg(number)
    return float(engine.dss.Transformers.kV())


def _rated_volts(engine: Engine, transformer: str, number: int) -> float:
    """Rated volts across one phase of a winding."""
    engine.dss.Circuit.SetActiveElement(f"transformer.{transformer}")
    phases = int(engine.dss.CktElement.NumPhases())
    star = not _is_delta(engine, transformer, number) and phases in {2, 3}
    return _rated_kv(engine, transformer, number) * 1000.0 / (np.sqrt(3.0) if star else 1.0)


def _remote_pair(
    engine: Engine, name: str, eligible: Sequence[int], choice: int
) -> tuple[tuple[int, int], ...]:
    """The pair of nodes sensed at a bus away from the transformer."""
    if choice == 0 and tuple(eligible) != (0,):
        raise NotReproducedError("the sensed phase of a remote bus must be the first")
    controls = engine.dss.RegControls
    delta = _is_delta(engine, str(controls.Transformer()).lower(), int(controls.Winding()))
    if delta and _delta_direction(engine, str(controls.Transformer()).lower()) < 0:
        raise NotReproducedError("a delta winding that lags senses no remote bus")
    engine.dss.Circuit.SetActiveElement(f"regcontrol.{name}")
    nodes = [int(node) - 1 for node in engine.dss.CktElement.NodeRef()]
    if not nodes or (delta and len(nodes) < 2):
        raise NotReproducedError(f"the remote bus {controls.MonitoredBus()} has too few nodes")
    return ((nodes[0], nodes[1] if delta else GROUND),)
