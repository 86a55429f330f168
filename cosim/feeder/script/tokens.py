"""The words of a line of an OpenDSS script, cut as the engine cuts them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

QUOTED = r""" "[^"]*"? | '[^']*'? | \([^)]*\)? | \[[^\]]*\]? | \{[^}]*\}? """
"""Five pairs of quotes. They do not nest; one that is not closed runs to the end of the line."""
BARE = r"(?:[^ \t,=!/]|/(?!/))*"
"""A word without quotes ends at a blank, a comma, an equals sign or a comment."""
WORD = re.compile(rf"({QUOTED}|{BARE})[ \t]*([,=]?)[ \t]*", re.VERBOSE)
# Behind a quoted value with a name, a comma after blanks stands for one more, empty value.
VALUE = re.compile(rf"({QUOTED})(?:[ \t]+|[,=][ \t]*|)|({BARE})[ \t]*[,=]?[ \t]*", re.VERBOSE)
BLANKS = re.compile(r"[ \t]*")
OPENING = frozenset("\"'([{")
CLOSING = {'"': '"', "'": "'", "(": ")", "[": "]", "{": "}"}


class Token(NamedTuple):
    """A value, with the name before its equals sign.

    Attributes:
        name: as written; empty where the value has none.
        value: without its quotes.
        start, end: where the whole token stands in the line, from its name to the end of its value.
        value_start: where its value begins, quotes included.
        quoted: whether the value stands in quotes or brackets.
    """

    name: str
    value: str
    start: int
    end: int
    value_start: int
    quoted: bool


def tokens(line: str) -> Iterator[Token]:
    """Names and values of a line, or of the inside of a quoted value, up to a comment."""
    at, size = _match(BLANKS, line, 0).end(), len(line)
    while at < size and line[at] != "!" and not line.startswith("//", at):
        found = _match(WORD, line, at)
        if found[2] == "=":
            name, first = _bare(found[1]), at
            at = found.end()
            value = _match(VALUE, line, at)
            group = 1 if value[1] is not None else 2
            word = value[group]
            yield Token(name, _bare(word), first, value.end(group), at, group == 1)
            at = value.end()
        else:
            word = found[1]
            yield Token("", _bare(word), at, found.end(1), at, word[:1] in OPENING)
            at = found.end()


def _match(pattern: re.Pattern[str], line: str, at: int) -> re.Match[str]:
    found = pattern.match(line, at)
    assert found is not None, "the patterns match the empty text"
    return found


def _bare(word: str) -> str:
    """A word without its quotes."""
    if word[:1] not in OPENING:
        return word
    return word[1:-1] if len(word) > 1 and word[-1] == CLOSING[word[0]] else word[1:]
