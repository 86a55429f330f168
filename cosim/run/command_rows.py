"""Rows of ``cosim inspect`` and ``cosim check`` on which controller commands which devices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cosim.model.part import Part
from cosim.model.site import Site
from cosim.run.assembly import Assembly
from cosim.run.choice import planner_name
from cosim.run.study import Study


def command_rows(assembly: Assembly) -> Iterator[tuple[str, str]]:
    """Several controllers and their devices, then devices that nobody has; none for one controller."""
    parts = assembly.parts
    for own, part in zip(assembly.study.each_controller, parts, strict=False):
        yield f"{part.controller} ({_decides(own)})", ", ".join(part.device_names)
    if resting := _resting(assembly.site, parts):
        yield "nobody, at rest", ", ".join(resting)


def _decides(study: Study) -> str:
    """Type of a controller and, where it plans, its planner and periods."""
    planner = planner_name(study)
    named = f", planner {planner}" if planner else ""
    plans = f"{named}, {len(study.horizon)} periods in a plan" if study.plans else ""
    return f"{study.scenario.control.type}{plans}"


def _resting(site: Site, parts: Sequence[Part]) -> list[str]:
    """Devices that none of several controllers has."""
    if not parts:
        return []
    own = {name for part in parts for name in part.device_names}
    return [name for name in site.all_names if name not in own]
