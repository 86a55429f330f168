"""CPU and wall seconds of the test suite, by file.

    python -m benchmarks.suite_time [--out FILE] [-- PYTEST ARGUMENT ...]

The module is a pytest plug-in as well, which notes what each test took in whichever worker it ran. CPU
seconds are user and system, of the test's process and of its children that have ended. Other work on the
machine lengthens wall seconds a lot and CPU seconds a little: the load average at the start tells of it.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

OUT = Path("docs/results/suite_time.json")


def cpu_s() -> float:
    """CPU seconds so far of this process and of its ended children."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option of the file to write."""
    parser.addoption("--suite-time", metavar="FILE", help="write CPU and wall seconds by test file")


def pytest_configure(config: pytest.Config) -> None:
    """Collect in the process that sees the reports of all workers."""
    config.pluginmanager.register(_Clock(), "suite-time-of-phases")
    file = config.getoption("--suite-time")
    if file and not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Ledger(Path(file)), "suite-time-ledger")


class _Clock:
    """Note on each report what its phase (setup, call, teardown) took."""

    def __init__(self) -> None:
        self._before_s = cpu_s()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(self) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        now_s = cpu_s()
        # Attributes of a report travel from a worker with it.
        report.__dict__["cpu_s"] = now_s - self._before_s
        self._before_s = now_s
        return report


class _Ledger:
    """Sum the reports by file, and write the sums at the end."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._wall_s: defaultdict[str, float] = defaultdict(float)
        self._cpu_s: defaultdict[str, float] = defaultdict(float)
        self._tests: defaultdict[str, set[str]] = defaultdict(set)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        file = report.nodeid.split("::")[0]
        self._wall_s[file] += report.duration
        self._cpu_s[file] += float(report.__dict__.get("cpu_s", 0.0))
        self._tests[file].add(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        rows = [
            {
                "file": file,
                "tests": len(self._tests[file]),
                "cpu_s": round(self._cpu_s[file], 2),
                "wall_s": round(self._wall_s[file], 2),
            }
            for file in sorted(self._cpu_s, key=lambda name: -self._cpu_s[name])
        ]
        self._file.write_text(json.dumps(rows), encoding="utf-8")


def measure(arguments: list[str]) -> dict[str, Any]:
    """Run the suite; exit code, seconds of the whole, and a row per file."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    load_average, began = os.getloadavg()[0], time.monotonic()
    with tempfile.TemporaryDirectory() as home:
        file = Path(home) / "files.json"
        plugin = ["-p", "benchmarks.suite_time", "--suite-time", str(file)]
        command = [sys.executable, "-m", "pytest", "-q", *plugin, *arguments]
        code = subprocess.run(command, check=False).returncode
        files = json.loads(file.read_text(encoding="utf-8"))
    wall_s, used = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    before_s, used_s = (usage.ru_utime + usage.ru_stime for usage in (before, used))
    return {
        "exit_code": code,
        "cores": os.cpu_count(),
        "load_average_at_start": round(load_average, 2),
        "wall_s": round(wall_s, 1),
        "cpu_s": round(used_s - before_s, 1),
        "files": files,
    }


def main() -> int:
    """Measure, show and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("arguments", nargs="*", help="of pytest, after --")
    options = parser.parse_args()
    found = measure(options.arguments)
    for row in found["files"]:
        print(f"{row['cpu_s']:8.1f} {row['wall_s']:8.1f} {row['tests']:5d}  {row['file']}")
    print(f"{found['cpu_s']:8.1f} {found['wall_s']:8.1f}        whole suite, CPU and wall seconds")
    options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return int(found["exit_code"])


if __name__ == "__main__":
    sys.exit(main())
