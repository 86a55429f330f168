"""What is in a feeder, what looks wrong in it, and which planner would take it."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from rich.markup import escape
from rich.table import Table

from cosim.devices.registry import device_kinds
from cosim.errors import CosimError, FeederError
from cosim.feeder.branch import watched_voltages
from cosim.feeder.compiled import FeederModel
from cosim.feeder.devices import device_controls
from cosim.feeder.script.reader import read_script
from cosim.feeder.supply import unsupplied
from cosim.feeder.suspicious import suspicious
from cosim.run.accepted import Verdict, asked_about, verdicts
from cosim.run.area_rows import area_rows
from cosim.run.assembly import Assembly
from cosim.run.command_rows import command_rows
from cosim.run.heard import heard
from cosim.run.shipped import find_master
from cosim.run.study import Study, open_study

log = logging.getLogger(__name__)

Level = Literal["fact", "warning", "failed"]
COLOUR: dict[Level, str] = {"fact": "", "warning": "yellow", "failed": "red"}
MOST_BUSES, NAMED = 8, 6


@dataclass(frozen=True)
class Fact:
    """One row: what it is about, what there is, and how bad that is."""

    title: str
    text: str
    level: Level = "fact"


@dataclass
class Inspection:
    """All that can be said of a feeder.

    Attributes:
        master: the file.
        facts: rows in the order in which they are shown.
        planners: which planner would take it, and why not.
    """

    master: Path
    facts: list[Fact] = field(default_factory=list)
    planners: list[Verdict] = field(default_factory=list)

    @property
    def solved(self) -> bool:
        """Whether the feeder could be compiled and solved."""
        return not any(fact.level == "failed" and fact.title == SOLVED for fact in self.facts)

    @property
    def discovered(self) -> bool:
        """Whether the devices of the master can be controlled."""
        return not any(fact.title == NOT_CONTROLLED for fact in self.facts)

    def add(self, facts: Iterable[Fact]) -> None:
        """Add rows until there are no more, or one cannot be found out."""
        try:
            for fact in facts:
                self.facts.append(fact)
        except Exception as error:
            log.debug("a row could not be read", exc_info=True)
            text = str(error) if isinstance(error, CosimError) else f"{type(error).__name__}: {error}"
            self.facts.append(Fact("could not be read", text, "failed"))

    def table(self) -> Table:
        """For a terminal."""
        table = Table(title=escape(str(self.master)), show_header=False, title_justify="left")
        for fact in [*self.facts, *(_row(verdict) for verdict in self.planners)]:
            table.add_row(fact.title, escape(fact.text), style=COLOUR[fact.level])
        return table

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "master": str(self.master),
            "solved": self.solved,
            "facts": [asdict(fact) for fact in self.facts],
            "planners": [asdict(verdict) for verdict in self.planners],
        }


SOLVED, NOT_CONTROLLED = "compiled and solved", "devices of the master"


def inspect_feeder(
    name_or_master: Path, *, trusted: bool = False, ask_planners: bool = True, areas: int | None = None
) -> Inspection:
    """Look at a feeder; what cannot be read is a row with the reason.

    Args:
        name_or_master: a shipped feeder, or an OpenDSS file.
        trusted: the master may name native code, which the engine executes.
        ask_planners: also find out which planners would take it.
        areas: also show how it would be cut into this number of areas.
    """
    master = find_master(name_or_master)
    found = Inspection(master)
    found.add(_asked_for(master, trusted=trusted))
    with heard() as warnings:
        model = _compiled(master, found, trusted=trusted)
    found.add(Fact("said while compiling", text, "warning") for text in warnings if "letter" not in text)
    if model is None:
        return found
    try:
        for section in SECTIONS:
            found.add(section(model))
        asked, devices = asked_about(model, discover=found.discovered, trusted=trusted), model.found
    finally:
        model.close()
    if areas is not None:
        with heard():
            found.add(Fact(*row) for row in area_rows(master, devices, areas))
    if ask_planners:
        with heard():
            found.planners = verdicts(asked)
    return found


def inspect_scenario(
    file: Path, *, trusted: bool = False, ask_planners: bool = True, areas: int | None = None
) -> Inspection:
    """Look at the feeder of a scenario, its devices, and which of several controllers commands which.

    Args:
        file: the scenario.
        trusted, ask_planners, areas: see :func:`inspect_feeder`.

    Raises:
        ScenarioError: the scenario cannot be read.
    """
    study = replace(open_study(file), trusted=trusted)
    found = inspect_feeder(study.master, trusted=trusted, ask_planners=ask_planners, areas=areas)
    if found.solved:
        with heard():
            found.add(_of_scenario(study))
    return found


def _row(verdict: Verdict) -> Fact:
    text = (
        f"yes{', ' + verdict.detail if verdict.detail else ''}"
        if verdict.accepts
        else f"no: {verdict.detail}"
    )
    return Fact(f"planner {verdict.planner}", text, "fact" if verdict.accepts else "warning")


# --- rows -----------------------------------------------------------------------------------------


def _asked_for(master: Path, *, trusted: bool) -> Iterator[Fact]:
    """What the master would write, open or execute."""
    script = read_script(master, trusted=trusted)
    others = [path.name for path in script.files if path != master]
    yield Fact("files", f"{len(script.files)}: {_some([master.name, *others])}")
    if summary := script.summary():
        yield Fact("not followed to the letter", summary, "warning")


def _compiled(master: Path, found: Inspection, *, trusted: bool) -> FeederModel | None:
    """The feeder with its devices, or without where they cannot be controlled, or nothing."""
    reason = ""
    for discover in (True, False):
        try:
            model = FeederModel(master, discover=discover, trusted=trusted)
        except FeederError as error:
            if reason in {"", str(error)}:
                reason = str(error)
                continue
            reason = f"{reason}; without its devices: {error}"
        else:
            if reason:
                text = f"cannot be controlled: {reason}"
                found.facts.append(Fact(NOT_CONTROLLED, text, "warning"))
            return model
    found.facts.append(Fact(SOLVED, reason, "failed"))
    return None


def _size(model: FeederModel) -> Iterator[Fact]:
    yield Fact("buses, nodes", f"{len(model.buses)}, {len(model.nodes)}")
    circuit = model.circuit()
    kinds = Counter(element.name.partition(".")[0] for element in _branches(circuit.between.values()))
    yield Fact("branches", ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())) or "none")
    if circuit.joining:
        joins = [f"{name} ({', '.join(buses)})" for name, buses in circuit.joining.items()]
        yield Fact("join more than two buses", _some(joins))
    loop = circuit.loop()
    yield Fact("radial", "yes" if not loop else f"no, loop {' - '.join(loop)}")
    levels = sorted(
        {round(float(base) * np.sqrt(3.0), 3) for base in circuit.base_kv if base > 0}, reverse=True
    )
    yield Fact("voltage levels", f"{', '.join(f'{level:g}' for level in levels)} kV")


def _branches(groups: Iterable[list[Any]]) -> list[Any]:
    """Every element once, also those between more than two buses."""
    return list({element.name: element for elements in groups for element in elements}.values())


def _sources(model: FeederModel) -> Iterator[Fact]:
    sources, engine = model.circuit().sources, model.engine
    rows = []
    for source in sources:
        engine.dss.Circuit.SetActiveElement(source.name)
        kw = -sum(engine.dss.CktElement.Powers()[0::2])
        rows.append(f"{source.name} at bus {source.bus} ({kw:.4g} kW)")
    if len(sources) == 1:
        yield Fact("source", rows[0])
    else:
        yield Fact("sources", f"{', '.join(rows)}; the import is that of the first", "warning")


def _voltages(model: FeederModel) -> Iterator[Fact]:
    circuit = model.circuit()
    watched = watched_voltages(circuit)
    if not watched:
        yield Fact("watched voltages", "none: no node has a voltage and a voltage base", "failed")
        return
    volts = np.append(circuit.voltage, 0.0)
    per_unit = np.array([abs(volts[w.a] - volts[w.b]) / (w.base_kv * 1e3) for w in watched])
    low, high = int(np.argmin(per_unit)), int(np.argmax(per_unit))
    pairs, neutral = sum(w.between_phases for w in watched), sum(w.to_neutral for w in watched)
    parts = [
        f"{len(watched) - pairs - neutral} phase to ground",
        *([f"{neutral} phase to neutral"] if neutral else []),
        f"{pairs} phase to phase (three-wire sections)",
    ]
    yield Fact("watched voltages", ", ".join(parts))
    ends = [f"{per_unit[i]:.4f} pu at {watched[i].name}" for i in (low, high)]
    yield Fact("voltage at nominal load", " .. ".join(ends))


def _loads(model: FeederModel) -> Iterator[Fact]:
    loads = model.loads
    if not loads.names:
        yield Fact("loads", "none", "warning")
        return
    total = f"{loads.kw.sum():.0f} kW + {loads.kvar.sum():.0f} kvar"
    with_shape = sum(map(bool, loads.shapes))
    yield Fact("loads", f"{len(loads.names)}, {total}, {with_shape} with a shape")
    yield Fact("where DER could go", _largest_loads(model))


def _devices(model: FeederModel) -> Iterator[Fact]:
    for kind in device_kinds():
        names = [item.name for item in model.found if item.kind == kind.name]
        if names:
            yield Fact(f"{kind.plural} found", _some(names))
    regulators, capacitors = model.engine.regulated_windings(), model.engine.switched_capacitors()
    if regulators:
        yield Fact("regulators", f"{len(regulators)}: {_some(list(regulators))}")
    if capacitors:
        yield Fact("switched capacitors", f"{len(capacitors)}: {_some(list(capacitors))}")
    controls = device_controls(model.engine)
    if controls:
        yield Fact("controls of devices left on", _some(controls))


def _of_scenario(study: Study) -> Iterator[Fact]:
    """What the scenario adds to the feeder."""
    with Assembly(study, ()) as assembly:
        devices = [f"{device.name} at {device.bus}" for device in assembly.site.devices]
        yield Fact("devices of the scenario", f"{len(devices)}: {_some(devices)}" if devices else "none")
        for who, own in command_rows(assembly):
            yield Fact(f"commanded by {who}", own)


def _isolated(model: FeederModel) -> Iterator[Fact]:
    dead = [node for node in model.nodes if node not in model.live_nodes]
    without = unsupplied(model.engine, dead)
    if without is not None:
        yield Fact("not reached from the source", without.sentence(), "warning")


def _strange(model: FeederModel) -> Iterator[Fact]:
    for sentence in suspicious(model):
        yield Fact("looks wrong", sentence, "warning")


SECTIONS: tuple[Callable[[FeederModel], Iterator[Fact]], ...] = (
    _size, _sources, _voltages, _loads, _devices, _isolated, _strange,
)  # fmt: skip


def _some(names: list[str]) -> str:
    more = f", {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{', '.join(names[:NAMED])}{more}"


def _largest_loads(model: FeederModel) -> str:
    at: dict[str, float] = defaultdict(float)
    for connected, kw in zip(model.loads.connected, model.loads.kw, strict=True):
        node = model.nodes[connected.legs[0][0]]
        # No device can be placed where nothing feeds the bus.
        if node in model.live_nodes:
            at[node.rsplit(".", 1)[0]] += float(kw)
    if not at:
        return "nowhere: no load has a voltage"
    ranked = sorted(at.items(), key=lambda item: -item[1])
    largest = ", ".join(f"{bus} ({kw:.0f} kW)" for bus, kw in ranked[:MOST_BUSES])
    return f"{len(at)} load buses, the largest: {largest}"
