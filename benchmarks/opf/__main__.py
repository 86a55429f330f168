"""Measure one row: a feeder, devices, a planner.

Time is CPU time of this process. Memory is the peak of this process up to the end of the control steps.
Before anything is measured the planner plans a two-device case once, so that libraries are loaded and
kernels compiled. The cold plan is then judged by OpenDSS twice: "live", regulators acting from the
measured start, and "held", regulators and capacitors where the plan expects them.

Examples:
  python -m benchmarks.opf --feeder ieee13 --der 4 --planner tangent
  python -m benchmarks.opf --feeder ieee123 --der 16 --planner lindistflow --solver tuned-highs
  python -m benchmarks.opf --feeder ieee123 --der 16 --planner nlp --json rows.jsonl
  python -m benchmarks.opf --feeder FEEDERS/8500-Node/Master.dss --der 100 --planner tangent

A file that ends in .jsonl gets one line more, any other is written anew. Set OPENBLAS_NUM_THREADS=1 and
OMP_NUM_THREADS=1: solvers with threads use more CPU time than they save. Exit code 1: the row failed.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.opf.cases import CaseSpec
from benchmarks.opf.planners import SOLVERS
from benchmarks.opf.row import measure
from benchmarks.opf.row_spec import RowSpec
from cosim.run.shipped import shipped_feeders


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    text = __doc__ or ""
    says = argparse.ArgumentParser(
        prog="python -m benchmarks.opf",
        description=text,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    shipped = ", ".join(shipped_feeders())
    solvers = "; ".join(f"{planner}: {', '.join(names)}" for planner, names in SOLVERS.items())
    says.add_argument("--feeder", required=True, help=f"path of an OpenDSS master, or one of {shipped}")
    says.add_argument("--der", type=int, required=True, help="sites with PV, a battery or both")
    says.add_argument("--periods", type=int, default=24, help="of a plan, over 24 h (24, 48, 96)")
    says.add_argument("--planner", required=True, choices=tuple(SOLVERS))
    says.add_argument("--solver", default="auto", help=solvers)
    says.add_argument("--steps", type=int, default=24, help="control steps after the first plan")
    says.add_argument("--seed", type=int, default=0, help="of the sites and the noise")
    says.add_argument("--noise", type=float, default=0.0, help="of the forecast, part of load and sun")
    says.add_argument("--load-high", type=float, help="highest load multiplier; default by size")
    says.add_argument("--pv-times-load", type=float, help="kW of panels per kW of load; default by size")
    says.add_argument("--vreg", type=float, help="set voltage of all regulators, 0 leaves them as they are")
    says.add_argument("--voltage-min", type=float, default=0.95, help="pu")
    says.add_argument("--voltage-max", type=float, default=1.05, help="pu")
    says.add_argument(
        "--taps",
        default="tangent",
        choices=("tangent", "idle", "measured"),
        help="planner nlp: positions it is given; those of the tangent plan, those the feeder takes with "
        "idle devices, or those measured first",
    )
    says.add_argument("--json", type=Path, help="file for the row")
    return says


def row_spec(given: argparse.Namespace) -> RowSpec:
    """The row that the arguments name."""
    case = CaseSpec(
        given.feeder,
        given.der,
        given.periods,
        given.steps,
        given.seed,
        given.load_high,
        given.pv_times_load,
        given.vreg,
        given.voltage_min,
        given.voltage_max,
    )
    return RowSpec(case, given.planner, given.solver, given.noise, given.taps)


def table(row: dict[str, object]) -> Table:
    """The row for the eye."""
    shown = Table(title=str(row["key"]), show_header=False, min_width=60)
    for name, value in row.items():
        if isinstance(value, dict):
            for inner, number in value.items():
                shown.add_row(f"{name}.{inner}", _text(number))
        elif name != "key":
            shown.add_row(name, _text(value))
    return shown


def _text(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def write(row: dict[str, object], path: Path) -> None:
    """Append a line to a .jsonl file, or write a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".jsonl":
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
    else:
        path.write_text(json.dumps(row, indent=1) + "\n", encoding="utf-8")


def main() -> int:
    """Measure, print, write."""
    given = parser().parse_args()
    logging.basicConfig(level=logging.ERROR, format="%(name)s: %(message)s")
    row = measure(row_spec(given))
    Console().print(table(row))
    if given.json is not None:
        write(row, given.json)
    return 1 if row["error"] else 0


if __name__ == "__main__":
    sys.exit(main())
