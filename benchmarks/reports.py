"""Size and opening time of the reports of runs that pass, fail, abort, are long, or have many nodes.

    python -m benchmarks.reports --out DIR [--feeders DIR] [--only NAME ...] [--browser PATH] [--json FILE]

Runs are kept in the folder; one that is there is not run again, but its report is written anew. The
8500-node feeder is left out without ``--feeders``, the folder that holds ``8500-Node/Master.dss``.

Pages are opened in a headless Chromium. Given are the seconds from the start of reading to the first text
on the screen, to the end of loading (the first screen with its picture), and those that all other figures
take when they are asked for at once, as for printing. Each is the least of some repeats, because other
work on the machine only adds to it; the load of the machine stands beside them.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from cosim.errors import CosimError
from cosim.report.html import write_report
from cosim.run.execute import execute, execute_baseline
from cosim.run.record import read_record
from cosim.run.repeat import is_record
from cosim.run.shipped import find_scenario
from cosim.run.study import open_study

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome", "microsoft-edge")
# Without the later ones a browser in a closed network waits for its maker.
QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-quic", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--window-size=1280,800",
)  # fmt: skip
REPEATS = 5
MOST_S = 120.0
WEEK_STEPS = 672
TIMER = """
<script>
addEventListener("load", () => {
  const painted = performance.getEntriesByName("first-contentful-paint")[0];
  const loaded = performance.now();
  dispatchEvent(new Event("beforeprint"));
  const times = [painted ? painted.startTime : null, loaded, performance.now() - loaded];
  document.body.dataset.times = JSON.stringify(times);
});
</script>
"""


@dataclass(frozen=True)
class Case:
    """A run whose report is looked at.

    Attributes:
        name: of its folder.
        scenario: shipped scenario that it starts from.
        changes: keys of the scenario, a dot between levels.
        master: of another feeder, below the folder of the feeders.
    """

    name: str
    scenario: str
    changes: dict[str, Any] = field(default_factory=dict)
    master: str = ""


CASES = (
    Case("pass", "ieee13"),
    Case(
        "fail_by_line",
        "ieee13",
        {
            "limits": {"voltage_min_pu": 0.8, "voltage_max_pu": 1.2},
            "inputs.load.multiplier.scale": 1.4,
        },
    ),
    Case("fail_by_voltage", "ieee13", {"limits": {"voltage_min_pu": 0.98, "voltage_max_pu": 1.02}}),
    Case("aborted", "ieee13", {"faults": {"inject": [{"kind": "controller_error", "from_step": 15}]}}),
    Case("week", "ieee123", {"time.steps": WEEK_STEPS, "control": {"type": "idle"}}),
    Case("ieee8500", "ieee8500", {"time.steps": 24}, master="8500-Node/Master.dss"),
    Case("ieee8500_day", "ieee8500", {}, master="8500-Node/Master.dss"),
)


# --- runs -----------------------------------------------------------------------------------------


def scenario_of(case: Case, folder: Path) -> Path:
    """The scenario of a case as a file; series are repeated as far as the run needs."""
    source = find_scenario(case.scenario)
    scenario = yaml.safe_load(source.read_text(encoding="utf-8"))
    for path, value in case.changes.items():
        *levels, last = path.split(".")
        part = scenario
        for level in levels:
            part = part.setdefault(level, {})
        part[last] = value
    inputs = scenario["inputs"]
    needed_s = scenario["time"]["steps"] * scenario["time"]["step_s"]
    for column in (inputs["load"]["multiplier"], inputs["irradiance"], inputs["price"]):
        column["file"] = str(_repeated(source.parent / column["file"], needed_s, folder))
    changed = folder / f"{case.name}.yaml"
    changed.write_text(yaml.safe_dump(scenario), encoding="utf-8")
    return changed


def _repeated(series: Path, needed_s: int, folder: Path) -> Path:
    """A series that covers a length of time, its days over and over; the file itself where it does."""
    table = pd.read_csv(series)
    times = pd.to_datetime(table["time"])
    whole = times.iloc[-1] - times.iloc[0] + (times.iloc[1] - times.iloc[0])
    copies = -(-needed_s // int(whole.total_seconds()))
    if copies <= 1:
        return series.resolve()
    parts = [table.assign(time=(times + i * whole).map(lambda t: t.isoformat())) for i in range(copies)]
    path = folder / f"{series.stem}_{copies}.csv"
    pd.concat(parts).to_csv(path, index=False)
    return path.resolve()


def run_case(case: Case, folder: Path, feeders: Path | None) -> Path:
    """Run a case unless it is there, and write its report."""
    target = folder / case.name
    if not is_record(target):
        master = feeders / case.master if case.master and feeders is not None else None
        study = open_study(scenario_of(case, folder), master=master)
        try:
            execute(study, target, over="local", overwrite=False, progress=_silent)
        except CosimError as error:
            print(f"  ended early: {error}")
        # Injected faults strike without control too.
        if study.commanded:
            with suppress(CosimError):
                execute_baseline(study, target, progress=_silent)
    write_report(target)
    return target / "report.html"


def _silent(_done: int) -> None:
    """Nobody waits for single steps."""


# --- pages ----------------------------------------------------------------------------------------


def find_browser(given: str) -> str:
    """Path of a Chromium, empty if there is none."""
    found = (shutil.which(name) for name in ((given,) if given else BROWSERS))
    return next((path for path in found if path), "")


def opening_s(page: Path, browser: str, *flags: str) -> dict[str, float | None]:
    """Seconds that a page takes to open, the least of the repeats; None where the browser does not tell.

    Args:
        page: the file.
        browser: path of a Chromium.
        flags: for it beside those that all calls have.

    Raises:
        RuntimeError: the browser shows nothing.
    """
    with tempfile.TemporaryDirectory() as folder:
        timed = Path(folder) / "page.html"
        timed.write_text(
            page.read_text(encoding="utf-8").replace("</body>", TIMER + "</body>"), encoding="utf-8"
        )
        found = [_times(timed, [browser, *flags], Path(folder) / f"profile{i}") for i in range(REPEATS)]
    first, loaded, others = (min(values) for values in zip(*found, strict=True))
    return {
        "first_text_s": round(first / 1e3, 2) if math.isfinite(first) else None,
        "loaded_s": round(loaded / 1e3, 2),
        "all_other_figures_s": round(others / 1e3, 2),
    }


def _times(page: Path, browser: list[str], profile: Path) -> list[float]:
    command = [*browser, *QUIET, f"--user-data-dir={profile}", "--dump-dom", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=MOST_S)
    match = re.search(r'data-times="(\[[^"]*\])"', done.stdout)
    if match is None:
        raise RuntimeError(f"{browser[0]} shows nothing of {page}: {done.stderr[-500:]}")
    return [float("inf") if value is None else float(value) for value in json.loads(match[1])]


def row_of(page: Path, browser: str) -> dict[str, Any]:
    """What is reported of a page."""
    record = read_record(page.parent)
    metrics = json.loads((page.parent / "metrics.json").read_text(encoding="utf-8"))
    row = {
        "verdict": metrics["verdict"]["judgement"],
        "steps": len(record.steps),
        "nodes": len(record.site.nodes),
        "size_mb": round(page.stat().st_size / 1e6, 2),
    }
    return row | (opening_s(page, browser) if browser else {})


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--feeders", type=Path, help="folder with 8500-Node/Master.dss")
    parser.add_argument("--only", nargs="+", choices=[case.name for case in CASES], default=[])
    parser.add_argument("--browser", default="", help="a Chromium; default: the first one found")
    parser.add_argument("--json", type=Path, default=Path("docs/results/reports.json"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    browser = find_browser(arguments.browser)
    if not browser:
        names = arguments.browser or ", ".join(BROWSERS)
        print(
            f"no browser found ({names}): sizes only; install Chromium or give --browser", file=sys.stderr
        )
    rows: dict[str, Any] = {}
    for case in CASES:
        if (arguments.only and case.name not in arguments.only) or (case.master and not arguments.feeders):
            continue
        print(case.name)
        rows[case.name] = row_of(run_case(case, arguments.out, arguments.feeders), browser)
        print(f"  {rows[case.name]}")
    machine = {"cores": os.cpu_count(), "load_average": round(os.getloadavg()[0], 1)}
    result = {
        "command": "python -m benchmarks.reports --out DIR --feeders DIR",
        "machine": machine,
        "reports": rows,
    }
    arguments.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
