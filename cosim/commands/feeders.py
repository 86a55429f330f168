"""``cosim feeder``: single-phase feeders of any size, made or derived."""

from __future__ import annotations

from pathlib import Path

from rich.markup import escape

from cosim.commands.console import out
from cosim.networks.balanced import BalancedFeeder
from cosim.networks.der import place_der
from cosim.networks.dss_text import write_model
from cosim.networks.synthetic import synthetic_feeder
from cosim.run.equivalent import equivalent_of
from cosim.run.shipped import find_master


def synthetic(
    folder: Path,
    buses: int,
    seed: int,
    *,
    pv_share: float,
    pv_times_load: float,
    storage_share: float,
    storage_times_load: float,
) -> None:
    """Make a synthetic radial feeder with realistic lines and loads."""
    feeder = synthetic_feeder(
        buses,
        seed,
        pv_share=pv_share,
        pv_times_load=pv_times_load,
        storage_share=storage_share,
        storage_times_load=storage_times_load,
    )
    _write(feeder, folder)


def balanced(
    master: Path,
    folder: Path,
    *,
    source_pu: float,
    seed: int,
    pv_share: float,
    pv_times_load: float,
    storage_share: float,
    storage_times_load: float,
) -> None:
    """Derive the balanced single-phase equivalent of a three-phase feeder, with PV and batteries."""
    master = find_master(master)
    equivalent = equivalent_of(
        master, name=f"{master.resolve().parent.name.lower().replace(' ', '_')}_1ph", source_pu=source_pu
    )
    placed = place_der(
        equivalent,
        pv_share=pv_share,
        pv_times_load=pv_times_load,
        storage_share=storage_share,
        storage_times_load=storage_times_load,
        seed=seed,
    )
    _write(placed, folder)


def _write(feeder: BalancedFeeder, folder: Path) -> None:
    master = write_model(feeder, folder)
    kw, kvar = feeder.peak_demand()
    out.print(
        f"{feeder.size} buses, {len(feeder.loads.bus)} loads ({kw.sum():.0f} kW + {kvar.sum():.0f} kvar "
        f"in the one phase), {len(feeder.storages.bus)} batteries, {len(feeder.pvs.bus)} PV systems: "
        f"{escape(str(master))}"
    )
