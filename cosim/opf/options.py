"""How a plan is made: plain values, the same for every formulation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from cosim.devices.storage import StorageRating
from cosim.errors import FormulationRefused
from cosim.model.arrays import FloatArray
from cosim.model.device import Device
from cosim.opf.uncertainty import Uncertainty

ONLY_ON_EXACT_FLOWS = ("limits.transformers", "limits.unbalance_max_percent")
"""Wishes that no formulation on a tree can fulfil."""

Capability = Literal["polygon", "cone"]
"""Shape of the inverter limit."""
Complementarity = Literal["relaxed", "binary", "repair"]
"""How charging and discharging at once is ruled out: by cost alone, by a binary per battery and
period, or by fixing the direction where a relaxed solution does both and solving again."""


@dataclass(frozen=True)
class Terminal:
    """What the end of the horizon asks of stored energy.

    Attributes:
        kind: ``hard`` (equal to the target), ``soft`` (deviation costs), ``value`` (energy left is
            worth something), ``free``.
        soc: target as a share of the full cell; None is the start of the run.
        per_kwh: cost of deviation, or value of stored energy, in currency.
    """

    kind: Literal["hard", "soft", "value", "free"] = "free"
    soc: float | None = None
    per_kwh: float = 0.0

    def target_kwh(self, devices: Sequence[Device]) -> FloatArray:
        """Energy that each device with energy aims at, shape (device,); batteries only, others stay.

        Raises:
            FormulationRefused: the target is hard and outside a battery's window.
        """
        target = np.array([device.first_stored_kwh for device in devices], dtype=np.float64)
        for i, battery in enumerate(devices):
            if not isinstance(battery, StorageRating):
                continue
            share = battery.initial_kwh / battery.kwh if self.soc is None else self.soc
            target[i] = share * battery.kwh
            inside = battery.min_kwh - 1e-9 <= target[i] <= battery.max_kwh + 1e-9
            if self.kind == "hard" and not inside:
                raise FormulationRefused(
                    f"terminal.soc {share:g} is outside the window {battery.min_kwh / battery.kwh:g} .. "
                    f"{battery.max_kwh / battery.kwh:g} of battery {battery.name}"
                )
        return target


@dataclass(frozen=True)
class Objective:
    """Weights of the objective; zero leaves a term out.

    Attributes:
        energy_cost: weight of import times price.
        losses_per_kwh: price of network losses, by the flows of the model.
        losses_at_price: share of the energy price that losses are charged with. A lossless model is
            then no longer indifferent to reactive power: with 1 it pays for losses what they cost.
            Models whose import counts its losses ignore it.
        peak_per_kw: demand charge on the highest import of the run.
        voltage_deviation_per_pu2_h: cost of squared-voltage deviation from the middle of the band.
    """

    energy_cost: float = 1.0
    losses_per_kwh: float = 0.0
    losses_at_price: float = 0.0
    peak_per_kw: float = 0.0
    voltage_deviation_per_pu2_h: float = 0.0

    @property
    def prices_losses(self) -> bool:
        """Whether losses cost anything by themselves."""
        return bool(self.losses_per_kwh or self.losses_at_price)

    def loss_rate(self, price_per_kwh: FloatArray) -> FloatArray:
        """Cost of losses per kWh in each period, shape (period,); never negative, even where energy is."""
        return np.maximum(self.losses_per_kwh + self.losses_at_price * price_per_kwh, 0.0)


@dataclass(frozen=True)
class Limits:
    """Limits of the network. All are soft: exceeding them costs, and is reported.

    Attributes:
        voltage_min_pu, voltage_max_pu: band of every node.
        voltage_penalty_per_pu_h: cost per unit and hour outside the band, for each group of nodes whose
            voltages the devices move in step.
        import_max_kw, import_min_kw: at the substation; None is no limit.
        lines, transformers: whether their ratings hold; only some planners know transformers.
        unbalance_max_percent: negative over positive sequence voltage; only some planners know it.
        power_penalty_per_kwh: cost of energy over a power limit.
    """

    voltage_min_pu: float = 0.95
    voltage_max_pu: float = 1.05
    voltage_penalty_per_pu_h: float = 2e4
    import_max_kw: float | None = None
    import_min_kw: float | None = None
    lines: bool = False
    transformers: bool = False
    unbalance_max_percent: float | None = None
    power_penalty_per_kwh: float = 100.0


@dataclass(frozen=True)
class PlannerOptions:
    """How a plan is made.

    Attributes:
        objective, limits, terminal: what is asked.
        complementarity: how charging and discharging at once is ruled out.
        capability: shape of the inverter limit.
        anchor: whether a linear model is corrected so that it agrees with the measurement.
        storage_reactive, pv_reactive, pv_curtail: what the devices may do.
        storage_loss_cost_per_kwh, throughput_cost_per_kwh, curtailment_cost_per_kwh,
            reactive_cost_per_kvarh: small costs, see the device blocks.
        solver: name of the solver, or ``auto``.
        solver_seconds: a solve is stopped after this, and there is no plan, or the best one found so far
            (planner tangent, and mixed-integer programs of HiGHS); None is no limit.
        uncertainty: how a plan reckons with errors of the forecast; None: it takes the forecast for true.
    """

    objective: Objective = field(default_factory=Objective)
    limits: Limits = field(default_factory=Limits)
    terminal: Terminal = field(default_factory=Terminal)
    complementarity: Complementarity = "relaxed"
    capability: Capability = "polygon"
    anchor: Literal["measurement", "none"] = "measurement"
    storage_reactive: bool = True
    pv_reactive: bool = True
    pv_curtail: bool = True
    storage_loss_cost_per_kwh: float = 0.0
    throughput_cost_per_kwh: float = 0.005
    curtailment_cost_per_kwh: float = 0.0
    reactive_cost_per_kvarh: float = 0.002
    solver: str = "auto"
    solver_seconds: float | None = None
    uncertainty: Uncertainty | None = None

    def asked(self) -> dict[str, bool]:
        """Wishes that not every formulation can fulfil, and whether they are made."""
        return {
            "losses_per_kwh": bool(self.objective.losses_per_kwh),
            "losses_at_price": bool(self.objective.losses_at_price),
            "voltage_deviation_per_pu2_h": bool(self.objective.voltage_deviation_per_pu2_h),
            "limits.lines": self.limits.lines,
            "limits.transformers": self.limits.transformers,
            "limits.unbalance_max_percent": self.limits.unbalance_max_percent is not None,
        }


def fastest_solver(shared: PlannerOptions) -> PlannerOptions:
    """Options with the solver that is fastest for a program that is solved many times."""
    quadratic = shared.capability == "polygon" and shared.complementarity != "binary"
    return replace(shared, solver="piqp") if shared.solver == "auto" and quadratic else shared
