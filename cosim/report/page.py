"""What the pages share: one file each that needs no network, with figures that fit a phone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from string import Template
from typing import Any, Literal

from plotly.offline import get_plotlyjs

PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>$style</style>
<script>$plotly</script>
</head>
<body>
<main>
$body
</main>
<script>$draw</script>
</body>
</html>
""")

DRAW = """
function shrinkMap(figure) {
  figure.layout.height = 540;
  figure.layout.legend = {y: 0, yanchor: "bottom"};
  Object.assign(figure.layout.sliders[0], {x: 0.28, len: 0.7});
  for (const trace of figure.data) if (trace.marker) trace.marker.size *= 0.6;
  const bar = figure.data.find(trace => trace.marker && trace.marker.colorbar).marker.colorbar;
  Object.assign(bar, {orientation: "h", y: 1, yanchor: "bottom", len: 0.9, thickness: 8});
  bar.title.side = "top";
}
const narrow = window.innerWidth < 600;
const options = {
  responsive: true,
  displaylogo: false,
  displayModeBar: narrow ? false : "hover",
  modeBarButtonsToRemove: ["lasso2d", "select2d", "autoScale2d", "zoomIn2d", "zoomOut2d"],
};
for (const source of document.querySelectorAll("script.figure")) {
  const figure = JSON.parse(source.textContent);
  if (narrow) {
    figure.layout.font = {size: 11};
    figure.layout.hoverlabel = {font: {size: 11}};
    if (figure.layout.sliders) shrinkMap(figure);
  }
  figure.config = options;
  Plotly.newPlot(source.previousElementSibling, figure);
}
"""


@dataclass(frozen=True)
class Banner:
    """What the reader must know first.

    Attributes:
        colour: green only for a run that has nothing to explain.
        headline: one sentence.
        details: what is to be explained.
    """

    colour: Literal["green", "amber", "red"]
    headline: str
    details: tuple[str, ...]


@dataclass(frozen=True)
class Panel:
    """A figure with its heading and one sentence on how to read it."""

    title: str
    caption: str
    figure: Any | None


@dataclass(frozen=True)
class Listing:
    """A table of texts.

    Attributes:
        title: above it; may be empty.
        note: one sentence between title and table.
        heads, rows: texts, not yet escaped.
        numbers: columns that are aligned to the right.
    """

    title: str
    note: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: Iterable[int] = ()


def whole_page(title: str, parts: Iterable[str]) -> str:
    """A page of parts that are HTML already; the title is a plain text."""
    return PAGE.substitute(
        title=escape(title),
        style=files("cosim.report").joinpath("page.css").read_text(encoding="utf-8"),
        plotly=get_plotlyjs(),
        body="\n".join(parts),
        draw=DRAW,
    )


def header(title: str, facts: str) -> str:
    """The head of a page."""
    return f"<header><h1>{escape(title)}</h1><p>{escape(facts)}</p></header>"


def banner_card(content: Banner) -> str:
    """A banner as HTML."""
    details = "".join(f"<li>{escape(detail)}</li>" for detail in content.details)
    listed = f"<ul>{details}</ul>" if details else ""
    return (
        f'<div class="banner {content.colour}" role="status">'
        f"<strong>{escape(content.headline)}</strong>{listed}</div>"
    )


def panel_card(panel: Panel) -> str:
    """A figure as HTML, or a word that there is none."""
    head = f"<h3>{escape(panel.title)}</h3>"
    if panel.figure is None:
        return f'<section class="card">{head}<p>Nothing to show in this run.</p></section>'
    # Plotly escapes angle brackets, so no text can end the script; the slashes of base64 may stay.
    data = panel.figure.to_json().replace("\\u002f", "/")
    return (
        f'<section class="card">{head}<p>{escape(panel.caption)}</p><div class="plot"></div>'
        f'<script type="application/json" class="figure">{data}</script></section>'
    )


def list_card(listing: Listing) -> str:
    """A table as HTML."""
    numbers = set(listing.numbers)
    kinds = [' class="number"' if i in numbers else "" for i in range(len(listing.heads))]
    heads = "".join(
        f"<th{kind}>{escape(name)}</th>" for kind, name in zip(kinds, listing.heads, strict=True)
    )
    body = "".join(
        "<tr>"
        + "".join(f"<td{kind}>{escape(cell)}</td>" for kind, cell in zip(kinds, row, strict=True))
        + "</tr>"
        for row in listing.rows
    )
    heading = f"<h3>{escape(listing.title)}</h3>" if listing.title else ""
    return (
        f'<section class="card scroll">{heading}<p>{escape(listing.note)}</p>'
        f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></section>"
    )
