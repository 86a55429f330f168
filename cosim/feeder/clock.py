"""Elements of a master that follow the clock: shapes and times of what nobody commands."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta

from cosim.feeder.devices import is_enabled, names_of
from cosim.feeder.engine import Engine
from cosim.model.timegrid import TimeGrid

log = logging.getLogger(__name__)

CONSTANT = "cosim_constant"
"""A load shape that is 1 at all times."""
SHAPES = ("daily", "yearly")
WITH_SHAPES = ("generator", "pvsystem", "storage", "vsource")
"""Classes besides loads whose power or voltage follows a shape."""
FOLLOWING_MODES = {"storage": frozenset({"follow", "loadshape", "price"})}
"""Dispatch modes in which an element of a class follows a shape; classes left out have no such mode."""


class Clock:
    """Lets the elements that nobody commands follow shapes and times as in the engine's yearly mode.

    Loads follow the inputs of a run, and so do devices that are commanded or whose sun is an input: their
    shapes are replaced by a constant. Nothing is changed where no other element has a shape or a time, and
    the engine then stays in snapshot mode.

    A step is solved at the hour of its end, as in the engine's own modes.

    Args:
        engine: with all devices in the circuit.
        start: of the run.
        step_s: length of a step.
        by_inputs: elements, ``class.name``, that follow inputs or set-points.

    Attributes:
        followers: elements that follow the clock.
    """

    def __init__(self, engine: Engine, start: datetime, step_s: int, by_inputs: Collection[str]) -> None:
        self._engine, self._start, self._step = engine, start, timedelta(seconds=step_s)
        given = frozenset(by_inputs)
        shaped = [name for name in _shaped(engine) if name not in given]
        self.followers = (*shaped, *_timed_controls(engine))
        if not self.followers:
            return
        engine.command(f"new loadshape.{CONSTANT} npts=1 interval=1 mult=(1)")
        if names_of(engine, "load"):
            engine.command(f"batchedit load..* daily={CONSTANT} yearly={CONSTANT}")
        for name in given:
            engine.command(f"edit {name} daily={CONSTANT} yearly={CONSTANT}")
        for name in shaped:
            if not _shape(engine, name, "yearly"):
                engine.command(f"edit {name} yearly={_shape(engine, name, 'daily')}")

    def open(self) -> None:
        """Put the engine into the mode in which shapes are followed, before the length of steps is set."""
        if self.followers:
            self._engine.command("set mode=yearly")
            self._engine.timed = True

    def set(self, step: int) -> None:
        """Move to the end of a step."""
        if not self.followers:
            return
        end = self._start + (step + 1) * self._step
        # By the clock of the run, without changes of it: the start has a fixed offset from UTC.
        year = datetime(self._start.year, 1, 1, tzinfo=self._start.tzinfo or UTC)
        hour, second = divmod((end - year).total_seconds(), 3600.0)
        self._engine.command(f"set hour={int(hour)} sec={second!r}")


def open_clock(engine: Engine, grid: TimeGrid, by_inputs: Collection[str], tolerance: float) -> Clock:
    """Put the engine into the mode of a run, and let what follows the clock follow it.

    Args:
        engine: with all devices in the circuit.
        grid: the steps of the run.
        by_inputs: elements, ``class.name``, that follow inputs or set-points.
        tolerance: of the power flow, relative.
    """
    clock = Clock(engine, grid.start, grid.step_s, by_inputs)
    if clock.followers:
        log.info("follow the clock by their shapes or times: %s", ", ".join(clock.followers))
    # Setting the mode resets the step, so the step comes after it, and both only once.
    engine.command("set mode=snapshot")
    clock.open()
    engine.command(f"set stepsize={grid.step_s}s number=1")
    engine.command(f"set maxiterations=100 maxcontroliter=100 tolerance={tolerance!r}")
    # The meters take most of a step on a large feeder, and nobody reads them.
    engine.command("set sampleenergymeters=no")
    engine.refresh_nodes()
    return clock


def _shaped(engine: Engine) -> Iterator[str]:
    """Enabled elements with a daily or yearly shape; batteries only where their mode follows it."""
    for class_name in WITH_SHAPES:
        for short in names_of(engine, class_name):
            name = f"{class_name}.{short}"
            if not any(_shape(engine, name, kind) for kind in SHAPES):
                continue
            modes = FOLLOWING_MODES.get(class_name)
            if modes is None or engine.command(f"? {name}.dispmode").lower() in modes:
                yield name


def _timed_controls(engine: Engine) -> Iterator[str]:
    """Enabled capacitor controls that look at the clock or at a shape."""
    for short in names_of(engine, "capcontrol"):
        name = f"capcontrol.{short}"
        if is_enabled(engine, name) and engine.command(f"? {name}.type").lower() in {"time", "follow"}:
            yield name


def _shape(engine: Engine, name: str, kind: str) -> str:
    """Name of a shape, empty if there is none."""
    return engine.command(f"? {name}.{kind}").strip().lower()
