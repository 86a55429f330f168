"""The key figures as rows; the page and the terminal show the same ones."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from cosim.experiments.acceptance import Figure
from cosim.experiments.metric_table import BuiltInMetrics
from cosim.experiments.metrics import Report

Better = Literal["lower", "higher", "neither"]
SIGNIFICANT = 4
ABSENT = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"
NO_BREAK = "\N{NO-BREAK SPACE}"


@dataclass(frozen=True)
class KeyFigure:
    """One row.

    Attributes:
        label, unit: what it is.
        run, baseline: values in that unit; None where there is none.
        digits: after the decimal point.
        better: which direction is an improvement.
    """

    label: str
    unit: str
    run: float | None
    baseline: float | None
    digits: int
    better: Better

    @property
    def run_text(self) -> str:
        """The run's value for a reader."""
        return number_text(self.run, self.digits)

    @property
    def baseline_text(self) -> str:
        """The baseline's value for a reader."""
        return number_text(self.baseline, self.digits)

    @property
    def difference_text(self) -> str:
        """Run minus baseline, with the relative difference where it says something."""
        if self.run is None or self.baseline is None:
            return ABSENT
        absolute = signed_text(self.run - self.baseline, self.digits)
        if round(self.baseline, self.digits) == 0.0 or self.unit == "pu":
            return absolute
        relative = signed_text(100 * (self.run - self.baseline) / abs(self.baseline), 1)
        return f"{absolute} ({relative}{NO_BREAK}%)"

    @property
    def verdict(self) -> Literal["better", "worse", "same"]:
        """Whether the run beats the baseline, as far as the digits shown can tell."""
        if self.run is None or self.baseline is None or self.better == "neither":
            return "same"
        change = round(self.run - self.baseline, self.digits)
        if change == 0.0:
            return "same"
        return "better" if (change < 0.0) == (self.better == "lower") else "worse"


@dataclass(frozen=True)
class Group:
    """Rows that belong together."""

    title: str
    rows: tuple[KeyFigure, ...]


def key_figure_groups(report: Report) -> tuple[Group, ...]:
    """The rows in the order in which they are shown; groups without rows are left out."""
    run, baseline = report.run, report.baseline

    def row(label: str, unit: str, name: str, digits: int, better: Better, scale: float = 1.0) -> KeyFigure:
        theirs = None if baseline is None else scale * float(getattr(baseline, name))
        return KeyFigure(label, unit, scale * float(getattr(run, name)), theirs, digits, better)

    money = (
        row("Energy cost less the value of stored energy", "currency", "adjusted_cost", 2, "lower"),
        row("Energy cost", "currency", "energy_cost", 2, "lower"),
        row("Value of the change of stored energy", "currency", "stored_change_value", 2, "neither"),
    )
    energy = (
        row("Imported energy", "kWh", "import_kwh", 1, "lower"),
        row("Exported energy", "kWh", "export_kwh", 1, "neither"),
        row("Losses", "kWh", "losses_kwh", 1, "lower"),
        row("Storage throughput", "kWh", "storage_throughput_kwh", 1, "neither"),
        row("Change of stored energy", "kWh", "stored_change_kwh", 1, "neither"),
        row("PV energy available", "kWh", "pv_available_kwh", 1, "neither"),
        row("PV energy curtailed", "kWh", "pv_curtailed_kwh", 1, "lower"),
    )
    network = (
        row("Voltage outside the limits", "node-h", "violation_node_h", 2, "lower"),
        row("… below", "node-h", "undervoltage_node_h", 2, "lower"),
        row("… above", "node-h", "overvoltage_node_h", 2, "lower"),
        row("Farthest outside the limits", "pu", "worst_excess_pu", 5, "lower"),
        row("Nodes ever outside the limits", "nodes", "nodes_in_violation", 0, "lower"),
        row("Lowest voltage", "pu", "lowest_pu", 4, "neither"),
        row("Highest voltage", "pu", "highest_pu", 4, "neither"),
        row("Time with an overloaded line", "h", "overloaded_h", 2, "lower"),
        row("Highest line loading", "%", "highest_loading", 1, "lower", 100.0),
        row("Peak import", "kW", "peak_import_kw", 1, "lower"),
        row("Tap operations", "taps", "tap_operations", 0, "lower"),
    )
    groups = (
        Group("Money", money),
        Group("Energy", energy),
        Group("Network", network),
        Group("Controller", _control_rows(report)),
        Group("Metrics of your own", _own_rows(report)),
    )
    return tuple(group for group in groups if group.rows)


def key_figure_rows(report: Report) -> tuple[KeyFigure, ...]:
    """The rows of all groups."""
    return tuple(row for group in key_figure_groups(report) for row in group.rows)


def _control_rows(report: Report) -> tuple[KeyFigure, ...]:
    control = report.control
    if control is None:
        return ()
    share, longest = control.computational_time_ratio, control.computational_time_ratio_max

    def row(label: str, unit: str, value: float | None, digits: int) -> KeyFigure:
        return KeyFigure(label, unit, value, None, digits, "neither")

    return (
        row("Decisions not from the plan due", "steps", control.fallback_decisions, 0),
        row("Decision time, 95th percentile (build and solve)", "s", control.decision_p95_s, 3),
        row("… of the step length, 95th percentile", "%", None if share is None else 100 * share, 3),
        row("Decision time, longest", "s", control.decision_max_s, 3),
        row("… of the step length, longest", "%", None if longest is None else 100 * longest, 3),
        row("Solve time alone, 95th percentile", "s", control.solve_p95_s, 3),
        row("Set-points cut", "device-steps", control.setpoints_cut, 0),
        row("Energy of cut set-points", "kWh", control.not_delivered_kwh, 2),
        row("Steps in the safe state", "steps", control.safe_state_steps, 0),
    )


def _own_rows(report: Report) -> tuple[KeyFigure, ...]:
    """Metrics of users, with four significant digits."""
    built_in = {metric.name for metric in BuiltInMetrics.metrics}
    return tuple(
        KeyFigure(name, figure.unit, figure.run, figure.baseline, _digits(figure), "neither")
        for name, figure in report.figures.items()
        if name not in built_in
    )


def _digits(figure: Figure) -> int:
    """Digits after the point that show four of the larger number."""
    largest = max(abs(figure.run or 0.0), abs(figure.baseline or 0.0))
    if largest == 0.0 or not math.isfinite(largest):
        return 0
    return max(0, SIGNIFICANT - 1 - math.floor(math.log10(largest)))


def number_text(value: float | None, digits: int) -> str:
    """A number for a reader, a dash for none."""
    if value is None:
        return ABSENT
    # Adding zero turns a rounded -0.0 into 0.0.
    return f"{round(value, digits) + 0.0:,.{digits}f}".replace(",", "\N{NARROW NO-BREAK SPACE}").replace(
        "-", MINUS
    )


def signed_text(value: float, digits: int) -> str:
    """A difference for a reader, with its sign."""
    text = number_text(value, digits)
    return text if text.startswith(MINUS) or round(value, digits) == 0.0 else f"+{text}"
