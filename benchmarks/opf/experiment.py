"""A row of the study as an experiment; imports little, because the memory of its process is measured."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.opf.row import measure
from benchmarks.opf.row_spec import RowSpec
from cosim.experiments.executor import Experiment

GROWING_SEED = 7
"""Of synthetic feeders."""


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


def failed(spec: RowSpec, error: str) -> dict[str, object]:
    """What stands in the file for a row that gave none."""
    return {"key": spec.key, **spec.identity(), "error": error}


def run_row(spec: RowSpec) -> dict[str, object]:
    """Measure a row in this process, on a feeder that is made if it is synthetic."""
    grow(Path(spec.case.feeder))
    return measure(spec)


OPF_ROWS: Experiment[RowSpec, dict[str, object]] = Experiment(
    door="benchmarks.opf.experiment:OPF_ROWS", case=RowSpec, row=dict, run=run_row, failed=failed
)
