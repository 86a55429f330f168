"""What metrics are functions of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from cosim.experiments.control_metrics import ControlMetrics
from cosim.experiments.run_metrics import RunMetrics
from cosim.model.arrays import FloatArray
from cosim.run.record import Record


@dataclass(frozen=True)
class Measured:
    """A run, ready to be measured.

    Attributes:
        record: its steps with a power flow.
        run: what it cost and did.
        control: how its controller worked; None where nothing was controlled.
        facts: section ``metrics`` of the scenario; of a baseline, that of the run.
    """

    record: Record
    run: RunMetrics
    control: ControlMetrics | None
    facts: dict[str, Any]

    def column(self, name: str) -> FloatArray | None:
        """A scalar column, shape (step,); None in a record that lacks it."""
        if name not in self.record.steps:
            return None
        return self.record.steps[name].to_numpy(dtype=np.float64)

    def matrix(self, name: str) -> FloatArray | None:
        """A column of lists, shape (step, entry); None in a record that lacks it."""
        return self.record.vector(name) if name in self.record.steps else None
