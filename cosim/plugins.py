"""One registry for planners, forecasters and runners, on entry points.

A package adds a planner by declaring an entry point in the group ``cosim.planners``; nothing here
changes.
"""

from __future__ import annotations

import difflib
from importlib.metadata import entry_points
from typing import Any, Literal

from cosim.errors import CosimError

Group = Literal["cosim.planners", "cosim.forecasters", "cosim.runners"]


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
