"""Meters at terminals of elements, beside the one at the head of the feeder."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

import numpy as np

from cosim.errors import FeederError
from cosim.feeder.engine import Engine
from cosim.model.arrays import FloatArray
from cosim.model.meter import MeterPlace

NAMED = 3


class ElementMeters:
    """Reads the power that flows into elements.

    Args:
        engine: with all elements in the circuit.
        places: in the order of every vector per meter.

    Raises:
        FeederError: an element is not there, is disabled, or has no such terminal.
    """

    def __init__(self, engine: Engine, places: Sequence[MeterPlace]) -> None:
        self._engine, self._places = engine, tuple(places)
        for place in self._places:
            self._check(place)

    def kw(self) -> FloatArray:
        """Active power into the element at the terminal of each meter, shape (meter,)."""
        found = np.zeros(len(self._places))
        for i, place in enumerate(self._places):
            element = self._active(place)
            conductors = int(element.NumConductors())
            kw = np.asarray(element.Powers(), dtype=np.float64)[::2]
            found[i] = kw[(place.terminal - 1) * conductors : place.terminal * conductors].sum()
        return found

    def _active(self, place: MeterPlace) -> Any:
        """The engine's element, active at a meter's."""
        self._engine.dss.Circuit.SetActiveElement(place.element)
        return self._engine.dss.CktElement

    def _check(self, place: MeterPlace) -> None:
        names = [str(name).lower() for name in self._engine.dss.Circuit.AllElementNames()]
        who = f"meter {place.name}"
        if place.element not in names:
            near = difflib.get_close_matches(place.element, names, n=NAMED)
            hint = f"; nearest: {', '.join(near)}" if near else ""
            raise FeederError(f"{who}: there is no element {place.element!r} in the feeder{hint}")
        element = self._active(place)
        if not element.Enabled():
            raise FeederError(f"{who}: {place.element} is disabled; meter another element")
        if place.terminal > int(element.NumTerminals()):
            raise FeederError(
                f"{who}: {place.element} has {element.NumTerminals()} terminals, not {place.terminal}"
            )
