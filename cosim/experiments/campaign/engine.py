"""Computes the runs of a campaign that are not finished, and writes the table of all."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import reduce
from itertools import islice
from pathlib import Path
from typing import Any

from cosim.errors import CosimError
from cosim.experiments.campaign.plan import CampaignPlan
from cosim.experiments.campaign.pool import TRIES, PoolOptions, Told, open_pool, places
from cosim.experiments.campaign.row import RunRow
from cosim.experiments.campaign.store import Store
from cosim.experiments.campaign.table import write_tables
from cosim.experiments.campaign.work import Finish, Measure, Task, lost, run_in_worker

MOST_SUBMITTED = 500
"""Runs that a scheduler holds at a time; it keeps each of their studies in memory."""
SCHEDULER_GONE = "the dask scheduler is gone; finished runs are kept, the same command goes on"


@dataclass(frozen=True)
class Tally:
    """How far a campaign is, in runs of different content.

    Attributes:
        total: all of them.
        done: that have ended, and of these:
        failed: without a result.
        rejected: with a result that breaks a limit of the scenario.
    """

    total: int
    done: int = 0
    failed: int = 0
    rejected: int = 0

    def with_row(self, row: RunRow) -> Tally:
        """One run more."""
        failed, rejected = row.status == "failed", row.figures.get("accepted") is False
        return Tally(self.total, self.done + 1, self.failed + failed, self.rejected + rejected)


Heard = Callable[[Tally], None]
"""Called at the beginning and after each run."""


@dataclass(frozen=True)
class Engine:
    """Computes campaigns in one folder.

    Attributes:
        folder: of the campaign; runs that an earlier one finished in it count.
        pool: where to compute.
        measure: metrics of users.
        finish: completes each record that is kept.
        heard: told of every finished run.
        told: hears the address of the dashboard.
    """

    folder: Path
    pool: PoolOptions
    measure: Measure
    finish: Finish | None
    heard: Heard
    told: Told

    def run(self, plan: CampaignPlan, again: Collection[str] | None = None) -> dict[str, RunRow]:
        """Compute what is not finished and write the table, also where the campaign is interrupted.

        Args:
            plan: of the campaign.
            again: keys of failed runs; only these are computed. None: all that are not finished.

        Returns:
            Rows by key.

        Raises:
            CosimError: another campaign holds the folder, or the scheduler is gone.
            KeyboardInterrupt: the user has enough; finished runs are kept.
        """
        store = Store(self.folder)
        with store.held() as scratch:
            earlier = store.rows(plan.distinct())
            tasks = self.tasks(plan, earlier, again)
            waiting = {task.key for task in tasks}
            kept = [row for key, row in earlier.items() if key not in waiting]
            tally = reduce(Tally.with_row, kept, Tally(len(plan.distinct())))
            self.heard(tally)
            try:
                if tasks:
                    with open_pool(self.pool, scratch, self.told) as client:
                        for row in computed(client, store, tasks):
                            tally = tally.with_row(row)
                            self.heard(tally)
            finally:
                rows = store.rows(plan.distinct())
                write_tables(plan, rows, self.folder)
        return rows

    def pilot(self, plan: CampaignPlan) -> tuple[RunRow | None, int, int]:
        """Compute one run that is not finished; it counts.

        Returns:
            Its row, None where all runs are finished; bytes of disk it takes; runs computed at a time.
        """
        store = Store(self.folder)
        with store.held() as scratch:
            tasks = self.tasks(plan, store.rows(plan.distinct()))
            if not tasks:
                return None, 0, 0
            with open_pool(self.pool.for_one_run(), scratch, self.told) as client:
                row = next(iter(computed(client, store, tasks[:1])))
                return row, store.bytes_of(row.key), self.pool.processes or places(client)

    def tasks(
        self, plan: CampaignPlan, earlier: dict[str, RunRow], again: Collection[str] | None = None
    ) -> list[Task]:
        """What is to be computed, in the order of the plan: also runs that lack a metric asked for.

        Args:
            plan: of the campaign.
            earlier: rows of the runs that are finished, by key.
            again: see :meth:`run`.
        """
        wanted, asked = [], plan.asked_metrics()
        for key, run in sorted(plan.distinct().items(), key=lambda item: plan.runs.index(item[1])):
            row = earlier.get(key)
            if _is_due(row, asked) if again is None else _is_failed(row) and key in again:
                attempt = 1 if row is None else row.attempt + 1
                wanted.append(
                    Task(
                        key,
                        run.study.to_json(),
                        plan.file.over,
                        self.folder.resolve(),
                        plan.file.seconds,
                        attempt,
                        self.measure,
                        asked,
                        keep_steps="steps" in plan.file.keep,
                        keep_record="records" in plan.file.keep,
                        finish=self.finish,
                    )
                )
        return wanted


def _is_due(row: RunRow | None, asked: Collection[str]) -> bool:
    """Whether a run is to be computed, given what became of it earlier; a failed one is not."""
    return row is None or not (_is_failed(row) or row.has(asked))


def _is_failed(row: RunRow | None) -> bool:
    return row is not None and row.status == "failed"


def computed(client: Any, store: Store, tasks: list[Task]) -> Iterator[RunRow]:
    """Rows of tasks as they are committed.

    Raises:
        CosimError: the scheduler is gone.
    """
    from distributed import as_completed

    left, names = iter(tasks), {_name(task): task for task in tasks}
    waiting = as_completed(_submitted(client, list(islice(left, MOST_SUBMITTED))), loop=client.loop)
    for future in waiting:
        task = names[future.key]
        if future.status in ("cancelled", "lost"):
            raise CosimError(SCHEDULER_GONE)
        row = store.row(task.key)
        if row is None or row.attempt < task.attempt:
            row = lost(task, _cause(future))
            store.commit(row)
        future.release()
        yield row
        for more in _submitted(client, list(islice(left, 1))):
            waiting.add(more)


def _submitted(client: Any, tasks: list[Task]) -> list[Any]:
    found: list[Any] = client.map(run_in_worker, tasks, key=[_name(task) for task in tasks], pure=False)
    return found


def _name(task: Task) -> str:
    """The same for the same work.

    A scheduler that still computes it, for a client that died, does not begin it again.
    """
    place = hashlib.sha256(str(task.folder).encode()).hexdigest()[:8]
    return f"cosim-{place}-{task.key}-{task.attempt}"


def _cause(future: Any) -> str:
    """Why a run is not committed."""
    from distributed import KilledWorker

    error = future.exception() if future.status == "error" else None
    if isinstance(error, KilledWorker):
        return (
            f"ended {TRIES} processes: it needs more memory than --memory allows, or a library of its own "
            "crashes"
        )
    return f"not committed: {type(error).__name__}: {error}"
