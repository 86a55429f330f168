"""What each kind of device did in a run, by the figures that its kind declares."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cosim.devices.kind import Figure
from cosim.devices.registry import by_kind, by_network_kind
from cosim.experiments.device_history import history
from cosim.run.record import Record


@dataclass(frozen=True)
class KindFigure:
    """One figure of a kind, in the run and without control.

    Attributes:
        kind: for people, in the plural.
        label, unit: of the figure.
        run, baseline: its values; None without a baseline.
    """

    kind: str
    label: str
    unit: str
    run: float
    baseline: float | None


def device_figures(record: Record, baseline: Record | None) -> tuple[KindFigure, ...]:
    """The figures of all kinds that declare some."""
    found: list[KindFigure] = []
    for kind, _, devices in by_kind(record.site.devices):
        if kind.figures is None:
            continue
        ours = kind.figures(devices, history(record, kind))
        theirs: tuple[Figure | None, ...] = (None,) * len(ours)
        if baseline is not None:
            theirs = kind.figures(devices, history(baseline, kind))
        for figure, other in zip(ours, theirs, strict=True):
            before = None if other is None else other.value
            found.append(KindFigure(kind.plural, figure.label, figure.unit, figure.value, before))
    return (*found, *_operations(record, baseline))


def _operations(record: Record, baseline: Record | None) -> Iterator[KindFigure]:
    """How often the network devices of each kind operated; in the baseline under their own controls."""
    for kind, _, _ in by_network_kind(record.site.network_devices):
        column = kind.columns["operations"]
        before = None if baseline is None else float(baseline.vector(column).sum())
        yield KindFigure(kind.plural, kind.operations, "", float(record.vector(column).sum()), before)
