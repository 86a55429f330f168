"""Many cases of one experiment, each in a process of its own, kept row by row.

An experiment says what a case is and what running it gives. A case runs with one thread, so that its memory
is its own, its seconds compare, and its end is not ours. Every finished case leaves its row at once; an
interrupted campaign goes on where it stopped. Cases are computed one after another, or on the processes
that runs of a campaign are computed on.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, cast

import cattrs

from cosim.errors import RecordError
from cosim.experiments.campaign.pool import ONE_THREAD, PoolOptions, open_pool, places
from cosim.run.manifest import software_versions

ROWS, VERSIONS = "rows.jsonl", "versions.json"
OUT_OF_MEMORY = (
    "MemoryError",
    "memory allocation",
    "bad_alloc",
    "Cannot allocate memory",
    "failed to map segment from shared object",
)
"""How Python, Rust, C++, the system and its loader of libraries say it."""

Progress = Callable[[int, int, str], None]
"""Called with the number of finished cases, of all cases, and the case that runs."""


class Keyed(Protocol):
    """A case: a frozen dataclass of plain values."""

    @property
    def key(self) -> str:
        """Name of the case, by which its row is found."""
        ...


C = TypeVar("C", bound=Keyed)
R = TypeVar("R")


@dataclass(frozen=True)
class Budget:
    """What a case may use.

    Attributes:
        seconds: it is stopped after this.
        memory_gib: of address space; None: as much as there is.
    """

    seconds: float
    memory_gib: float | None = None

    @property
    def out_of_time(self) -> str:
        """How the row of a case says that it was stopped by time."""
        return f"time limit of {self.seconds:g} s"

    @property
    def out_of_memory(self) -> str:
        """The same by memory."""
        return f"memory limit of {self.memory_gib:g} GiB"


def _always(_row: object, _case: object, _budget: Budget) -> bool:
    return True


def _never(_case: object, _done: object) -> str:
    return ""


@dataclass(frozen=True)
class Experiment(Generic[C, R]):
    """What a campaign repeats.

    Attributes:
        door: ``module:NAME`` of this object, by which the process of a case finds it.
        case, row: dataclasses of plain values; a row has the ``key`` of its case.
        run: runs a case in this process.
        failed: the row of a case that gave none, and why.
        counts: whether a row of an earlier run answers a case.
        hopeless: why a case need not be tried, given the rows of the cases before it; empty if it should.
    """

    door: str
    case: type[C]
    row: type[R]
    run: Callable[[C], R]
    failed: Callable[[C, str], R]
    counts: Callable[[R, C, Budget], bool] = _always
    hopeless: Callable[[C, Mapping[str, R]], str] = _never

    def campaign(
        self,
        cases: Sequence[C],
        folder: Path,
        budget: Budget,
        progress: Progress,
        pool: PoolOptions | None = None,
    ) -> dict[str, R]:
        """Run the cases that are not finished yet.

        Args:
            cases: in the order in which they are run.
            folder: gets ``rows.jsonl`` and ``versions.json``; rows of an earlier run are kept.
            budget: of each case.
            progress: told before each case, and at the end.
            pool: where to compute; None: one case after another, so that seconds compare. Cases that are
                computed side by side may be tried although those before them would show them hopeless.

        Returns:
            Rows of the cases by key, also those of earlier runs.

        Raises:
            CosimError: the scheduler of the pool does not answer.
        """
        folder.mkdir(parents=True, exist_ok=True)
        versions = json.dumps(software_versions(), indent=2)
        (folder / VERSIONS).write_text(versions + "\n", encoding="utf-8")
        _end_last_line(folder / ROWS)
        earlier = self.rows(folder) if (folder / ROWS).is_file() else {}
        done = {
            case.key: earlier[case.key]
            for case in cases
            if case.key in earlier and self.counts(earlier[case.key], case, budget)
        }
        left = [case for case in cases if case.key not in done]

        def begun(case: C) -> None:
            progress(len(done), len(cases), case.key)

        rows = self._in_turn(left, done, budget, begun)
        if pool is not None:
            rows = self._side_by_side(left, done, budget, begun, pool)
        for key, row in rows:
            done[key] = row
            with (folder / ROWS).open("a", encoding="utf-8") as file:
                file.write(json.dumps(cattrs.unstructure(row)) + "\n")
        progress(len(cases), len(cases), "")
        return {case.key: done[case.key] for case in cases}

    def _in_turn(
        self, cases: Sequence[C], done: Mapping[str, R], budget: Budget, begun: Callable[[C], None]
    ) -> Iterator[tuple[str, R]]:
        """Rows by key; ``done`` has those before."""
        for case in cases:
            begun(case)
            why_not = self.hopeless(case, done)
            yield case.key, self.failed(case, why_not) if why_not else self.in_own_process(case, budget)

    def _side_by_side(
        self,
        cases: Sequence[C],
        done: Mapping[str, R],
        budget: Budget,
        begun: Callable[[C], None],
        pool: PoolOptions,
    ) -> Iterator[tuple[str, R]]:
        """Rows by key as they come; a case is looked at when there is a place for it."""
        from distributed import as_completed

        left, keys = iter(cases), dict[str, str]()
        with tempfile.TemporaryDirectory() as scratch, open_pool(pool, Path(scratch), _unheard) as client:
            waiting, free = as_completed(loop=client.loop), places(client)
            while True:
                while free and (case := next(left, None)) is not None:
                    begun(case)
                    why_not = self.hopeless(case, done)
                    if why_not:
                        yield case.key, self.failed(case, why_not)
                        continue
                    future = client.submit(_in_worker, self.door, case, budget, pure=False)
                    keys[future.key] = case.key
                    waiting.add(future)
                    free -= 1
                if waiting.is_empty():
                    return
                future = next(waiting)
                free += 1
                yield keys[future.key], future.result()

    def rows(self, folder: Path) -> dict[str, R]:
        """Rows of a folder by key; the last of each counts, a line cut short by a crash does not.

        Raises:
            RecordError: the folder holds no campaign.
        """
        path = folder / ROWS
        if not path.is_file():
            raise RecordError(f"{folder} holds no campaign ({ROWS} is missing)")
        rows: dict[str, R] = {}
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                values = json.loads(line)
                rows[str(values["key"])] = cattrs.structure(values, self.row)
            except (ValueError, KeyError, TypeError, cattrs.BaseValidationError):
                continue
        return rows

    def in_own_process(self, case: C, budget: Budget) -> R:
        """Run a case in a process of its own; one that dies or exceeds its budget gives a failed row."""
        request = {"door": self.door, "memory_gib": budget.memory_gib, "case": cattrs.unstructure(case)}
        with tempfile.TemporaryDirectory() as folder:
            answer = Path(folder) / "row.json"
            try:
                ended = subprocess.run(
                    [sys.executable, "-m", "cosim.experiments.executor", str(answer)],
                    input=json.dumps(request),
                    capture_output=True,
                    text=True,
                    timeout=budget.seconds,
                    check=False,
                    env={**os.environ, **ONE_THREAD},
                )
            except subprocess.TimeoutExpired:
                return self.failed(case, budget.out_of_time)
            if ended.returncode == 0 and answer.is_file():
                return cattrs.structure(json.loads(answer.read_text(encoding="utf-8")), self.row)
        if any(sign in ended.stderr for sign in OUT_OF_MEMORY):
            return self.failed(case, budget.out_of_memory if budget.memory_gib else "out of memory")
        lines = [line for line in ended.stderr.strip().splitlines() if not line.startswith(" ")]
        return self.failed(case, f"failed: {lines[-1] if lines else f'exit code {ended.returncode}'}")


def _in_worker(door: str, case: Any, budget: Budget) -> Any:
    """The row of a case, from a process that a worker of a pool starts for it."""
    return _experiment(door).in_own_process(case, budget)


def _experiment(door: str) -> Experiment[Any, Any]:
    module, _, name = door.partition(":")
    return cast("Experiment[Any, Any]", getattr(importlib.import_module(module), name))


def _unheard(_sentence: str) -> None:
    pass


def _end_last_line(path: Path) -> None:
    """A line that a crash cut short must not swallow the next one."""
    if path.is_file() and not path.read_bytes().endswith(b"\n"):
        with path.open("a", encoding="utf-8") as file:
            file.write("\n")


def main() -> None:
    """A case as JSON on standard input, its row as JSON in the file that is the argument.

    Not on standard output: solvers and the simulator write there too.
    """
    request = json.load(sys.stdin)
    experiment = _experiment(request["door"])
    if request["memory_gib"] is not None:
        # After the import: libraries that cannot load within the limit crash without a word.
        limit = int(request["memory_gib"] * 2**30)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    row = experiment.run(cattrs.structure(request["case"], experiment.case))
    Path(sys.argv[1]).write_text(json.dumps(cattrs.unstructure(row)), encoding="utf-8")


if __name__ == "__main__":
    main()
