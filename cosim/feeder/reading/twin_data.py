"""From the engine to the twin's data: everything the engine holds, read once."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import scipy.sparse as sp
from scipy.linalg import block_diag
from scipy.sparse.csgraph import connected_components

from cosim.feeder.branch import SQRT3, Watched
from cosim.feeder.engine import Engine
from cosim.feeder.reading.legs import LegAdmittances, LegRows, carriers, take_legs
from cosim.feeder.reading.standing import read_standing
from cosim.model.arrays import BoolArray, ComplexArray, FloatArray, IntArray
from cosim.twin.data import Ampacity, Source, TwinData, Watch
from cosim.twin.load_model import INVERTER, LoadModel, LoadModels

COUPLES = 1e-9
"""Two nodes are coupled by an admittance above this part of the smaller of their own (an open switch is
not)."""


def read_twin_data(
    engine: Engine,
    watched: Sequence[Watched],
    *,
    loads: Sequence[str],
    devices: Sequence[str],
    moved: Collection[str],
    constant_power: Collection[str] = (),
) -> TwinData:
    """Read the circuit the engine holds.

    Args:
        engine: with devices added and a solved power flow.
        watched: the voltages that have limits.
        loads: names in the site's order.
        devices: ``class.name``, in the site's order.
        moved: transformers whose taps move.
        constant_power: elements that count as ones of constant power, whatever they are.

    Raises:
        FeederError: an element the twin has no law for; it is named.
    """
    names = engine.node_names()
    ground = len(names)
    owners = {f"load.{name}": i for i, name in enumerate(loads)}
    owners |= {name: i for i, name in enumerate(devices)}
    floating = frozenset(end for w in watched if w.between_phases for end in (w.a, w.b))
    load_rows, device_rows = LegRows(ground, floating), LegRows(ground, floating)
    standing: dict[str, complex] = {}
    laws: dict[LoadModel, int] = {INVERTER: 0}
    of_legs = LegAdmittances()
    for element in carriers(engine, constant_power):
        legs = take_legs(engine, element)
        for leg in legs:
            of_legs.add(leg)
        kind = element.partition(".")[0]
        if element in owners and kind != "load":
            device_rows.add(legs, 1.0, owners[element], 0)
            continue
        if kind == "load":
            base_v, law = _read_load(engine, element)
            owner = owners[element]
        else:
            kva, base_v, law = read_standing(engine, element, legs, constant_power)
            owner = len(loads) + len(standing)
            standing[element] = kva
        load_rows.add(legs, base_v, owner, laws.setdefault(law, len(laws)))
    sources = _read_sources(engine)
    admittance, live = _supplied(_admittance_without(engine, of_legs), sources)
    return TwinData(
        node_names=names,
        base_v=_node_base_v(engine),
        voltage=engine.voltages().copy(),
        admittance=admittance,
        source=sources,
        loads=load_rows.done(live),
        standing_kva=np.array([list(standing.values())], dtype=np.complex128),
        standing=tuple(standing),
        slot_s=1.0,
        devices=device_rows.done(live),
        laws=LoadModels.of(list(laws)),
        watch=_watch(watched, ground),
        ampacity=_read_ampacity(engine, ground, moved),
    )


def _watch(watched: Sequence[Watched], ground: int) -> Watch:
    """The voltages that have limits, with the number of nodes for ground."""
    return Watch(
        tuple(w.name for w in watched),
        np.array([w.a for w in watched], dtype=np.int64),
        np.array([w.b if w.b >= 0 else ground for w in watched], dtype=np.int64),
        np.array([w.base_kv * 1e3 for w in watched]),
    )


def _admittance_without(engine: Engine, of_legs: LegAdmittances) -> sp.csc_matrix:
    """Admittance matrix of the engine without what loads and devices have put into it, siemens."""
    whole = sp.csc_matrix(engine.dss.YMatrix.getYsparse(False))
    legs = sp.csc_matrix((of_legs.siemens, (of_legs.row, of_legs.column)), shape=whole.shape)
    rest = sp.csc_matrix(whole - legs)
    rest.eliminate_zeros()
    return rest


def _supplied(admittance: sp.csc_matrix, sources: Source) -> tuple[sp.csc_matrix, BoolArray]:
    """The network with the parts that no source supplies taken out: their voltages are zero there.

    Returns:
        Siemens, shape (node, node); and which nodes are supplied, ground last, shape (node + 1,).
    """
    size = admittance.shape[0]
    entries = admittance.tocoo()
    own = np.abs(admittance.diagonal())
    coupled = np.abs(entries.data) > COUPLES * np.minimum(own[entries.row], own[entries.col])
    graph = sp.csr_matrix((coupled, (entries.row, entries.col)), shape=(size, size))
    _, part = connected_components(graph, directed=False)
    live = np.append(np.isin(part, part[sources.nodes]), True)
    if live.all():
        return admittance, live
    keep = sp.diags_array(live[:-1].astype(float))
    grounded = sp.diags_array(1.0 - live[:-1])
    return sp.csc_matrix(keep @ admittance @ keep + grounded), live


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


def _node_base_v(engine: Engine) -> FloatArray:
    base = 1e3 * engine.node_base_kv()
    # Where the model gives no base the present voltage serves; it only scales a tolerance.
    return np.asarray(np.where(base > 0, base, np.maximum(np.abs(engine.voltages()), 1.0)))


def _read_sources(engine: Engine) -> Source:
    """The voltage sources; the first one is the main one."""
    at, own, norton = list[IntArray](), list[ComplexArray](), list[ComplexArray]()
    for name in engine.source_pu():
        engine.dss.Circuit.SetActiveElement(f"vsource.{name}")
        admittance, nodes = engine.admittance()
        live = np.flatnonzero(nodes >= 0)
        at.append(nodes[live])
        own.append(admittance[np.ix_(live, live)])
        flat = np.asarray(engine.dss.CktElement.Currents(), dtype=np.float64)
        into = (flat[0::2] + 1j * flat[1::2])[live]
        # What flows into the element is Y v less the Norton current.
        norton.append(own[-1] @ engine.voltages()[at[-1]] - into)
    apart = np.asarray(block_diag(*own), dtype=np.complex128)
    return Source(np.concatenate(at), apart, np.concatenate(norton), len(at[0]))


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
