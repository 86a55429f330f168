"""How a plan is made: plain values, the same for every formulation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from cosim.opf.devices.inverter import Capability
from cosim.opf.devices.storage import Complementarity, Terminal
from cosim.opf.terms import Limits, Objective

ONLY_ON_EXACT_FLOWS = ("limits.transformers", "limits.unbalance_max_percent")
"""Wishes that no formulation on a tree can fulfil."""


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
        solver_seconds: a solve is stopped after this, and there is no plan; None is no limit.
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
