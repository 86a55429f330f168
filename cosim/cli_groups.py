"""The groups ``cosim study`` and ``cosim feeder`` of the command line; they import when they run."""

# Annotations are evaluated at once, as in cosim.cli.
from pathlib import Path
from typing import Annotated

import typer

SystemOption = Annotated[
    list[str] | None, typer.Option(help="shipped single-phase feeder; may be given twice")
]
JsonOption = Annotated[Path | None, typer.Option("--json", help="also write the figures")]
TrustOption = Annotated[
    bool,
    typer.Option(
        "--trust",
        help="execute modules beside the scenario and native code of the master: read them before",
    ),
]

study_app = typer.Typer(
    name="study", no_args_is_help=True, rich_markup_mode=None, help="Campaigns that answer one question."
)
feeder_app = typer.Typer(
    name="feeder",
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Make single-phase feeders for studies.",
)

# --- cosim study ----------------------------------------------------------------------------------

CampaignArgument = Annotated[
    Path | None, typer.Argument(help="campaign file; default the shipped one", metavar="[CAMPAIGN]")
]
RedrawOption = Annotated[bool, typer.Option(help="only write tables and figures of what is there")]
WorkersOption = Annotated[
    int | None, typer.Option(min=1, help="cases side by side; default one, so that seconds compare")
]
SchedulerOption = Annotated[
    str | None, typer.Option(metavar="ADDRESS", help="dask scheduler to compute the cases on")
]


@study_app.command()
def reference(system: SystemOption = None, file: JsonOption = None) -> None:
    """Compute the published single-phase systems from scratch and compare with the published figures.

    About a minute. Exit code 1 if a figure differs.
    """
    from cosim.commands import studies

    studies.reference(system, file)


@study_app.command()
def complementarity(system: SystemOption = None, file: JsonOption = None) -> None:
    """Charging and discharging at once under a negative price, and what cures it, in kW, hours and money.

    A minute or two.
    """
    from cosim.commands import studies

    studies.complementarity(system, file)


@study_app.command("optimality-gap")
def optimality_gap(
    file: CampaignArgument = None,
    folder: Annotated[
        Path, typer.Option("--out", help="rows, tables and figures; an interrupted campaign goes on")
    ] = Path("runs/optimality_gap"),
    small: Annotated[
        bool, typer.Option(help="only the first block, up to 128 buses: a minute or two")
    ] = False,
    redraw: RedrawOption = False,
    workers: WorkersOption = None,
    scheduler: SchedulerOption = None,
) -> None:
    """How far is each formulation from the optimum, and does its plan survive in OpenDSS?

    Every case runs in a process of its own, within the campaign's limits of time and memory. Finished
    cases are kept, and not run again.
    """
    from cosim.commands import studies

    studies.optimality_gap(file, folder, small=small, redraw=redraw, workers=workers, scheduler=scheduler)


@study_app.command()
def methods(
    file: CampaignArgument = None,
    folder: Annotated[
        Path, typer.Option("--out", help="rows, tables and figures; an interrupted campaign goes on")
    ] = Path("runs/methods"),
    small: Annotated[bool, typer.Option(help="four methods on two feeders: a minute")] = False,
    redraw: RedrawOption = False,
    workers: WorkersOption = None,
    scheduler: SchedulerOption = None,
) -> None:
    """Which method plans which feeder, how far from the optimum, at which price in seconds and memory?

    Every case runs in a process of its own, within the campaign's limits of time and memory. Finished
    cases are kept, and not run again.
    """
    from cosim.commands import studies

    studies.methods(file, folder, small=small, redraw=redraw, workers=workers, scheduler=scheduler)


# --- cosim feeder ---------------------------------------------------------------------------------

Folder = Annotated[Path, typer.Option("--out", help="folder of the OpenDSS model")]
Seed = Annotated[int, typer.Option(help="of the draws: the same seed gives the same feeder")]
PvShare = Annotated[float, typer.Option(min=0, max=1, help="PV at this share of the load buses")]
PvSize = Annotated[float, typer.Option(help="kW of PV per kW of local load")]
StorageShare = Annotated[float, typer.Option(min=0, max=1, help="batteries, likewise")]
StorageSize = Annotated[float, typer.Option(help="kW of battery per kW of local load")]


@feeder_app.command()
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

    Example: cosim feeder synthetic --buses 2500 --seed 7 --out feeders/synthetic2500
    """
    from cosim.commands import feeders

    feeders.synthetic(
        folder,
        buses,
        seed,
        pv_share=pv_share,
        pv_times_load=pv_times_load,
        storage_share=storage_share,
        storage_times_load=storage_times_load,
    )


@feeder_app.command()
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
    from cosim.commands import feeders

    feeders.balanced(
        master,
        folder,
        source_pu=source_pu,
        seed=seed,
        pv_share=pv_share,
        pv_times_load=pv_times_load,
        storage_share=storage_share,
        storage_times_load=storage_times_load,
    )
