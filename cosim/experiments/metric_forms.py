"""Metrics that are figures of a run, or of its controller, under the same name."""

from __future__ import annotations

from cosim.experiments.measured import Measured
from cosim.model.metric import Metric


def of_run(name: str, unit: str, definition: str, source: str) -> Metric:
    """A figure of :class:`cosim.experiments.run_metrics.RunMetrics`."""

    def value(measured: Measured) -> float | None:
        return float(getattr(measured.run, name))

    return Metric(name, unit, definition, source, value)


def of_control(name: str, unit: str, definition: str, source: str) -> Metric:
    """A figure of :class:`cosim.experiments.control_metrics.ControlMetrics`."""

    def value(measured: Measured) -> float | None:
        found = None if measured.control is None else getattr(measured.control, name)
        return None if found is None else float(found)

    return Metric(name, unit, definition, source, value)
