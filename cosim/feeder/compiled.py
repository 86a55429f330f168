"""A compiled master file, before any device of a scenario is added."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from cosim.errors import FeederError
from cosim.feeder.bases import check_bases, find_bases
from cosim.feeder.circuit import Circuit, read_circuit
from cosim.feeder.devices import (
    LoadTable,
    confine_controls,
    find_pv,
    find_storage,
    names_of,
    read_loads,
    silence_controls,
    take_over_pv,
    take_over_storage,
)
from cosim.feeder.engine import Engine
from cosim.model.ratings import StorageRating

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
        storage_soc_max: upper end of the window of the batteries it defines, as a share of the full
            cell; OpenDSS has no property for it.
    """

    def __init__(
        self,
        master: Path,
        *,
        tolerance: float = 1e-8,
        vreg: float | None = None,
        discover: bool = True,
        commanded: bool = True,
        storage_soc_max: float = 1.0,
    ) -> None:
        self.master = master
        self.tolerance = tolerance
        self.engine = engine = Engine()
        engine.compile(master)
        engine.command("set mode=snapshot controlmode=static maxiterations=100 maxcontroliter=100")
        if vreg is not None and engine.dss.RegControls.Count():
            engine.command(f"batchedit regcontrol..* vreg={float(vreg)!r}")
        self.commanded = commanded
        self.storage_names = frozenset(names_of(engine, "storage"))
        self.pv_names = frozenset(names_of(engine, "pvsystem"))
        self.found_storages = tuple(
            _up_to(storage, storage_soc_max) for storage in (find_storage(engine) if discover else ())
        )
        self.found_pvs = tuple(find_pv(engine)) if discover else ()
        find_bases(engine)
        self._ready_controls(discover=discover)
        engine.solve(controls=True)
        self.base_problems = check_bases(engine)
        self.loads: LoadTable = read_loads(engine)
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
            for storage in self.found_storages:
                take_over_storage(engine, storage)
            for pv in self.found_pvs:
                take_over_pv(engine, pv)
        else:
            silenced = confine_controls(engine)
        if silenced:
            why = "set-points rule" if self.commanded else "they act on no device of the master"
            log.warning("%s switched off: %s", ", ".join(silenced), why)

    def circuit(self) -> Circuit:
        """The circuit at the present solution."""
        return read_circuit(self.engine)

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
