"""Capacitor banks in OpenDSS: a Capacitor, and the CapControl that would switch it."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from cosim.devices.capacitor_bank import CapacitorBank, CapacitorBankConfig
from cosim.errors import FeederError
from cosim.feeder.devices import names_of
from cosim.feeder.engine import Engine


class CapacitorBankElement:
    """See :class:`cosim.feeder.elements.network_element.NetworkElement`."""

    class_name = "capacitor"

    def find(self, engine: Engine, config: CapacitorBankConfig) -> CapacitorBank:
        """The bank.

        Raises:
            FeederError: there is no such capacitor, or it has several steps.
        """
        name = config.capacitor.lower()
        known = names_of(engine, "capacitor")
        if name not in known:
            near = ", ".join(difflib.get_close_matches(name, known, n=3, cutoff=0.0)) or "none"
            raise FeederError(f"the feeder has no capacitor {name!r}; nearest: {near}")
        engine.dss.Capacitors.Name(name)
        steps = int(engine.dss.Capacitors.NumSteps())
        if steps != 1:
            raise FeederError(
                f"capacitor {name} has {steps} steps; a capacitor_bank is open or closed as a whole. "
                "Write its steps as capacitors of their own in the master"
            )
        return CapacitorBank(
            config.name.lower(),
            name,
            0,
            1,
            config.dead_time_s,
            operation_cost=config.operation_cost,
            operations_per_day=config.operations_per_day,
        )

    def windings(self, device: CapacitorBank) -> Sequence[tuple[str, int]]:
        """None."""
        del device
        return ()

    def banks(self, device: CapacitorBank) -> Sequence[str]:
        """Its own capacitor."""
        return (device.element,)

    def own_controls(self, engine: Engine, device: CapacitorBank) -> list[str]:
        """Enabled controls of the capacitor."""
        controls = engine.dss.CapControls
        found: list[str] = []
        index = controls.First()
        while index:
            if controls.Capacitor().lower() == device.element:
                found.append(f"capcontrol.{controls.Name().lower()}")
            index = controls.Next()
        return found

    def position(self, engine: Engine, device: CapacitorBank) -> float:
        """1 while it is in service."""
        return float(engine.closed_capacitors((device.element,))[0])

    def move(self, engine: Engine, device: CapacitorBank, position: float) -> None:
        """Open or close it, at its steps and at its terminal: a control may have used either."""
        capacitors = engine.dss.Capacitors
        capacitors.Name(device.element)
        capacitors.States([int(position)])
        engine.dss.Circuit.SetActiveElement(f"capacitor.{device.element}")
        if position:
            engine.dss.CktElement.Close(1, 0)


CAPACITOR_BANK = CapacitorBankElement()
