"""``cosim campaign``: many runs from one file."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from rich.box import SIMPLE
from rich.markup import escape
from rich.table import Table

from cosim.api.campaign import Campaign, failed_again, forecast, planned, run_plan
from cosim.commands.codes import REJECTED
from cosim.commands.console import FAILED, FINE, err, out
from cosim.errors import CosimError
from cosim.experiments.campaign.plan import CampaignPlan, run_name
from cosim.experiments.campaign.pool import PoolOptions
from cosim.experiments.campaign.store import Store
from cosim.report.junit import write_junit_campaign, write_junit_error
from cosim.run.signals import polite_signals, reason_of

MOST_SHOWN = 20
MEBIBYTE = 2**20


def campaign(
    file: str,
    folder: Path | None,
    *,
    workers: int | None,
    memory: str | None,
    scheduler: str | None,
    dry_run: bool,
    retry_failed: bool,
    retry: Sequence[str],
    junit: Path | None,
    trust: bool,
) -> int:
    """Run a campaign, or tell what it would take.

    Returns:
        The exit code.
    """
    plan = planned(file, trust=trust)
    place = folder or Path("runs") / plan.file.name
    options = PoolOptions(workers, memory, scheduler)
    again = failed_again(plan, place, retry, every=retry_failed)
    began = time.perf_counter()
    with polite_signals() as requests:
        if dry_run:
            return _dry_run(plan, place, options)
        try:
            done = run_plan(plan, place, options, again, progress=True, between=requests.check)
        except (CosimError, KeyboardInterrupt) as error:
            if junit is not None:
                write_junit_error(junit, plan.file.name, reason_of(error))
            finished = len(Store(place).rows(plan.distinct()))
            err.print(f"{finished} of {len(plan.distinct())} runs are finished; the same command goes on")
            raise
    if junit is not None:
        _write_junit(done, junit, time.perf_counter() - began)
    return _told(done)


def _write_junit(done: Campaign, junit: Path, wall_s: float) -> None:
    failures = {_name_of(row): str(row["cause"]) for _, row in done.failed.iterrows()}
    name = str(done.manifest["campaign"]["name"])
    write_junit_campaign(junit, name, done.verdicts, done.outcomes, failures, wall_s)


def _name_of(row: pd.Series) -> str:
    """What a user calls the run of a row."""
    return run_name(str(row["variant"]), None if pd.isna(row["seed"]) else int(row["seed"]))


def _told(done: Campaign) -> int:
    """Print how a campaign ended."""
    _told_failed(done.failed)
    for verdict in done.verdicts:
        colour = {"pass": "green", "fail": "red"}.get(verdict.state, "yellow")
        out.print(f"[{colour}]{verdict.state}[/{colour}] {escape(verdict.rule)}: {escape(verdict.found)}")
    place = escape(str(done.folder))
    out.print(f"Table: {place}/runs. Page: {place}/index.html")
    if len(done.failed):
        return FAILED
    return REJECTED if done.rejected else FINE


def _told_failed(failed: pd.DataFrame) -> None:
    """Print which runs failed and why, by names that --retry takes."""
    for _, row in failed.head(MOST_SHOWN).iterrows():
        # Whole, so that it can be copied.
        text = f"[red]failed[/red] {escape(_name_of(row))}: {escape(str(row['cause']))}"
        err.print(text, soft_wrap=True)
    if len(failed) > MOST_SHOWN:
        err.print(f"and {len(failed) - MOST_SHOWN} more; the page lists all")
    if len(failed):
        example = shlex.quote(_name_of(failed.iloc[0]))
        err.print(
            f"--retry-failed runs all of them again, --retry RUN one, by its name or key: "
            f"--retry {escape(example)}",
            soft_wrap=True,
        )


def _dry_run(plan: CampaignPlan, folder: Path, options: PoolOptions) -> int:
    """Print the runs, and what they take."""
    table = Table(title=f"Runs of {plan.file.name}", title_justify="left", box=SIMPLE)
    for heading in ("key", "run", "status"):
        table.add_column(heading)
    rows = Store(folder).rows(plan.distinct())
    for run in plan.runs:
        table.add_row(run.key, escape(run.name), rows[run.key].status if run.key in rows else "")
    out.print(table)
    found = forecast(plan, folder, options)
    left = found.distinct - found.finished
    out.print(f"{found.runs} runs, {found.distinct} of different content, {found.finished} finished")
    if found.pilot is None:
        out.print("Nothing is left to compute")
        return FINE
    pilot = found.pilot
    out.print(
        f"One of them was computed to find out, and counts: {pilot.status} after {pilot.seconds or 0:.1f} s"
        + (f" ({escape(pilot.cause)})" if pilot.cause else "")
    )
    out.print(
        f"The other {left}, {found.workers} at a time, would take about {_duration(found.seconds)} and "
        f"{found.bytes / MEBIBYTE:.1f} MiB of disk; {found.free_bytes / MEBIBYTE:.0f} MiB are free"
    )
    return FAILED if pilot.status == "failed" else FINE


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
