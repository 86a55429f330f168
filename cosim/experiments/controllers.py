"""Who commanded what in a run with several controllers, from its record."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from cosim.run.record import Record


@dataclass(frozen=True)
class ControllerFigures:
    """One of several controllers of a run.

    Attributes:
        name: in the scenario.
        controller, planner: names of plug-ins; the planner is empty where it makes no plans.
        devices: names of its devices.
        decisions: how many of its decisions came from which source.
        safe_state_steps: steps in which none of its set-points were in force.
        decision_max_s: longest time to build and solve one of its plans; None where it made none.
    """

    name: str
    controller: str
    planner: str
    devices: tuple[str, ...]
    decisions: dict[str, int]
    safe_state_steps: int
    decision_max_s: float | None


def controllers_of(record: Record) -> tuple[ControllerFigures, ...]:
    """The controllers of a run, in the order of the scenario; empty where there was one."""
    return tuple(
        _figures(record, place, one) for place, one in enumerate(record.manifest.get("controllers", ()))
    )


def controller_of_device(record: Record) -> dict[str, str]:
    """The controller of each device, by the device's name; empty text for a device that nobody had.

    Nothing for a run with one controller.
    """
    listed = record.manifest.get("controllers", ())
    if not listed:
        return {}
    own = {device: str(one["name"]) for one in listed for device in one["devices"]}
    return {name: own.get(name, "") for name in record.site.all_names}


def _figures(record: Record, place: int, told: dict[str, object]) -> ControllerFigures:
    steps, devices = record.steps, told["devices"]
    sources = Counter(str(found[place]) for found in steps["controller_source"])
    seconds = (
        record.vector("controller_plan_build_s")[:, place]
        + record.vector("controller_plan_solve_s")[:, place]
    )
    made = seconds[np.isfinite(seconds)]
    return ControllerFigures(
        name=str(told["name"]),
        controller=str(told["type"]),
        planner=str(told["planner"] or ""),
        devices=tuple(str(device) for device in devices) if isinstance(devices, list) else (),
        decisions=dict(sources),
        safe_state_steps=sum(bool(found[place]) for found in steps["controller_why_safe"]),
        decision_max_s=float(made.max()) if made.size else None,
    )
