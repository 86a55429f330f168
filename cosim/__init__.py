"""Closed-loop validation of battery dispatch on distribution feeders.

    import cosim
    run = cosim.load("ieee13").run(progress=True)
    run.metrics, run.voltages, run.plot.voltages(), run.report()

Everything is imported when it is first used, so ``import cosim`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cosim.api.campaign import Campaign, campaign  # noqa: I001 - the next reads so
    from cosim.api.run import Run, open_run as open  # noqa: A004 - reads as cosim.open
    from cosim.api.study import Study, load, run_many, scenarios
    from cosim.errors import CosimError
    from cosim.experiments.replay import replay
    from cosim.model.device import Device
    from cosim.model.roles import Controller, Forecaster, Planner
    from cosim.model.state import Decision, Setpoints

_HOMES = {
    "Campaign": ("cosim.api.campaign", "Campaign"),
    "Controller": ("cosim.model.roles", "Controller"),
    "CosimError": ("cosim.errors", "CosimError"),
    "Decision": ("cosim.model.state", "Decision"),
    "Device": ("cosim.model.device", "Device"),
    "Forecaster": ("cosim.model.roles", "Forecaster"),
    "Planner": ("cosim.model.roles", "Planner"),
    "Run": ("cosim.api.run", "Run"),
    "Setpoints": ("cosim.model.state", "Setpoints"),
    "Study": ("cosim.api.study", "Study"),
    "campaign": ("cosim.api.campaign", "campaign"),
    "load": ("cosim.api.study", "load"),
    "open": ("cosim.api.run", "open_run"),
    "replay": ("cosim.experiments.replay", "replay"),
    "run_many": ("cosim.api.study", "run_many"),
    "scenarios": ("cosim.api.study", "scenarios"),
}

__all__ = [  # noqa: RUF022 - in the order of a first day
    "load",
    "Study",
    "Run",
    "open",
    "run_many",
    "campaign",
    "Campaign",
    "replay",
    "scenarios",
    "Controller",
    "Decision",
    "Setpoints",
    "Forecaster",
    "Planner",
    "Device",
    "CosimError",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module 'cosim' has no attribute {name!r}; it has {', '.join(__all__)}")
    module, attribute = _HOMES[name]
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    """The public names."""
    return sorted(__all__)
