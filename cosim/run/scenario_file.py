"""From a scenario file to a scenario: every mistake with its line and the next move."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from cosim.bounded import Unreadable, bounded_text
from cosim.devices.kind import Config
from cosim.errors import ScenarioError
from cosim.run.bounded import MOST_SCENARIO_BYTES, STRANGE, yaml_of
from cosim.run.forecast_config import FORMS
from cosim.run.scenario import Scenario

MOST_PROBLEMS, LONGEST_VALUE = 50, 80


def load_scenario(path: Path) -> Scenario:
    """Read and check a scenario file.

    Raises:
        ScenarioError: everything that is wrong, each with its place and a suggestion.
    """
    try:
        data, tree = yaml_of(bounded_text(path, MOST_SCENARIO_BYTES))
    except Unreadable as error:
        raise ScenarioError(str(path), [str(error)]) from error
    return scenario_of(data, str(path), tree)


def scenario_of(data: object, source: str, tree: yaml.Node | None = None) -> Scenario:
    """Check the content of a scenario.

    Args:
        data: plain values, as in a scenario file.
        source: the file, or a name for a scenario that has none.
        tree: of the YAML document, which tells the lines.

    Raises:
        ScenarioError: everything that is wrong, each with its place and a suggestion.
    """
    if not isinstance(data, dict):
        raise ScenarioError(source, ["is empty or no mapping; see 'cosim schema' for its keys"])
    try:
        return Scenario.model_validate(data)
    except ValidationError as error:
        items = error.errors()
        problems = [text for item in items[:MOST_PROBLEMS] for text in _sentences(dict(item), tree)]
        if len(items) > MOST_PROBLEMS:
            problems.append(f"and {len(items) - MOST_PROBLEMS} more; mend these first")
        raise ScenarioError(source, problems) from None
    except STRANGE as error:
        why = f"{type(error).__name__}: {str(error)[:200]}"
        raise ScenarioError(source, [f"holds a value that cannot be read: {why}"]) from error


def line_of(path: Path, place: tuple[str | int, ...]) -> str:
    """``line N, `` for a key of a scenario file, or nothing if the key is not written there."""
    try:
        return _line(yaml_of(bounded_text(path, MOST_SCENARIO_BYTES))[1], place)
    except Unreadable:
        return ""


def _sentences(item: dict[str, Any], tree: yaml.Node | None) -> Iterator[str]:
    place = tuple(part for part in item["loc"] if part not in FORMS)
    if not place:  # of the scenario as a whole: each line brings its key
        for line in message_of(item).splitlines():
            yield f"{_line(tree, tuple(line.partition(':')[0].split('.')))}{line}"
        return
    message = message_of(item)
    if item["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(place[-1]), _all_keys(), n=1)
        message += f"; did you mean {near[0]!r}?" if near else ""
    yield f"{_line(tree, place)}{'.'.join(str(part) for part in place)}: {message}"


def message_of(item: dict[str, Any]) -> str:
    """What pydantic found wrong with one value, without its place.

    Args:
        item: one of ``ValidationError.errors()``.
    """
    message = str(item["msg"]).removeprefix("Value error, ")
    if item["type"] == "extra_forbidden":
        return "unknown key"
    if item["type"] == "missing":
        return "is missing"
    if item["loc"] and "input" in item and not isinstance(item["input"], dict | list):
        return f"{_short(item['input'])}: {message[0].lower()}{message[1:]}"
    return message


def _short(value: object) -> str:
    """A value as it was written, cut where it is long."""
    try:
        text = repr(value)
    except ValueError:  # an integer with thousands of digits
        return "a very long number"
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]} ..."


def _line(tree: yaml.Node | None, place: tuple[str | int, ...]) -> str:
    """Line of the deepest part of a place that is written in the file."""
    node, line = tree, 0
    for part in place:
        if isinstance(node, yaml.MappingNode):
            found = next(((k, v) for k, v in node.value if k.value == str(part)), None)
            if found is None:
                continue  # a tag of a union, which pydantic adds to the place
            line, node = found[0].start_mark.line + 1, found[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
    return f"line {line}, " if line else ""


def _all_keys() -> list[str]:
    keys: set[str] = set()
    pending: list[type[BaseModel]] = [Config]
    while pending:
        for model in pending.pop().__subclasses__():
            keys.update(field.alias or name for name, field in model.model_fields.items())
            pending.append(model)
    return sorted(keys)
