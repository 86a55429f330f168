"""The metrics that are installed: those of the package and the functions of users."""

from __future__ import annotations

from typing import Any

from cosim import plugins
from cosim.model.metric import Metric, metric_of

GROUP: plugins.Group = "cosim.metrics"


def built_in_metrics() -> tuple[Metric, ...]:
    """All metrics of tables, which are those of the package."""
    tables = [found for _, found in _installed() if hasattr(found, "metrics")]
    return tuple(metric for table in tables for metric in table.metrics)


def own_metrics() -> tuple[Metric, ...]:
    """All metrics that are functions of users."""
    return tuple(metric_of(name, found) for name, found in _installed() if not hasattr(found, "metrics"))


def metric_names() -> tuple[str, ...]:
    """Names of all metrics."""
    return tuple(metric.name for metric in (*built_in_metrics(), *own_metrics()))


def _installed() -> list[tuple[str, Any]]:
    return [(point.name, point.load()) for point in plugins.installed(GROUP)]
