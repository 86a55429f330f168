"""Which controller has which devices of a feeder, from the patterns of a scenario."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase

import numpy as np

from cosim.errors import ScenarioError
from cosim.model.arrays import IntArray
from cosim.model.part import Part
from cosim.model.site import Site
from cosim.run.control_config import ControllerConfig
from cosim.run.scenario_file import line_of
from cosim.run.study import Study

MOST_NAMED = 8


def parts_of(study: Study, site: Site) -> tuple[Part, ...]:
    """The devices of each controller of a study, in the order of the scenario; empty for one controller.

    Raises:
        ScenarioError: a pattern fits no device, a device has two controllers, or none.
    """
    controllers = study.scenario.controllers
    if controllers is None:
        return ()
    names = list(site.all_names)
    claimed = {name: _claimed(config, names) for name, config in controllers.items()}
    problems = [
        *_unknown(study, controllers, names),
        *_twice(study, claimed),
        *_unassigned(study, claimed, names),
    ]
    if problems:
        raise ScenarioError(str(study.path), problems)
    count = len(site.devices)
    return tuple(
        Part(
            name,
            site,
            _places(device for device in range(count) if names[device] in own),
            _places(at for at, device in enumerate(site.network_devices) if device.name in own),
        )
        for name, own in claimed.items()
    )


def _places(places: Iterator[int]) -> IntArray:
    return np.array(list(places), dtype=np.int64)


def _claimed(config: ControllerConfig, names: list[str]) -> list[str]:
    """Devices that a controller names, in the order of the feeder."""
    return [name for name in names if any(_fits(name, pattern) for pattern in config.devices)]


def _fits(name: str, pattern: str) -> bool:
    return fnmatchcase(name.lower(), pattern.lower())


def _at(study: Study, *place: str | int) -> str:
    return f"{line_of(study.path, place)}{'.'.join(str(key) for key in place)}: "


def _unknown(study: Study, controllers: Mapping[str, ControllerConfig], names: list[str]) -> Iterator[str]:
    for controller, config in controllers.items():
        for index, pattern in enumerate(config.devices):
            if any(_fits(name, pattern) for name in names):
                continue
            near = difflib.get_close_matches(pattern.lower(), names, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {_some(names)}"
            at = _at(study, "controllers", controller, "devices", index)
            yield f"{at}{pattern!r} fits no device; {hint}"


def _twice(study: Study, claimed: Mapping[str, list[str]]) -> Iterator[str]:
    first: dict[str, str] = {}
    for controller, own in claimed.items():
        for device in own:
            if device in first:
                at = _at(study, "controllers", controller, "devices")
                yield (
                    f"{at}device {device!r} belongs to {first[device]} and to {controller}; a device has "
                    "one controller, so take it out of one of them"
                )
            first.setdefault(device, controller)


def _unassigned(study: Study, claimed: Mapping[str, list[str]], names: list[str]) -> Iterator[str]:
    left = [name for name in names if not any(name in own for own in claimed.values())]
    if left and study.scenario.unassigned is None:
        yield (
            f"{_at(study, 'controllers')}no controller has {_some(left)}; give each device to one of "
            f"{', '.join(claimed)}, or write 'unassigned: rest'"
        )


def _some(names: list[str]) -> str:
    return ", ".join(names[:MOST_NAMED]) + (" ..." if len(names) > MOST_NAMED else "") or "none at all"
