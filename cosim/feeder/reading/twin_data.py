"""From the engine to the twin's data: everything the engine holds, read once."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import numpy as np
import scipy.sparse as sp

from cosim.errors import FeederError
from cosim.feeder.branch import SQRT3, Watched
from cosim.feeder.devices import device_controls
from cosim.feeder.engine import Engine
from cosim.model.arrays import ComplexArray, FloatArray, IntArray
from cosim.twin.data import Ampacity, Legs, Source, TwinData, Watch
from cosim.twin.load_model import INVERTER, LoadModel, LoadModels

CARRIERS = ("load", "storage", "pvsystem", "generator")
"""Kinds of elements whose legs carry a power; the twin keeps no other part of their admittance."""

LegAdmittances = tuple[list[int], list[int], list[complex]]
"""Row, column and siemens of what legs have put into the admittance matrix."""


class _LegRows:
    """Legs being collected."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, int, float, int, float, int]] = []

    def add(
        self, legs: Sequence[tuple[int, int]], ground: int, base_v: float, owner: int, law: int
    ) -> None:
        for a, b in legs:
            ends = (a if a >= 0 else ground, b if b >= 0 else ground)
            self.rows.append((*ends, base_v, owner, 1.0 / len(legs), law))

    def done(self) -> Legs:
        a, b, base, owner, share, law = zip(*self.rows, strict=True) if self.rows else ((),) * 6
        whole = [np.array(column, dtype=np.int64) for column in (a, b, owner, law)]
        return Legs(
            whole[0],
            whole[1],
            np.array(base, dtype=np.float64),
            whole[2],
            np.array(share, dtype=np.float64),
            whole[3],
        )


def read_twin_data(
    engine: Engine,
    watched: Sequence[Watched],
    *,
    loads: Sequence[str],
    devices: Sequence[str],
    moved: Collection[str],
) -> TwinData:
    """Read the circuit the engine holds.

    Args:
        engine: with devices added and a solved power flow.
        watched: the voltages that have limits.
        loads: names in the site's order.
        devices: ``class.name``, in the site's order.
        moved: transformers whose taps move.

    Raises:
        FeederError: an element the twin has no law for; it is named.
    """
    names = engine.node_names()
    ground = len(names)
    owners = {f"load.{name}": i for i, name in enumerate(loads)}
    owners |= {name: i for i, name in enumerate(devices)}
    load_rows, device_rows, standing = _LegRows(), _LegRows(), list[complex]()
    laws: dict[LoadModel, int] = {INVERTER: 0}
    of_legs: LegAdmittances = ([], [], [])
    for element in _carriers(engine):
        legs = _take_legs(engine, element, of_legs)
        kind = element.partition(".")[0]
        if element in owners and kind != "load":
            device_rows.add(legs, ground, 1.0, owners[element], 0)
            continue
        if kind == "load":
            base_v, law = _read_load(engine, element)
            owner = owners[element]
        else:
            power, base_v, law = _read_generator(engine, element)
            owner = len(loads) + len(standing)
            standing.append(-power)
        load_rows.add(legs, ground, base_v, owner, laws.setdefault(law, len(laws)))
    return TwinData(
        node_names=names,
        base_v=_node_base_v(engine),
        voltage=engine.voltages().copy(),
        admittance=_admittance_without(engine, of_legs),
        source=_read_source(engine),
        loads=load_rows.done(),
        standing_kva=np.array(standing, dtype=np.complex128),
        devices=_in_order_of_owner(device_rows.done()),
        laws=LoadModels.of(list(laws)),
        watch=Watch(
            tuple(w.name for w in watched),
            np.array([w.a for w in watched], dtype=np.int64),
            np.array([w.b if w.b >= 0 else ground for w in watched], dtype=np.int64),
            np.array([w.base_kv * 1e3 for w in watched]),
        ),
        ampacity=_read_ampacity(engine, ground, moved),
    )


def _admittance_without(engine: Engine, of_legs: LegAdmittances) -> sp.csc_matrix:
    """Admittance matrix of the engine without what loads and devices have put into it, siemens."""
    whole = sp.csc_matrix(engine.dss.YMatrix.getYsparse(False))
    row, column, value = of_legs
    rest = sp.csc_matrix(whole - sp.csc_matrix((value, (row, column)), shape=whole.shape))
    rest.eliminate_zeros()
    return rest


def _carriers(engine: Engine) -> Iterator[str]:
    """Enabled power-conversion elements in turn, each active in the engine.

    Raises:
        FeederError: one of a kind the twin does not know.
    """
    circuit, element = engine.dss.Circuit, engine.dss.CktElement
    # Current sources are in no list of power-conversion elements.
    sources = [name.lower() for name in circuit.AllElementNames() if name.lower().startswith("isource.")]
    strange = [name for name in sources if circuit.SetActiveElement(name) >= 0 and element.Enabled()]
    index = circuit.FirstPCElement()
    while index:
        name = element.Name().lower()
        kind = name.partition(".")[0]
        if kind in CARRIERS:
            if element.Enabled():
                yield name
        elif kind != "vsource" and element.Enabled():
            strange.append(name)
        index = circuit.NextPCElement()
    if strange:
        raise FeederError(
            f"planner tangent has no law for {', '.join(strange[:5])}; disable "
            f"{'it' if len(strange) == 1 else 'them'} or use planner lindistflow"
        )


def _take_legs(engine: Engine, element: str, of_legs: LegAdmittances) -> list[tuple[int, int]]:
    """Legs of the active element; their admittance in the engine's matrix is noted in ``of_legs``.

    What remains in the matrix is what belongs to the network, such as the grounding of a neutral.
    """
    circuit_element = engine.dss.CktElement
    primitive, nodes = engine.admittance()
    phases = int(circuit_element.NumPhases())
    kind, _, _ = element.partition(".")
    delta = _is_delta(engine, kind, element)
    conductors = len(nodes)
    legs: list[tuple[int, int]] = []
    for i in range(phases):
        j = (i + 1) % conductors if delta else conductors - 1
        a, b = int(nodes[i]), int(nodes[j])
        if not delta and conductors == phases:
            b = -1
        legs.append((a, b))
        y = complex(primitive[i, i] if b < 0 and not delta else -primitive[i, j])
        for row, column, sign in ((a, a, 1), (b, b, 1), (a, b, -1), (b, a, -1)):
            if row >= 0 and column >= 0:
                of_legs[0].append(row)
                of_legs[1].append(column)
                of_legs[2].append(sign * y)
    return legs


def _is_delta(engine: Engine, kind: str, element: str) -> bool:
    if kind == "load":
        engine.dss.Loads.Name(element.partition(".")[2])
        return bool(engine.dss.Loads.IsDelta())
    answer = engine.command(f"? {element}.conn").lower()
    engine.dss.Circuit.SetActiveElement(element)
    return answer.startswith(("delta", "d", "l"))


def _read_load(engine: Engine, element: str) -> tuple[float, LoadModel]:
    loads = engine.dss.Loads
    name = element.partition(".")[2]
    loads.Name(name)
    kv = float(loads.kV())
    line_to_line = bool(loads.IsDelta()) or int(loads.Phases()) == 1
    law = LoadModel(
        model=int(loads.Model()),
        v_low=float(engine.command(f"? {element}.vlowpu")),
        v_min=float(loads.Vminpu()),
        v_max=float(loads.Vmaxpu()),
        exponents=(float(loads.CVRwatts()), float(loads.CVRvars())) if loads.Model() == 4 else (1.0, 2.0),
        zipv=tuple(float(x) for x in loads.ZipV()) if loads.Model() == 8 else LoadModel.zipv,
    )
    return 1e3 * (kv if line_to_line else kv / SQRT3), law


def _read_generator(engine: Engine, element: str) -> tuple[complex, float, LoadModel]:
    """Power in kVA, base in volt and law of a generator, battery or PV system nobody commands.

    Raises:
        FeederError: it does more than hold a power.
    """
    number = {key: float(engine.command(f"? {element}.{key}")) for key in ("model", "kv", "phases")}
    if number["model"] != 1:
        raise FeederError(
            f"planner tangent has no law for {element} (model {number['model']:g}): what nobody commands "
            "must have constant power, model 1; disable it, or let the scenario control it "
            "(feeder.discover)"
        )
    controls = [] if element.startswith("generator.") else device_controls(engine)
    if controls:
        raise FeederError(
            f"planner tangent has no law for {element}, whose power {', '.join(controls[:3])} may change; "
            "disable the control, or let the scenario control the device (feeder.discover)"
        )
    engine.dss.Circuit.SetActiveElement(element)
    flat = np.asarray(engine.dss.CktElement.Powers(), dtype=np.float64)
    power = -complex(flat[0::2].sum(), flat[1::2].sum())
    low, high = (float(engine.command(f"? {element}.{key}")) for key in ("vminpu", "vmaxpu"))
    line_to_line = number["phases"] == 1
    return (
        power,
        1e3 * (number["kv"] if line_to_line else number["kv"] / SQRT3),
        LoadModel(1, 0.0, low, high),
    )


def _in_order_of_owner(legs: Legs) -> Legs:
    order = np.argsort(legs.owner, kind="stable")
    return Legs(
        legs.a[order],
        legs.b[order],
        legs.base_v[order],
        legs.owner[order],
        legs.share[order],
        legs.law[order],
    )


def _node_base_v(engine: Engine) -> FloatArray:
    base = 1e3 * engine.node_base_kv()
    # Where the model gives no base the present voltage serves; it only scales a tolerance.
    return np.asarray(np.where(base > 0, base, np.maximum(np.abs(engine.voltages()), 1.0)))


def _read_source(engine: Engine) -> Source:
    """The one voltage source.

    Raises:
        FeederError: there is more than one.
    """
    sources, dss = engine.dss.Vsources, engine.dss
    enabled = []
    index = sources.First()
    while index:
        dss.Circuit.SetActiveElement(f"vsource.{sources.Name()}")
        if dss.CktElement.Enabled():
            enabled.append(sources.Name())
        index = sources.Next()
    if len(enabled) != 1:
        raise FeederError(f"the feeder has {len(enabled)} voltage sources; the twin takes exactly one")
    dss.Circuit.SetActiveElement(f"vsource.{enabled[0]}")
    admittance, nodes = engine.admittance()
    live = np.flatnonzero(nodes >= 0)
    at = nodes[live]
    own = admittance[np.ix_(live, live)]
    flat = np.asarray(dss.CktElement.Currents(), dtype=np.float64)
    into = (flat[0::2] + 1j * flat[1::2])[live]
    # What flows into the element is Y v less the Norton current.
    return Source(at, own, np.asarray(own @ engine.voltages()[at] - into))


def _read_ampacity(engine: Engine, size: int, moved: Collection[str]) -> Ampacity:
    """Conductors of lines and of the first winding of transformers that have a rated current.

    Transformers whose taps move are left out: their admittance, and so the row, changes with the tap.
    """
    dss = engine.dss
    regulated = {f"transformer.{name}" for name in moved}
    names: list[str] = []
    entries: tuple[list[int], list[int], list[complex]] = ([], [], [])
    amps: list[float] = []
    line: list[int] = []
    index = dss.Circuit.FirstPDElement()
    while index:
        element = dss.CktElement
        name = element.Name().lower()
        kind = name.partition(".")[0]
        rated = float(element.NormalAmps())
        rates = kind in {"line", "transformer"} and name not in regulated
        if rates and element.Enabled() and rated > 0:
            admittance, nodes = engine.admittance()
            for i in range(int(element.NumPhases())):
                _add_conductor(entries, len(names), admittance[i], nodes)
                names.append(f"{name}.{i + 1}")
                amps.append(rated)
                line.append(int(kind == "line"))
        index = dss.Circuit.NextPDElement()
    row, column, value = entries
    matrix = sp.csr_matrix((value, (row, column)), shape=(len(names), size), dtype=np.complex128)
    return Ampacity(tuple(names), matrix, np.array(amps), np.array(line, dtype=np.int64))


def _add_conductor(
    entries: tuple[list[int], list[int], list[complex]], row: int, values: ComplexArray, nodes: IntArray
) -> None:
    for node, value in zip(nodes, values, strict=True):
        if node >= 0 and value != 0:
            entries[0].append(row)
            entries[1].append(int(node))
            entries[2].append(complex(value))
