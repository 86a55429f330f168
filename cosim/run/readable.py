"""The part of a scenario file that can be read, so that a user sees all mistakes in one round."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cosim.bounded import Unreadable, bounded_text
from cosim.errors import ScenarioError
from cosim.run.bounded import MOST_SCENARIO_BYTES, STRANGE, yaml_of
from cosim.run.scenario import Scenario
from cosim.run.scenario_file import line_of

MOST_ROUNDS = 5
PLACE = re.compile(
    r"^(?:line \d+, )?(?P<key>\w+)\.(?P<number>\d+)(?P<rest>[.\w]*)(?P<sentence>: .*)$", re.DOTALL
)

Place = tuple[str | int, ...]


@dataclass(frozen=True)
class Readable:
    """A scenario without what does not fit.

    Attributes:
        data: plain values.
        set_aside: numbers of the items that are left out, by the list of the scenario.
    """

    data: dict[str, Any]
    set_aside: dict[str, list[int]]

    def as_written(self, problem: str, path: Path) -> str:
        """A problem of the readable part, with the number and the line that its item has in the file."""
        found = PLACE.match(problem)
        gone = self.set_aside.get(found["key"], []) if found else []
        if found is None or not gone:
            return problem
        number = int(found["number"])
        for item in sorted(gone):
            number += item <= number
        place: Place = (found["key"], number, *filter(None, found["rest"].split(".")))
        return f"{line_of(path, place)}{'.'.join(map(str, place))}{found['sentence']}"


def readable_part(path: Path) -> Readable:
    """The content of a scenario file without what does not fit.

    Unknown keys are left out. Of a list the item with a mistake is set aside; any other value gives way to
    its default.

    Raises:
        ScenarioError: it is no mapping, or does not become a scenario that way.
    """
    try:
        data, _ = yaml_of(bounded_text(path, MOST_SCENARIO_BYTES))
    except Unreadable as error:
        raise ScenarioError(str(path), [str(error)]) from error
    gone: dict[str, list[int]] = defaultdict(list)
    for _ in range(MOST_ROUNDS):
        places = _mistakes(data)
        if not places:
            return Readable(dict(data), gone)
        for place in sorted(places, key=_backwards):
            _set_aside(data, place, gone)
    raise ScenarioError(str(path), ["nothing can be made of it"])


def _mistakes(data: object) -> set[Place]:
    """What must go so that the rest may be read."""
    try:
        Scenario.model_validate(data)
    except ValidationError as error:
        found = [(tuple(item["loc"]), item["type"]) for item in error.errors()]
        return {place if kind == "extra_forbidden" else _item_of(place) for place, kind in found if place}
    except STRANGE as error:
        raise ScenarioError("scenario", [str(error)[:200]]) from error
    return set()


def _item_of(place: Place) -> Place:
    """The item of a list that a place lies in, or the place."""
    number = next((i for i, part in enumerate(place) if isinstance(part, int)), None)
    return place if number is None else place[: number + 1]


def _backwards(place: Place) -> tuple[int, ...]:
    """Later items of a list first, so that the numbers of the others stay."""
    return tuple(-part for part in place if isinstance(part, int))


def _set_aside(data: Any, place: Place, gone: dict[str, list[int]]) -> None:
    """Remove the deepest part of a place that is there; names of alternatives are not."""
    steps: list[tuple[Any, str | int]] = []
    for part in place:
        in_list = isinstance(data, list) and isinstance(part, int) and part < len(data)
        if in_list or (isinstance(data, dict) and part in data):
            steps.append((data, part))
            data = data[part]
    if steps:
        container, part = steps[-1]
        del container[part]
        if isinstance(container, list) and isinstance(part, int):
            gone[str(steps[0][1])].append(part)
