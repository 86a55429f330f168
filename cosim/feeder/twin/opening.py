"""A twin, opened, held against the engine, and deliberately made worse where a study asks for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import scipy.sparse as sp

from cosim.errors import FeederError
from cosim.feeder.branch import Watched
from cosim.feeder.engine import Engine
from cosim.feeder.twin.controls import read_controls
from cosim.feeder.twin.data import TwinData
from cosim.feeder.twin.feeder_twin import FeederTwin
from cosim.feeder.twin.load_law import (
    CONSTANT_CURRENT,
    CONSTANT_IMPEDANCE,
    CONSTANT_POWER,
    LoadLaw,
    LoadLaws,
)
from cosim.feeder.twin.read import read_twin
from cosim.model.site import Site
from cosim.model.state import Measurement

VOLTAGE_TOLERANCE_PU, IMPORT_TOLERANCE = 1e-5, 1e-5
"""A twin that differs by more from the engine it was read from is refused."""

LoadModel = Literal["as_is", "constant_power", "constant_current", "constant_impedance"]
_LAWS = {
    "constant_power": CONSTANT_POWER,
    "constant_current": CONSTANT_CURRENT,
    "constant_impedance": CONSTANT_IMPEDANCE,
}


@dataclass(frozen=True)
class Mismatch:
    """What a twin is made to get wrong, for studies of how much a controller may not know.

    Attributes:
        impedance_error: standard deviation of each line's impedance, as a part of it.
        seed: of those errors.
        stale_taps: taps and capacitors are believed to be as first measured, whatever is measured later.
        frozen_controls: regulators and capacitors are not expected to react to the plan.
        load_model: how loads depend on voltage.
    """

    impedance_error: float = 0.0
    seed: int = 0
    stale_taps: bool = False
    frozen_controls: bool = False
    load_model: LoadModel = "as_is"


def open_feeder_twin(
    engine: Engine, watched: Sequence[Watched], site: Site, measurement: Measurement, mismatch: Mismatch
) -> FeederTwin:
    """Read a twin from an engine and hold it against the state the engine is in.

    Args:
        engine: holds the solved power flow that was measured.
        watched: the voltages of the site's nodes.
        site: names and ratings.
        measurement: of the engine's present state.
        mismatch: what the twin gets wrong; it comes after the comparison.

    Raises:
        FeederError: an element the twin has no law for, or a twin that differs from the engine.
    """
    data = read_twin(
        engine,
        watched,
        loads=site.loads,
        storages=[storage.name for storage in site.storages],
        pvs=[pv.name for pv in site.pvs],
    )
    controls = read_controls(engine, data.node_names)
    exact = FeederTwin(data, controls)
    _must_agree(exact, measurement)
    if mismatch == Mismatch():
        return exact
    return FeederTwin(
        _worse(data, engine, mismatch),
        controls,
        stale=mismatch.stale_taps,
        frozen=mismatch.frozen_controls,
    )


def _must_agree(twin: FeederTwin, measurement: Measurement) -> None:
    demand = measurement.demand_kw + 1j * measurement.demand_kvar
    storage = measurement.storage_kw + 1j * measurement.storage_kvar
    device = np.concatenate([storage, measurement.pv_kw + 1j * measurement.pv_kvar])
    twin.look_ahead(measurement, demand[None, :])
    flow = twin.flow(device[None, :], twin.at_rest(1), held=True)
    apart = np.abs(flow.voltage_pu[:, 0] - measurement.voltage_pu)
    worst = int(np.argmax(apart))
    measured = complex(measurement.import_kw, measurement.import_kvar)
    import_error = abs(complex(flow.import_kva[0]) - measured)
    if not flow.converged.all() or apart[worst] > VOLTAGE_TOLERANCE_PU:
        raise FeederError(
            f"the twin differs from the feeder by {apart[worst]:.2g} pu at node {twin.nodes[worst]} (limit "
            f"{VOLTAGE_TOLERANCE_PU:g}); an element behaves in a way it does not know. "
            "Use planner lindistflow, or report the feeder"
        )
    if import_error > IMPORT_TOLERANCE * max(abs(measured), 100.0):
        raise FeederError(
            f"the twin's import differs from the feeder's by {import_error:.3g} kVA of "
            f"{abs(measured):.4g} kVA; use planner lindistflow, or report the feeder"
        )


def _worse(data: TwinData, engine: Engine, mismatch: Mismatch) -> TwinData:
    if mismatch.load_model != "as_is":
        model = _LAWS[mismatch.load_model]
        # The first law is that of the devices, which are no loads.
        kept = LoadLaws.of([LoadLaw(model, *edges) for edges in data.laws.edges[1:]])
        terms = np.concatenate([data.laws.terms[:1], kept.terms])
        data = replace(data, laws=replace(data.laws, terms=terms, drop_out=0.0 * data.laws.drop_out))
    if mismatch.impedance_error:
        data = replace(data, admittance=data.admittance + _line_errors(engine, data.size, mismatch))
    return data


def _line_errors(engine: Engine, size: int, mismatch: Mismatch) -> sp.csc_matrix:
    """Change of the admittance matrix when every line's impedance is off by a random part."""
    random = np.random.default_rng(mismatch.seed)
    lines, circuit = engine.dss.Lines, engine.dss.Circuit
    row, column, value = list[int](), list[int](), list[complex]()
    index = lines.First()
    while index:
        circuit.SetActiveElement(f"line.{lines.Name()}")
        factor = max(1.0 + mismatch.impedance_error * float(random.standard_normal()), 0.2)
        primitive, nodes = engine.admittance()
        live = np.flatnonzero(nodes >= 0)
        for i in live:
            for j in live:
                row.append(int(nodes[i]))
                column.append(int(nodes[j]))
                value.append(complex(primitive[i, j] * (1.0 / factor - 1.0)))
        index = lines.Next()
    return sp.csc_matrix((value, (row, column)), shape=(size, size))
