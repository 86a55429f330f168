"""Reading YAML and JSON of strangers: bounded, and every failure in a sentence."""

from __future__ import annotations

import json
from typing import Any

import yaml

from cosim.bounded import MEBIBYTE, Unreadable

MOST_SCENARIO_BYTES = MEBIBYTE
MOST_JSON_BYTES = 1024 * MEBIBYTE
MOST_SERIES_BYTES = 4096 * MEBIBYTE
MOST_DEPTH, MOST_NODES = 60, 200_000
"""Of a YAML document: nesting, and values once every alias is written out."""
STRANGE = (
    ValueError,
    OverflowError,
    RecursionError,
    TypeError,
    AttributeError,
    KeyError,
    IndexError,
    MemoryError,
)
"""What parsers raise on input that nobody foresaw."""


def yaml_of(text: str) -> tuple[Any, yaml.Node | None]:
    """Value and tree of a YAML document.

    Raises:
        Unreadable: it is no YAML, or nested too deeply, or aliases make it too large.
    """
    try:
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
        if tree is not None:
            _count(tree, 0, 0)
        return yaml.safe_load(text), tree
    except Unreadable:
        raise
    except yaml.YAMLError as error:
        raise Unreadable(f"is not YAML: {' '.join(str(error).split())[:300]}") from error
    except RecursionError as error:
        raise Unreadable(f"is nested more than {MOST_DEPTH} deep") from error
    except STRANGE as error:
        raise Unreadable(f"is not YAML: {type(error).__name__}: {str(error)[:200]}") from error


def _count(node: yaml.Node, depth: int, count: int) -> int:
    """Values of a tree, aliases written out."""
    if depth > MOST_DEPTH:
        raise Unreadable(f"is nested more than {MOST_DEPTH} deep")
    count += 1
    if count > MOST_NODES:
        raise Unreadable(f"has more than {MOST_NODES} values")
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            count = _count(value, depth + 1, _count(key, depth + 1, count))
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            count = _count(item, depth + 1, count)
    return count


def json_of(text: str) -> Any:
    """The value of a JSON document.

    Raises:
        Unreadable: it is none.
    """
    try:
        return json.loads(text)
    except STRANGE as error:
        raise Unreadable(f"is no JSON: {str(error)[:200]}") from error
