"""Units by the names of columns and keys."""

from __future__ import annotations

UNITS = {
    "per_kwh": "currency/kWh",
    "kw": "kW",
    "kvar": "kvar",
    "kwh": "kWh",
    "pu": "pu",
    "s": "s",
}
"""Unit by the end of a name; longer ends first."""


def unit_of(name: str) -> str:
    """The unit that a name ends with; empty for a pure number or a text."""
    return next((unit for end, unit in UNITS.items() if name == end or name.endswith(f"_{end}")), "")
