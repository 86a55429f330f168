"""What the pages share: data that the templates show, and files that need no network."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from cosim.report.style import IN_THE_DARK

State = Literal["pass", "note", "fail", "unjudged"]
"""Shown by a colour, a sign and a word."""
SIGNS: Mapping[State, str] = {"pass": "✓", "note": "!", "fail": "✗", "unjudged": "?"}


@dataclass(frozen=True)
class Banner:
    """What the reader must know first.

    Attributes:
        state: pass only for what has nothing to explain.
        word: the state in one or two words.
        headline: one sentence.
        details: what is to be explained.
    """

    state: State
    word: str
    headline: str
    details: tuple[str, ...] = ()

    @property
    def sign(self) -> str:
        """The state as one character."""
        return SIGNS[self.state]


@dataclass(frozen=True)
class Panel:
    """A figure with its heading and one sentence on how to read it.

    A figure may carry ``layout.meta``: with ``frames`` (texts), a slider shows one frame each; with
    ``choices`` (pairs of a text and which traces are visible), a menu chooses between them.
    """

    kind: ClassVar[str] = "panel"
    title: str
    caption: str
    figure: Any | None

    @property
    def data(self) -> Markup:
        """The figure as JSON; plotly escapes angle brackets, so no text can end the script."""
        assert self.figure is not None
        # The slashes of base64 may stay.
        return Markup(self.figure.to_json().replace("\\u002f", "/"))  # noqa: S704

    @property
    def height_px(self) -> int:
        """Room that the figure will take."""
        return int(self.figure.layout.height) if self.figure is not None else 0


@dataclass(frozen=True)
class Link:
    """A cell that leads to another page, by a path relative to this one."""

    text: str
    href: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Mark:
    """A cell with a state: a colour, a sign, and its text."""

    text: str
    state: State

    @property
    def sign(self) -> str:
        """The state as one character."""
        return SIGNS[self.state]

    def __str__(self) -> str:
        return f"{self.sign} {self.text}"


Cell = str | Link | Mark


@dataclass(frozen=True)
class Listing:
    """A table of texts; the first column names the row.

    Attributes:
        title: above it; may be empty.
        note: one sentence between title and table.
        heads, rows: texts; a cell may be a link, or have a state.
        numbers: columns that are aligned to the right.
        sortable: whether a click on a heading sorts.
        folded: whether it is closed until the reader opens it; for long tables.
    """

    kind: ClassVar[str] = "listing"
    title: str
    note: str
    heads: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    numbers: Iterable[int] = ()
    sortable: bool = False
    folded: bool = False


@dataclass(frozen=True)
class Note:
    """A sentence in place of a figure or a table."""

    kind: ClassVar[str] = "note"
    title: str
    text: str


Card = Panel | Listing | Note


@dataclass(frozen=True)
class Section:
    """A heading with what belongs under it."""

    title: str
    cards: Sequence[Card] = field(default=())


def render(template: str, title: str, facts: str, content: Mapping[str, Any]) -> str:
    """A whole page.

    Args:
        template: name of a file in ``cosim/report/templates``.
        title, facts: heading, and the line below it.
        content: what that template shows beyond them.
    """
    environment = Environment(
        loader=PackageLoader("cosim.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    shared = {
        "title": title,
        "facts": facts,
        "plotly": Markup(get_plotlyjs()),  # noqa: S704
        "in_the_dark": Markup(json.dumps(IN_THE_DARK)),  # noqa: S704
    }
    return environment.get_template(template).render({**shared, **content})
