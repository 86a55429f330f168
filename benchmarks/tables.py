"""Tables of results."""

from __future__ import annotations

from typing import Any


def table(rows: list[dict[str, Any]]) -> str:
    """Rows as a table in Markdown."""
    names = list(rows[0])
    lines = ["| " + " | ".join(name.replace("_", " ") for name in names) + " |", "|---" * len(names) + "|"]
    lines += [
        "| " + " | ".join("-" if row[name] is None else str(row[name]) for name in names) + " |"
        for row in rows
    ]
    return "\n".join(lines)
