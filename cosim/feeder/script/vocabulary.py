"""What the installed engine understands: its commands, its options, and the properties of its classes.

All of it is asked from the engine itself, so a later version needs no new table here.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

FULL_SCHEMA = 0


class Words:
    """Names that the engine knows by their beginnings.

    Args:
        names: in the order of the engine, which takes the first that begins as written.
        others: a second spelling of each; the engine takes an exact one.
    """

    def __init__(self, names: Sequence[str], others: Sequence[str] = ()) -> None:
        self.names = tuple(name.lower() for name in names)
        spelled = [*zip(self.names, self.names, strict=True)]
        spelled += [(other.lower(), name) for other, name in zip(others, self.names, strict=bool(others))]
        self._exact = dict(reversed(spelled))
        self._spelled = tuple(spelled)
        self._found: dict[str, tuple[str, ...]] = {}

    def meant_by(self, written: str) -> tuple[str, ...]:
        """Names that a word may stand for, the engine's own choice first; empty where it knows none."""
        word = written.lower()
        if word not in self._found:
            exact = self._exact.get(word)
            begins = dict.fromkeys(name for spelling, name in self._spelled if spelling.startswith(word))
            self._found[word] = (exact,) if exact is not None else tuple(begins) if word else ()
        return self._found[word]


@dataclass(frozen=True)
class ElementClass:
    """Properties of a class of elements.

    Attributes:
        name: of the class, in lower case.
        properties: in the order in which values without a name are taken.
        files: properties that name a file.
        actions: properties that do something instead of holding a value.
    """

    name: str
    properties: Words
    files: frozenset[str]
    actions: frozenset[str]


@dataclass(frozen=True)
class Vocabulary:
    """Everything that a line of a script can begin with or set.

    Attributes:
        commands, options: of the engine.
        classes: of elements, by name in lower case.
        files, actions: properties of any class, for lines whose element is not known.
    """

    commands: Words
    options: Words
    classes: dict[str, ElementClass]
    files: frozenset[str] = field(init=False)
    actions: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        found = self.classes.values()
        object.__setattr__(self, "files", frozenset().union(*(one.files for one in found)))
        object.__setattr__(self, "actions", frozenset().union(*(one.actions for one in found)))


@cache
def engine_vocabulary() -> Vocabulary:
    """The vocabulary of the installed engine."""
    # Loaded here: who only names the files of a run needs no engine until it looks into a master.
    import opendssdirect

    dss = opendssdirect.dss.NewContext()
    executive = dss.Executive
    commands = [executive.Command(i + 1) for i in range(executive.NumCommands())]
    options = [executive.Option(i + 1) for i in range(executive.NumOptions())]
    api = dss._api_util
    text = api.ffi.string(api.lib.DSS_ExtractSchema(api.ctx, FULL_SCHEMA)).decode()
    classes = [_element_class(described) for described in json.loads(text)["classes"]]
    return Vocabulary(Words(commands), Words(options), {found.name: found for found in classes})


def _element_class(described: dict[str, Any]) -> ElementClass:
    properties = described["properties"]
    named = [(found["name"].lower(), found) for found in properties]
    return ElementClass(
        described["name"].lower(),
        Words([found["name"] for found in properties], [found["altName"] for found in properties]),
        frozenset(name for name, found in named if "IsFilename" in found["flags"]),
        frozenset(name for name, found in named if found["type"] == "StringEnumAction"),
    )
