"""What the processes of a run import before they work: nothing heavy that they may have no use for."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = (
    "numba",
    "pandas",
    "scipy.stats",
    "cvxpy",
    "plotly",
    "matplotlib",
    "casadi",
    "opendssdirect",
    "networkx",
    "sklearn",
    "pydantic",
)
PROGRAM = "import importlib, json, sys; importlib.import_module(sys.argv[1]); print(json.dumps(sorted(sys.modules)))"


@pytest.mark.parametrize(
    ("module", "needed"),
    [
        ("federates.broker", set()),
        ("federates.controller", {"pydantic"}),
        ("federates.recorder", {"pydantic"}),
        ("federates.feeder", {"networkx", "opendssdirect", "pandas", "pydantic"}),
        ("cosim.commands.runs", {"networkx", "opendssdirect", "pandas", "pydantic"}),
    ],
)
def test_a_process_imports_what_it_needs(module, needed):
    command = [sys.executable, "-c", PROGRAM, module]
    loaded = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert set(HEAVY) & set(loaded) == needed
