"""``cosim feeder``: single-phase feeders of any size, made or derived."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from cosim.commands.console import out
from cosim.networks.balanced import BalancedFeeder
from cosim.networks.der import place_der
from cosim.networks.dss_text import write_model
from cosim.networks.synthetic import synthetic_feeder
from cosim.run.equivalent import equivalent_of
from cosim.run.shipped import find_master

app = typer.Typer(name="feeder", no_args_is_help=True, help="Make single-phase feeders for studies.")

Folder = Annotated[Path, typer.Option("--out", help="folder of the OpenDSS model")]
Seed = Annotated[int, typer.Option(help="of the draws: the same seed gives the same feeder")]
PvShare = Annotated[float, typer.Option(min=0, max=1, help="PV at this share of the load buses")]
PvSize = Annotated[float, typer.Option(help="kW of PV per kW of local load")]
StorageShare = Annotated[float, typer.Option(min=0, max=1, help="batteries, likewise")]
StorageSize = Annotated[float, typer.Option(help="kW of battery per kW of local load")]


@app.command()
def synthetic(
    folder: Folder,
    buses: Annotated[int, typer.Option(min=2, max=20_000)] = 500,
    seed: Seed = 1,
    pv_share: PvShare = 0.2,
    pv_times_load: PvSize = 0.35,
    storage_share: StorageShare = 0.3,
    storage_times_load: StorageSize = 0.35,
) -> None:
    """A synthetic radial feeder with realistic lines and loads.

    Example: `cosim feeder synthetic --buses 2500 --seed 7 --out feeders/synthetic2500`
    """
    feeder = synthetic_feeder(
        buses,
        seed,
        pv_share=pv_share,
        pv_times_load=pv_times_load,
        storage_share=storage_share,
        storage_times_load=storage_times_load,
    )
    _write(feeder, folder)


@app.command()
def balanced(
    master: Annotated[
        Path, typer.Argument(help="OpenDSS master of a three-phase radial feeder, or a shipped one")
    ],
    folder: Folder,
    source_pu: Annotated[float, typer.Option(help="voltage of the substation")] = 1.03,
    seed: Seed = 1,
    pv_share: PvShare = 0.2,
    pv_times_load: PvSize = 0.35,
    storage_share: StorageShare = 0.3,
    storage_times_load: StorageSize = 0.35,
) -> None:
    """The balanced single-phase equivalent of a three-phase radial feeder, with PV and batteries.

    Branch-flow planners need one. A third of the load, positive-sequence impedances, no regulators.
    """
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
