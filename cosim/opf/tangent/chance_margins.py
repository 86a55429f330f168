"""How far errors of the forecast may move voltages and currents: margins for chance constraints."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cosim.model.arrays import FloatArray
from cosim.model.forecast import Forecast
from cosim.model.state import Measurement
from cosim.model.twin import Quantity, Twin
from cosim.opf.tangent.device_dispatch import DeviceDispatch
from cosim.opf.tangent.search_log import Iterate
from cosim.opf.uncertainty import ChanceLimits, margin

TIGHTENED = (Quantity.VOLTAGE, Quantity.LINE, Quantity.TRANSFORMER)
"""Quantities whose limits get a margin."""


def chance_margins(
    twin: Twin,
    dispatcher: DeviceDispatch,
    point: Iterate,
    measurement: Measurement,
    forecast: Forecast,
    *,
    limits: ChanceLimits,
    sun_kw: FloatArray,
    period_s: FloatArray,
) -> dict[Quantity, FloatArray]:
    """Margins of all limits about a plan, shape (place, period) each.

    Every scenario of a sample is an exact flow with the plan's dispatch, taps and capacitors held: what the
    sensitivities to all loads and the sun would add up to, second order included.

    Args:
        twin, dispatcher: feeder and devices; the twin has the forecast again afterwards.
        point: the plan.
        measurement, forecast: of now.
        limits: allowed probability and size of the sample.
        sun_kw: see :meth:`Forecast.scenarios`.
        period_s: length of each period.
    """
    drawn = forecast.scenarios(limits.sample, sun_kw)
    ratio, energy = forecast.source_ratio_from(measurement.source_ratio), len(dispatcher.model.energy)
    there = {quantity: twin.values(point.flow, quantity) for quantity in TIGHTENED}
    apart: dict[Quantity, list[FloatArray]] = {quantity: [] for quantity in TIGHTENED}
    for demand_kw, demand_kvar, available_kw in zip(
        drawn.demand_kw, drawn.demand_kvar, drawn.available_kw, strict=True
    ):
        twin.set_forecast(measurement, demand_kw + 1j * demand_kvar, ratio, period_s)
        offered = available_kw[:, energy:]
        curtailed = np.minimum(point.dispatch.curtailed_kw, offered)
        dispatch = replace(point.dispatch, available_kw=offered, curtailed_kw=curtailed)
        flow = twin.flow(dispatcher.injection_kva(dispatch), point.flow, held=True)
        for quantity in TIGHTENED:
            moved = twin.values(flow, quantity) - there[quantity]
            apart[quantity].append(np.where(flow.converged, moved, 0.0))
    demand_kva = forecast.demand_kw + 1j * forecast.demand_kvar
    twin.set_forecast(measurement, demand_kva, ratio, period_s)
    return {quantity: margin(np.array(found), limits.violation) for quantity, found in apart.items()}
