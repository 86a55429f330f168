"""``cosim campaign`` of the command line; what it needs is imported when it runs."""

# Annotations are evaluated at once, as in cosim.cli.
from pathlib import Path
from typing import Annotated

import typer

from cosim.cli_groups import TrustOption


def campaign(
    file: Annotated[
        str, typer.Argument(help="a campaign file, or the name of a shipped one", metavar="CAMPAIGN")
    ],
    folder: Annotated[
        Path | None, typer.Option("--out", help="folder of the campaign; default runs/NAME")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="processes; default one per core")] = None,
    memory: Annotated[
        str | None, typer.Option(help="of each process, e.g. 4GiB; default an equal share")
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="dask scheduler to use instead of own processes")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="list the runs, compute one, tell time and disk of the others")
    ] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="run only what has failed, again")
    ] = False,
    retry: Annotated[
        list[str] | None,
        typer.Option(metavar="RUN", help="run only this failed run again, by name or key; repeatable"),
    ] = None,
    junit: Annotated[
        Path | None, typer.Option("--junit", help="also write the outcome as JUnit XML", metavar="FILE")
    ] = None,
    trust: TrustOption = False,
) -> None:
    """Run many scenarios from one file: axes, seeds, a pool of processes, one table, one page.

    Finished runs are kept, whatever ends the campaign; the same command goes on. Exit code 1 where a run
    failed, 3 where a limit under accept is not kept.

    Example: cosim campaign acceptance_ci --out runs/ci
    """
    from cosim.commands import campaigns

    code = campaigns.campaign(
        file,
        folder,
        workers=workers,
        memory=memory,
        scheduler=scheduler,
        dry_run=dry_run,
        retry_failed=retry_failed,
        retry=retry or (),
        junit=junit,
        trust=trust,
    )
    raise typer.Exit(code)
