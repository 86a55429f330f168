"""The tables of a campaign's page as Markdown, for documents."""

from __future__ import annotations

from collections.abc import Sequence

from cosim.report.page import Cell, Listing, Note, Section


def summary(title: str, facts: str, sections: Sequence[Section]) -> str:
    """All tables and notes of some sections.

    Args:
        title, facts: heading, and the line below it.
        sections: figures in them are left out.
    """
    parts = [f"# {title}", f"{facts}."]
    for section in sections:
        cards = [card for card in section.cards if isinstance(card, Listing | Note)]
        if cards:
            parts += [f"## {section.title}", *(_text(card) for card in cards)]
    return "\n\n".join(parts) + "\n"


def _text(card: Listing | Note) -> str:
    if isinstance(card, Note):
        return f"{card.title}: {card.text}"
    right = set(card.numbers)
    lines = [f"**{card.title}.** {card.note}".strip(), ""] if card.title else [card.note, ""]
    lines.append(_row(card.heads))
    lines.append("|" + "|".join("--:" if i in right else "---" for i in range(len(card.heads))) + "|")
    lines += [_row(row) for row in card.rows]
    return "\n".join(lines)


def _row(cells: Sequence[Cell]) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"
