"""One registry for planners, forecasters and runners, on entry points.

A package adds a planner by declaring an entry point in the group ``cosim.planners``; nothing here
changes.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any, Literal, TypeVar

from cosim.errors import CosimError

Group = Literal["cosim.planners", "cosim.forecasters", "cosim.devices", "cosim.runners"]
Need = Literal["network", "twin", "truth"]
"""What a planner, a forecaster or a controller wants to know beside the site's names and ratings: the
radial network model, a twin of the feeder, the series that the plant will meet."""
ANY_NETWORK: frozenset[Need] = frozenset({"network"})
"""What a plug-in gets that declares nothing."""

T = TypeVar("T")


def needs(*parts: Need) -> Callable[[T], T]:
    """Declare what a plug-in (a class, or a factory) wants to know; what nobody needs is not built."""

    def declare(plugin: T) -> T:
        plugin.needs = frozenset(parts)  # type: ignore[attr-defined]
        return plugin

    return declare


def needs_of(plugin: Any) -> frozenset[Need]:
    """What a plug-in declared."""
    found: frozenset[Need] = getattr(plugin, "needs", ANY_NETWORK)
    return found


class UnknownPlugin(CosimError):
    """No plug-in of that name is installed; the message lists those that are."""


def names(group: Group) -> tuple[str, ...]:
    """Installed plug-ins of a group."""
    return tuple(sorted({point.name for point in entry_points(group=group)}))


def load(group: Group, name: str) -> Any:
    """The object a plug-in name stands for.

    Raises:
        UnknownPlugin: not installed.
    """
    for point in entry_points(group=group):
        if point.name == name:
            return point.load()
    installed = names(group)
    near = difflib.get_close_matches(name, installed, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise UnknownPlugin(
        f"no {group.removeprefix('cosim.').removesuffix('s')} {name!r}{hint} "
        f"(installed: {', '.join(installed) or 'none'})"
    )
