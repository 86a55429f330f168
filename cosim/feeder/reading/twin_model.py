"""Read the model of a twin from the engine, and hold it against the state the engine is in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from cosim.devices.registry import device_kind
from cosim.errors import FeederError
from cosim.feeder.branch import Watched
from cosim.feeder.elements.element import element_of, name_in_circuit
from cosim.feeder.engine import Engine
from cosim.feeder.reading.controls import read_controls
from cosim.feeder.reading.twin_data import read_twin_data
from cosim.model.site import Site
from cosim.model.state import Measurement
from cosim.twin.model_error import ModelError, Primitives, with_error
from cosim.twin.twin_model import TwinModel

if TYPE_CHECKING:
    from cosim.twin.feeder_twin import FeederTwin

VOLTAGE_TOLERANCE_PU, IMPORT_TOLERANCE = 1e-5, 1e-5
"""A twin that differs by more from the engine it was read from is refused."""


def read_twin_model(
    engine: Engine,
    watched: Sequence[Watched],
    site: Site,
    moved: tuple[Mapping[str, int], Sequence[str]],
    measurement: Measurement,
    error: ModelError,
) -> TwinModel:
    """Read a twin's model from an engine and hold it against the state the engine is in.

    Args:
        engine: holds the solved power flow that was measured.
        watched: the voltages of the site's nodes.
        site: names and ratings.
        moved: transformers whose taps move, each with its winding, and capacitors that are switched.
        measurement: of the engine's present state.
        error: what the twin gets wrong; it comes after the comparison.

    Raises:
        FeederError: an element the twin has no model for, or a twin that differs from the engine.
    """
    data = read_twin_data(
        engine,
        watched,
        loads=site.loads,
        moved=moved[0],
        devices=[name_in_circuit(device, element_of(device_kind(device.kind))) for device in site.devices],
    )
    # The model is that of the master's source voltage, whatever it is at the reading.
    source = replace(data.source, current=data.source.current / measurement.source_ratio)
    data = replace(data, source=source)
    exact = TwinModel(data, read_controls(engine, data.node_names, *moved))
    _must_agree(exact.open(), measurement)
    if error == ModelError():
        return exact
    return TwinModel(
        with_error(data, _lines(engine), error),
        exact.controls,
        stale=error.stale_taps,
        frozen=error.frozen_controls,
    )


def _must_agree(twin: FeederTwin, measurement: Measurement) -> None:
    demand = measurement.demand_kw + 1j * measurement.demand_kvar
    device = measurement.p_kw + 1j * measurement.q_kvar
    twin.set_forecast(measurement, demand[None, :])
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


def _lines(engine: Engine) -> Primitives:
    """Primitive admittances of all lines."""
    lines, circuit = engine.dss.Lines, engine.dss.Circuit
    found: Primitives = []
    index = lines.First()
    while index:
        circuit.SetActiveElement(f"line.{lines.Name()}")
        found.append(engine.admittance())
        index = lines.Next()
    return found
