"""Tap changers in OpenDSS: a winding of a Transformer, and the RegControl that would move it."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

from cosim.devices.tap_changer import TapChanger, TapChangerConfig
from cosim.errors import FeederError
from cosim.feeder.devices import names_of
from cosim.feeder.engine import Engine

DEFAULT_WINDING = 2


class TapChangerElement:
    """See :class:`cosim.feeder.elements.network_element.NetworkElement`."""

    class_name = "transformer"

    def find(self, engine: Engine, config: TapChangerConfig) -> TapChanger:
        """The tap changer with the range of its winding.

        Raises:
            FeederError: there is no such transformer or winding, or it has no taps around a middle one.
        """
        name = config.transformer.lower()
        known = names_of(engine, "transformer")
        if name not in known:
            near = ", ".join(difflib.get_close_matches(name, known, n=3, cutoff=0.0)) or "none"
            raise FeederError(f"the feeder has no transformer {name!r}; nearest: {near}")
        regulated = engine.regulated_windings().get(name)
        winding = config.winding or regulated or DEFAULT_WINDING
        if regulated not in {None, winding}:
            raise FeederError(
                f"the regulator control of transformer {name} moves winding {regulated}, not {winding}; "
                "leave 'winding' out, or name that one"
            )
        windings = int(_transformer(engine, name).NumWindings())
        if winding > windings:
            raise FeederError(f"transformer {name} has {windings} windings, no winding {winding}")
        active = _winding(engine, name, winding)
        taps = int(active.NumTaps())
        if taps < 2 or taps % 2 or not active.MaxTap() > active.MinTap():
            raise FeederError(
                f"winding {winding} of transformer {name} has {taps} taps between {active.MinTap():g} and "
                f"{active.MaxTap():g}; a tap changer needs an even number, around a middle position"
            )
        return TapChanger(
            config.name.lower(),
            name,
            -(taps // 2),
            taps // 2,
            config.dead_time_s,
            winding,
            middle_ratio=_middle(active),
            ratio_per_position=_step(active),
            operation_cost=config.operation_cost,
            operations_per_day=config.operations_per_day,
        )

    def windings(self, device: TapChanger) -> Sequence[tuple[str, int]]:
        """Its own winding."""
        return ((device.element, device.winding),)

    def banks(self, device: TapChanger) -> Sequence[str]:
        """None."""
        del device
        return ()

    def own_controls(self, engine: Engine, device: TapChanger) -> list[str]:
        """Enabled regulator controls of the winding."""
        controls = engine.dss.RegControls
        found: list[str] = []
        index = controls.First()
        while index:
            if (
                controls.Transformer().lower() == device.element
                and int(controls.TapWinding()) == device.winding
            ):
                found.append(f"regcontrol.{controls.Name().lower()}")
            index = controls.Next()
        return found

    def position(self, engine: Engine, device: TapChanger) -> float:
        """Taps above the middle position."""
        active = _winding(engine, device.element, device.winding)
        return float(round((active.Tap() - _middle(active)) / _step(active)))

    def move(self, engine: Engine, device: TapChanger, position: float) -> None:
        """Set the tap."""
        active = _winding(engine, device.element, device.winding)
        active.Tap(_middle(active) + position * _step(active))


def _transformer(engine: Engine, name: str) -> Any:
    engine.dss.Transformers.Name(name)
    return engine.dss.Transformers


def _winding(engine: Engine, name: str, winding: int) -> Any:
    """The engine's transformers, with a winding active."""
    transformers = _transformer(engine, name)
    transformers.Wdg(winding)
    return transformers


def _middle(winding: Any) -> float:
    return 0.5 * float(winding.MinTap() + winding.MaxTap())


def _step(winding: Any) -> float:
    return float(winding.MaxTap() - winding.MinTap()) / int(winding.NumTaps())


TAP_CHANGER = TapChangerElement()
