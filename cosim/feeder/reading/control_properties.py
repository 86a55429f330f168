"""How the settings of regulator and capacitor controls are asked for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cosim.feeder.engine import Engine
from cosim.twin.control_settings import AVERAGE, MAXIMUM, MINIMUM

CHOICES = {"avg": AVERAGE, "max": MAXIMUM, "min": MINIMUM}


class NotReproducedError(Exception):
    """A control does something the laws do not know; the message says what."""


def ask(engine: Engine, kind: str, name: str, quantity: str) -> str:
    """A property as the engine writes it, in lower case."""
    return engine.command(f"? {kind}.{name}.{quantity}").strip().lower()


def each_enabled(collection: Any) -> Iterator[int]:
    """Activate the enabled elements of one of the engine's collections in turn."""
    index = collection.First()
    while index:
        yield index
        index = collection.Next()


def eligible_phases(setting: str, phases: int) -> tuple[tuple[int, ...], int]:
    """Zero-based phases a setting allows, and how one of them is chosen (0: there is only one)."""
    if setting in CHOICES:
        return tuple(range(phases)), CHOICES[setting]
    phase = int(setting) - 1
    return (phase if phase < phases else 0,), 0
