"""First-order expansion of a flow: one forward solve for all voltages, import and losses.

Source: implicit function theorem on the flow equation, as for the adjoints of
:mod:`cosim.twin.power_flow`; here a direction of device powers is given and all quantities are asked for.
"""

from __future__ import annotations

import numpy as np

from cosim.model.arrays import ComplexArray
from cosim.model.twin import FirstOrder, Prices, Quantity
from cosim.twin.control_equilibrium import InnerFlow
from cosim.twin.cost_sensitivity import CostSensitivity
from cosim.twin.node_voltages import Slopes
from cosim.twin.power_flow import FlowSolver
from cosim.twin.quantities import Quantities

CORRECTIONS = 12
"""Passes that bring in the voltage dependence of the load currents; each gains about one digit."""


def expand(
    solver: FlowSolver,
    quantities: Quantities,
    costs: CostSensitivity,
    flow: InnerFlow,
    slopes: Slopes,
    change_kva: ComplexArray,
) -> FirstOrder:
    """The change alone: what other device powers give, less what those of the flow give.

    Args:
        solver, quantities, costs: of the feeder.
        flow: the operating point.
        slopes: of the leg currents there.
        change_kva: of the device injections, shape (period, device).
    """
    volts, periods = flow.volts, flow.volts.periods
    moved = solver.response(slopes, change_kva, CORRECTIONS)
    nothing = np.zeros(periods)
    prices = Prices(import_kw=nothing, losses_kw=nothing + 1.0, deviation_pu2=nothing, centre_pu=1.0)
    seeds = costs.weights(flow, slopes, prices)
    losses = change_kva.real.sum(axis=1)
    np.add.at(losses, seeds.column, (seeds.value * moved[seeds.row, seeds.period[seeds.column]]).real)
    return FirstOrder(
        voltage_pu=quantities.voltage_change(volts, moved),
        line_share=quantities.current_change(volts, moved, Quantity.LINE),
        import_kva=solver.import_change(volts, moved),
        losses_kw=losses,
    )
