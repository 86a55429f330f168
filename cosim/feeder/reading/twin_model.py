"""Read the model of a twin from the engine, and hold it against the state the engine is in."""

from __future__ import annotations

import logging
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
from cosim.feeder.reading.disagreement import why_apart
from cosim.feeder.reading.twin_data import read_twin_data
from cosim.model.site import Site
from cosim.model.state import Measurement
from cosim.twin.acceptance import TOLERANCE_PU, Acceptance
from cosim.twin.model_error import ModelError, Primitives, with_error
from cosim.twin.twin_model import TwinModel

if TYPE_CHECKING:
    from cosim.twin.feeder_twin import FeederTwin

log = logging.getLogger(__name__)

LEAST_IMPORT_KVA = 100.0
"""A smaller import counts as this much."""


def read_twin_model(
    engine: Engine,
    watched: Sequence[Watched],
    site: Site,
    moved: tuple[Mapping[str, int], Sequence[str]],
    measurement: Measurement,
    error: ModelError,
    acceptance: Acceptance,
) -> TwinModel:
    """Read a twin's model from an engine and hold it against the state the engine is in.

    Args:
        engine: holds the solved power flow that was measured.
        watched: the voltages of the site's nodes.
        site: names and ratings.
        moved: transformers whose taps move, each with its winding, and capacitors that are switched.
        measurement: of the engine's present state.
        error: what the twin gets wrong; it comes after the comparison.
        acceptance: how far it may be from the engine.

    Raises:
        FeederError: an element the twin has no model for, or a twin that differs from the engine.
    """
    data = read_twin_data(
        engine,
        watched,
        loads=site.loads,
        moved=moved[0],
        devices=[name_in_circuit(device, element_of(device_kind(device.kind))) for device in site.devices],
        constant_power=acceptance.constant_power,
    )
    # The model is that of the master's source voltage, whatever it is at the reading.
    source = replace(data.source, current=data.source.current / measurement.source_ratio)
    data = replace(data, source=source)
    exact = TwinModel(data, read_controls(engine, data.node_names, *moved))
    exact = replace(exact, apart_pu=_accepted(engine, exact, site, measurement, acceptance))
    if error == ModelError():
        return exact
    return TwinModel(
        with_error(data, _lines(engine), error),
        exact.controls,
        stale=error.stale_taps,
        frozen=error.frozen_controls,
        apart_pu=exact.apart_pu,
    )


def _accepted(
    engine: Engine, exact: TwinModel, site: Site, measurement: Measurement, acceptance: Acceptance
) -> float:
    """How far a twin is from the feeder; more than usual is said aloud.

    Raises:
        FeederError: it is farther than it may be; what is behind that is named.
    """
    apart_pu, data = _apart(exact.open(), measurement), exact.data
    if not max(apart_pu) <= acceptance.tolerance_pu:
        drawn = np.append(measurement.demand_kw + 1j * measurement.demand_kvar, data.standing_kva[0])
        names = [*(f"load.{name}" for name in site.loads), *data.standing]
        raise FeederError(
            f"the twin differs from the feeder by {apart_pu[0]:.2g} pu in voltage and {apart_pu[1]:.2g} of "
            f"the import, allowed are {acceptance.tolerance_pu:g}: "
            f"{why_apart(engine, data, names, drawn)}. Or allow more (control.twin.tolerance_pu), or use "
            "planner lindistflow"
        )
    if max(apart_pu) > TOLERANCE_PU:
        log.warning(
            "the twin differs from the feeder by %.2g pu in voltage and %.2g of the import, which "
            "control.twin.tolerance_pu allows",
            *apart_pu,
        )
    return max(apart_pu)


def _apart(twin: FeederTwin, measurement: Measurement) -> tuple[float, float]:
    """Largest difference of a voltage (pu), and of the import as a part of it; infinite without a flow."""
    demand = measurement.demand_kw + 1j * measurement.demand_kvar
    device = measurement.p_kw + 1j * measurement.q_kvar
    twin.set_forecast(measurement, demand[None, :])
    flow = twin.flow(device[None, :], twin.at_rest(1), held=True)
    if not flow.converged.all():
        return float("inf"), float("inf")
    measured = complex(measurement.import_kw, measurement.import_kvar)
    import_error = abs(complex(flow.import_kva[0]) - measured) / max(abs(measured), LEAST_IMPORT_KVA)
    return float(np.abs(flow.voltage_pu[:, 0] - measurement.voltage_pu).max()), import_error


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
