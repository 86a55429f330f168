"""The figures of the report, one by one."""

from __future__ import annotations

from typing import Any

from cosim.report import device_charts, figures
from cosim.run.record import Record


class Plots:
    """Figures of a run, as plotly figures: they show themselves in a notebook.

    Args:
        record: the run.
        baseline: drawn beside it; may be missing.
    """

    def __init__(self, record: Record, baseline: Record | None) -> None:
        self._record, self._baseline = record, baseline

    def voltages(self) -> Any:
        """Highest and lowest voltage over time against the limits."""
        return figures.voltage_envelope(self._record, self._baseline)

    def power(self) -> Any:
        """Import at the substation and the price."""
        return figures.import_and_price(self._record, self._baseline)

    def losses(self) -> Any:
        """Losses of the feeder."""
        return figures.losses(self._record, self._baseline)

    def loading(self) -> Any:
        """Loading of the most loaded line."""
        return figures.line_loading(self._record, self._baseline)

    def taps(self) -> Any:
        """Tap positions of the regulators; None where there are none."""
        return figures.tap_positions(self._record, self._baseline)

    def stored_energy(self) -> Any:
        """Stored energy of the batteries; None where there are none."""
        return device_charts.stored_energy(self._record, self._baseline)

    def plans(self) -> Any:
        """What plans expected of the import, against what came."""
        return figures.planned_import(self._record)

    def decision_time(self) -> Any:
        """How long decisions took."""
        return figures.decision_time(self._record)
