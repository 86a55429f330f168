"""A run and the one without control beside it, over the same steps."""

from __future__ import annotations

from pathlib import Path

from cosim.errors import RecordError
from cosim.experiments.metrics import same_steps
from cosim.run.record import Record, read_record


def read_compared(folder: Path) -> tuple[Record, Record | None, str]:
    """A run, its baseline over the same steps, and why there is none.

    Args:
        folder: of the run; the baseline is looked for in ``baseline/``.

    Raises:
        RecordError: the folder is no run, or holds no finished step.
    """
    record = read_record(folder)
    if not (folder / "baseline" / "manifest.json").is_file():
        return record, None, "no baseline was run"
    try:
        whole = read_record(folder / "baseline")
    except RecordError:
        return record, None, "the baseline holds no finished step"
    baseline = same_steps(whole, record)
    if baseline is None:
        why = "the baseline lacks steps or nodes of the run, so the two are not compared"
        return record, None, why
    return record, baseline, ""
