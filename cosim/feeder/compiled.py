"""A compiled master file, before any device of a scenario is added."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from cosim.devices.pv import PvRating
from cosim.devices.registry import device_kinds
from cosim.devices.storage import StorageRating
from cosim.errors import FeederError
from cosim.feeder.bases import check_bases, find_bases
from cosim.feeder.circuit import Circuit, read_circuit
from cosim.feeder.devices import confine_controls, disable_idle_controls, names_of, silence_controls
from cosim.feeder.elements.element import element_of
from cosim.feeder.elements.pv import read_base_irradiance, read_sun_shapes
from cosim.feeder.engine import Engine
from cosim.feeder.growth import take_growth
from cosim.feeder.loads import LoadTable, read_loads
from cosim.feeder.script.reader import read_script
from cosim.feeder.soundness import must_be_sound, must_have_voltage
from cosim.model.device import Device
from cosim.model.engine_controls import EngineControls

log = logging.getLogger(__name__)


class FeederModel:
    """A compiled master file before any device of the scenario is added.

    Args:
        master: OpenDSS master file.
        tolerance: of the power flow, relative. Stored energy is only as exact as the terminal power of
            the last iteration.
        vreg: replaces the set voltage of every regulator control.
        discover: take the Storage and PVSystem elements it defines into the study.
        commanded: set-points will be written. Without it everything stays as the master says.
        engine_controls: of devices that the scenario adds, where nobody commands them; None: they rest.
        storage_soc_max: upper end of the window of the batteries it defines, as a share of the full
            cell; OpenDSS has no property for it.
        trusted: the master may name native code, which the engine executes.

    Attributes:
        sun_shapes: irradiance shape of the master's PV systems that have one, and the irradiance that it
            multiplies, kW/m².
        base_irradiance: of every PV system of the master, kW/m².
    """

    def __init__(
        self,
        master: Path,
        *,
        tolerance: float = 1e-8,
        vreg: float | None = None,
        discover: bool = True,
        commanded: bool = True,
        engine_controls: EngineControls | None = None,
        storage_soc_max: float = 1.0,
        trusted: bool = False,
    ) -> None:
        self.master = master
        self.tolerance = tolerance
        self.engine = engine = Engine()
        self.script = read_script(master, trusted=trusted)
        log.info("compiles %s", master)
        if notes := self.script.summary():
            log.warning("the master is not followed to the letter: %s", notes)
        engine.compile(self.script)
        must_be_sound(engine)
        engine.command("set mode=snapshot controlmode=static maxiterations=100 maxcontroliter=100")
        if vreg is not None and engine.dss.RegControls.Count():
            engine.command(f"batchedit regcontrol..* vreg={float(vreg)!r}")
        self.commanded, self.engine_controls = commanded, engine_controls
        self._elements = {kind.name: element_of(kind) for kind in device_kinds()}
        self.class_of = {name: element.class_name for name, element in self._elements.items()}
        self.taken_names = {
            name: frozenset(names_of(engine, element.class_name))
            for name, element in self._elements.items()
        }
        self.found: tuple[Device, ...] = tuple(
            _up_to(device, storage_soc_max) if isinstance(device, StorageRating) else device
            for element in (self._elements.values() if discover else ())
            for device in element.find(engine)
        )
        self.is_found = frozenset(self.found).__contains__
        self.sources = engine.source_pu()
        self.sun_shapes = read_sun_shapes(engine)
        self.base_irradiance = read_base_irradiance(engine)
        if idle := disable_idle_controls(engine):
            log.warning("%s switched off: there is nothing that they control", ", ".join(idle))
        find_bases(engine)
        self._ready_controls(discover=discover)
        engine.solve(controls=True)
        growth = take_growth(engine)
        must_have_voltage(engine)
        self.base_problems = check_bases(engine)
        self.loads: LoadTable = read_loads(engine, growth)
        self.buses: tuple[str, ...] = tuple(
            dict.fromkeys(name.rsplit(".", 1)[0] for name in engine.node_names())
        )
        self.nodes: tuple[str, ...] = engine.node_names()
        self.live_nodes = frozenset(
            name for name, live in zip(self.nodes, engine.energised(), strict=True) if live
        )

    def _ready_controls(self, *, discover: bool) -> None:
        """Take over what set-points will rule, before anything is solved."""
        engine = self.engine
        if self.commanded and discover:
            silenced = silence_controls(engine)
            for device in self.found:
                self._elements[device.kind].take_over(engine, device)
        else:
            silenced = confine_controls(engine)
        if silenced:
            why = "set-points rule" if self.commanded else "they act on no device of the master"
            log.warning("%s switched off: %s", ", ".join(silenced), why)

    def leaves_alone(self, device: Device) -> bool:
        """Whether no set-point is written to a device: controls of the engine may act on it."""
        given = self.engine_controls is not None and isinstance(device, StorageRating | PvRating)
        return not self.commanded and (given or self.is_found(device))

    @property
    def source_pu(self) -> float:
        """Per unit voltage of the first source, as the master says."""
        return next(iter(self.sources.values()))

    def circuit(self, moved: Mapping[str, int] | None = None) -> Circuit:
        """The circuit at the present solution; ``moved``: see :func:`read_circuit`."""
        return read_circuit(self.engine, moved)

    def close(self) -> None:
        """Forget the circuit."""
        self.engine.command("clear")


def _up_to(storage: StorageRating, soc_max: float) -> StorageRating:
    """A battery within the window a scenario gives it."""
    max_kwh = soc_max * storage.kwh
    if not max(storage.min_kwh, storage.initial_kwh) <= max_kwh + 1e-9:
        raise FeederError(
            f"storage {storage.name} starts with {storage.initial_kwh:g} kWh and a reserve of "
            f"{storage.min_kwh:g} kWh, above storage_soc_max {soc_max:g} of {storage.kwh:g} kWh"
        )
    return replace(storage, max_kwh=max_kwh)
