"""A forecast and its scenarios on the nodes of a tree, as a twin and the devices of a plan read them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cosim.model.arrays import ComplexArray, FloatArray
from cosim.model.forecast import Forecast
from cosim.model.scenario_tree import ScenarioTree


@dataclass(frozen=True)
class NodeForecast:
    """What is expected at each node.

    Attributes:
        demand_kva: at rated voltage, shape (node, load).
        available_kw: of the devices, shape (node, device).
        price_per_kwh, source_ratio: shape (node,).
    """

    demand_kva: ComplexArray
    available_kw: FloatArray
    price_per_kwh: FloatArray
    source_ratio: FloatArray


def on_nodes(
    forecast: Forecast, tree: ScenarioTree, sun_kw: FloatArray, measured_ratio: float
) -> NodeForecast:
    """The first period as forecast, the others as in their scenarios.

    Args:
        forecast: with the law of its errors.
        tree: of the scenarios; with one branch the forecast itself is the only one.
        sun_kw: see :meth:`Forecast.scenarios`.
        measured_ratio: voltage of the source as measured.
    """
    demand_kva = forecast.demand_kw + 1j * forecast.demand_kvar
    ratio = forecast.source_ratio_from(measured_ratio)
    found = NodeForecast(demand_kva, forecast.available_kw, forecast.price_per_kwh, ratio)
    if tree.branches == 1:
        return found
    drawn = forecast.scenarios(tree.branches, sun_kw)
    later = tree.paths[:, 1:]
    demand_kva = demand_kva[tree.period]
    available_kw, price = found.available_kw[tree.period], found.price_per_kwh[tree.period]
    demand_kva[later] = (drawn.demand_kw + 1j * drawn.demand_kvar)[:, 1:]
    available_kw[later], price[later] = drawn.available_kw[:, 1:], drawn.price_per_kwh[:, 1:]
    return NodeForecast(demand_kva, available_kw, price, np.asarray(ratio[tree.period]))
