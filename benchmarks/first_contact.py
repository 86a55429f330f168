"""How long the command line and ``import cosim`` take to start, against ``import typer``.

    python -m benchmarks.first_contact [--repeats 15] [--out FILE]

The three are run in turn, so that a busy machine slows all of them. Written are medians of CPU and wall
seconds, their ratios, and what ``import cosim`` imports.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

HEAVY = (
    "cvxpy",
    "opendssdirect",
    "helics",
    "numba",
    "pandas",
    "scipy",
    "pydantic",
    "plotly",
    "rich",
    "dask",
)
COMMANDS = {
    "python": ("-c", "pass"),
    "import typer": ("-c", "import typer"),
    "import cosim": ("-c", "import cosim"),
    "cosim --help": ("-m", "cosim.cli", "--help"),
}
Seconds = tuple[float, float]


def seconds(arguments: Sequence[str]) -> Seconds:
    """CPU and wall seconds of one start of Python."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    after, wall_s = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - began
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall_s


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--out", type=Path, default=None)
    options = parser.parse_args()
    found: dict[str, list[Seconds]] = {name: [] for name in COMMANDS}
    for _ in range(options.repeats):
        for name, arguments in COMMANDS.items():
            found[name].append(seconds(arguments))
    cpu_s = {name: median(cpu for cpu, _ in times) for name, times in found.items()}
    wall_s = {name: median(wall for _, wall in times) for name, times in found.items()}
    code = f"import sys, cosim; print(sorted({set(HEAVY)!r} & set(sys.modules)), sorted(dir(cosim)))"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    result = {
        "cpu_s": {name: round(value, 4) for name, value in cpu_s.items()},
        "wall_s": {name: round(value, 4) for name, value in wall_s.items()},
        "help_over_import_typer_cpu": round(cpu_s["cosim --help"] / cpu_s["import typer"], 3),
        "help_over_import_typer_wall": round(wall_s["cosim --help"] / wall_s["import typer"], 3),
        "heavy_modules_and_names": loaded.stdout.strip(),
        "repeats": options.repeats,
    }
    print(json.dumps(result, indent=2))
    if options.out is not None:
        options.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
