"""Is this machine ready to run scenarios?"""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version

from cosim import plugins
from cosim.errors import CosimError
from cosim.run.assembly import Assembly
from cosim.run.loop import run_loop
from cosim.run.manifest import PACKAGE, required_packages
from cosim.run.shipped import find_scenario
from cosim.run.study import Study, open_study

Check = tuple[str, bool, str]
BROKER_PROBE = "federates"


def checks() -> Iterator[Check]:
    """Name, whether it is fine, and a detail, one after the other."""
    yield _versions()
    yield _try("OpenDSS", _opendss)
    yield _try("HELICS", _helics)
    yield _try("solver", _solver)


def _versions() -> Check:
    found, missing = [f"python {platform.python_version()}"], []
    try:
        names = required_packages()
    except PackageNotFoundError:
        names = (PACKAGE,)
    for name in names:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    if missing:
        return "versions", False, f"not installed: {', '.join(missing)}; run pip install cosim-opf again"
    return "versions", True, ", ".join(found)


def _try(name: str, probe: Callable[[], str]) -> Check:
    try:
        return name, True, probe()
    except (CosimError, OSError, subprocess.SubprocessError) as error:
        return name, False, str(error)


def _study() -> Study:
    return open_study(find_scenario("ieee13"), steps=1).without_control()


def _opendss() -> str:
    lowest: list[float] = []
    with Assembly(_study()) as assembly:
        plant, controller = assembly.plant, assembly.controller
        run_loop(plant, controller, lambda step: lowest.append(step.outcome.result.voltage_pu.min()))
    return f"IEEE 13 solves, lowest voltage {lowest[0]:.4f} pu"


def _helics() -> str:
    """Start the broker as a run would, on a free port, and end it again."""
    probe = subprocess.run(
        [sys.executable, "-m", BROKER_PROBE, "broker", "--probe"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    if probe.returncode:
        raise CosimError(probe.stdout.strip() or probe.stderr.strip()[-300:])
    return probe.stdout.strip()


def _solver() -> str:
    from cosim.opf.problem import check_solver

    planners = ", ".join(plugins.names("cosim.planners"))
    return f"{check_solver('clarabel').lower()} is installed; planners: {planners}"
