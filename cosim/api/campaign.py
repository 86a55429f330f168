"""A campaign from a user's side: run it, read its table, write its page."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd
from rich.markup import escape as plain

from cosim.api.progress import bar
from cosim.api.run import own_figures, write_report
from cosim.experiments.campaign.again import keys_again
from cosim.experiments.campaign.config import find_campaign
from cosim.experiments.campaign.engine import Engine, Tally
from cosim.experiments.campaign.limits import LimitOutcome, limit_outcomes, limits_of
from cosim.experiments.campaign.plan import CampaignPlan, plan_campaign, plan_in_code
from cosim.experiments.campaign.pool import PoolOptions, cores
from cosim.experiments.campaign.row import RunRow
from cosim.experiments.campaign.store import Store
from cosim.experiments.campaign.table import MANIFEST, read_runs
from cosim.experiments.campaign.verdicts import VerdictRow, verdict_rows

PAGE = "index.html"


class Campaign:
    """A campaign on disk.

    Args:
        folder: of the campaign.

    Raises:
        RecordError: the folder holds no campaign, or none of its runs is finished.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self.runs = read_runs(self.folder)

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """The file, its columns, its runs, and the versions of packages."""
        found: dict[str, Any] = json.loads((self.folder / MANIFEST).read_text(encoding="utf-8"))
        return found

    @property
    def complete(self) -> pd.DataFrame:
        """Rows of the runs that came to their end."""
        return self.runs[self.runs["status"] == "complete"]

    @property
    def failed(self) -> pd.DataFrame:
        """Rows of the others, with their cause."""
        return self.runs[self.runs["status"] == "failed"]

    @cached_property
    def outcomes(self) -> tuple[LimitOutcome, ...]:
        """What became of the campaign's limits, variant by variant."""
        return limit_outcomes(limits_of(self.manifest), self.runs, self.manifest["columns"])

    @cached_property
    def verdicts(self) -> tuple[VerdictRow, ...]:
        """What the campaign states about its runs."""
        planned, bounds = len(self.manifest["runs"]), self.manifest.get("bound_of", {})
        return verdict_rows(self.runs, planned, self.outcomes, bounds)

    @property
    def rejected(self) -> bool:
        """Whether a limit that was asked for is not kept."""
        return any(verdict.accepts and verdict.state == "fail" for verdict in self.verdicts)

    def report(self) -> Path:
        """Write the page again and tell where: one HTML file that needs no network."""
        from cosim.report.campaign.report import write_campaign_report

        write_campaign_report(self.folder, self.verdicts, self.outcomes)
        return self.folder / PAGE

    def __repr__(self) -> str:
        name = self.manifest["campaign"]["name"]
        return (
            f"<Campaign {name}: {len(self.runs)} of {len(self.manifest['runs'])} runs, "
            f"{len(self.failed)} failed, in {self.folder}>"
        )

    def _repr_html_(self) -> str:
        return f"<p><code>{escape(repr(self)[1:-1])}</code></p>" + self.runs.to_html(na_rep="")


@dataclass(frozen=True)
class Forecast:
    """What a campaign would take.

    Attributes:
        runs, distinct: all runs, and those whose content differs.
        finished: of the distinct ones.
        pilot: the run that was computed to find out, which counts; None where all are finished.
        workers: runs computed at the same time.
        seconds: that the rest takes if its runs take as long as the pilot; 0 where nothing is left.
        bytes, free_bytes: disk for the rest, and disk that is free.
    """

    runs: int
    distinct: int
    finished: int
    pilot: RunRow | None
    workers: int
    seconds: float
    bytes: int
    free_bytes: int


def campaign(
    file: str | Path | Mapping[str, Any],
    folder: Path | str,
    *,
    workers: int | None = None,
    memory: str | None = None,
    scheduler: str | None = None,
    retry_failed: bool = False,
    retry: Sequence[str] = (),
    trust: bool = False,
    progress: bool = False,
) -> Campaign:
    """Run a campaign; runs that are finished in the folder are not run again.

    In a script, call it under ``if __name__ == "__main__":``, because processes of the pool import the
    script.

    Args:
        file: path of a campaign file, name of a shipped one, or the same content as a dictionary.
        folder: of the campaign.
        workers: processes; default one per core.
        memory: of each process, e.g. ``4GiB``; default an equal share.
        scheduler: address of a dask scheduler, instead of processes of this machine.
        retry_failed: run only what has failed, again.
        retry: of what has failed, run only these runs again, each by its name or its key.
        trust: modules beside the scenario and native code of the master may be executed.
        progress: show a bar.

    Raises:
        ScenarioError: the file is wrong, or ``retry`` names what is no failed run; before anything is
            computed.
        CosimError: another campaign holds the folder, or the scheduler is gone.
    """
    # Before anything is opened: the simulator may change the working directory of this process.
    place = Path(folder).resolve()
    plan = planned(file, trust=trust)
    options = PoolOptions(workers, memory, scheduler)
    again = failed_again(plan, place, retry, every=retry_failed)
    return run_plan(plan, place, options, again, progress=progress)


def planned(file: str | Path | Mapping[str, Any], *, trust: bool = False) -> CampaignPlan:
    """All runs of a campaign.

    Raises:
        ScenarioError: everything that is wrong with it.
    """
    if isinstance(file, Mapping):
        return plan_in_code(dict(file), Path.cwd(), trusted=trust)
    return plan_campaign(find_campaign(str(file)), trusted=trust)


def failed_again(
    plan: CampaignPlan, folder: Path, names: Sequence[str], *, every: bool
) -> frozenset[str] | None:
    """Keys of the failed runs in a folder that are to be run again; see :func:`keys_again`."""
    return keys_again(plan, Store(folder).rows(plan.distinct()), names, every=every)


def run_plan(
    plan: CampaignPlan,
    folder: Path,
    options: PoolOptions,
    again: frozenset[str] | None,
    *,
    progress: bool,
    between: Callable[[], None] = lambda: None,
) -> Campaign:
    """Run a planned campaign and write its page; see :func:`campaign`.

    Args:
        plan: of the campaign.
        folder: of the campaign.
        options: where to compute.
        again: keys of failed runs; only these are run. None: all that are not finished.
        progress: show a bar.
        between: called after each run; what it raises ends the campaign.
    """
    name = plan.file.name
    with bar("runs", shown=progress) as shown:
        task = shown.add_task(name, total=None)

        def heard(tally: Tally) -> None:
            between()
            counts = {"failed": tally.failed, "rejected": tally.rejected}
            said = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
            text = f"{name}: {said}" if said else name
            shown.update(task, total=tally.total, completed=tally.done, description=text)

        def told(text: str) -> None:
            if progress:
                shown.console.print(plain(text))

        engine_of(plan, folder, options, heard, told).run(plan, again)
    found = Campaign(folder)
    found.report()
    return found


def forecast(plan: CampaignPlan, folder: Path, options: PoolOptions) -> Forecast:
    """Compute one run of a campaign and tell what the others take. The run counts."""
    engine = engine_of(plan, folder, options, lambda _tally: None, lambda _text: None)
    pilot, size, places = engine.pilot(plan)
    distinct = len(plan.distinct())
    left = len(engine.tasks(plan, Store(folder).rows(plan.distinct())))
    workers = options.workers or (places if options.scheduler else cores())
    seconds = 0.0 if pilot is None or pilot.seconds is None else pilot.seconds * -(-left // max(1, workers))
    return Forecast(
        runs=len(plan.runs),
        distinct=distinct,
        finished=distinct - left,
        pilot=pilot,
        workers=workers,
        seconds=seconds,
        bytes=size * left,
        free_bytes=shutil.disk_usage(folder).free,
    )


def engine_of(
    plan: CampaignPlan,
    folder: Path,
    options: PoolOptions,
    heard: Callable[[Tally], None],
    told: Callable[[str], None],
) -> Engine:
    """The engine of a campaign; records that are kept get a report each."""
    finish = write_report if "records" in plan.file.keep else None
    return Engine(folder, options, own_figures, finish, heard, told)
