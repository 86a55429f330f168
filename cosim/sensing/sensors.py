"""Sensors between plant and controller: noise, bias, resolution, rate, delay, and sensors that fail.

A sensor samples the true state at its own rhythm and reports a sample for as long as it has no newer one.
Noise is drawn once per sample from the seed, the quantity and the number of the sample, so that it does not
depend on who asks when, nor on the driver.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cosim.errors import SeriesError
from cosim.model.arrays import BoolArray, FloatArray
from cosim.model.site import Site
from cosim.model.state import Measurement


@dataclass(frozen=True)
class SensorModel:
    """How one quantity is measured.

    Attributes:
        noise: standard deviation of the error, as a part of the value (of 1 pu for voltages).
        bias: systematic error, likewise.
        resolution: steps of the reported value in its unit; 0 is continuous.
        every_s: a new sample every so many seconds; None: at every step.
        delay_s: a sample is known this long after it was taken.
        only: names of what is measured (nodes, loads or devices); None: all.
        dead: names of sensors that report nothing.
        frozen: names of sensors that report their first sample for ever.
    """

    noise: float = 0.0
    bias: float = 0.0
    resolution: float = 0.0
    every_s: int | None = None
    delay_s: int = 0
    only: tuple[str, ...] | None = None
    dead: tuple[str, ...] = ()
    frozen: tuple[str, ...] = ()

    @property
    def perfect(self) -> bool:
        """Whether it reports the true value of now, everywhere."""
        return self == SensorModel()

    def sample_step(self, step: int, step_s: int) -> int:
        """Step of the sample that is known at a step; the first sample is known from the start."""
        every = self.every_s or step_s
        taken_s = (step * step_s - self.delay_s) // every * every
        return max(int(taken_s // step_s), 0)


QUANTITIES: dict[str, tuple[tuple[str, ...], str]] = {
    "voltage": (("voltage_pu",), "nodes"),
    "demand": (("demand_kw", "demand_kvar"), "loads"),
    "device_power": (("p_kw", "q_kvar"), "devices"),
    "stored": (("stored_kwh",), "devices"),
    "available": (("available_kw",), "devices"),
    "substation": (("import_kw", "import_kvar", "losses_kw"), ""),
}
"""What can have a sensor: fields of the measurement, and what their entries are."""


@dataclass(frozen=True)
class Sensed:
    """What the sensors report.

    Attributes:
        measurement: NaN where nothing is reported.
        sample_step: of each quantity, the step at which its sample was taken.
    """

    measurement: Measurement
    sample_step: dict[str, int]


class Sensors:
    """All sensors of a plant.

    Args:
        site: names, in the order of the vectors.
        models: by quantity, see :data:`QUANTITIES`; what is left out is measured perfectly.
        seed: of the noise.

    Raises:
        SeriesError: a sensor is at a place that the site does not have.
    """

    def __init__(self, site: Site, models: dict[str, SensorModel], seed: int) -> None:
        self._site, self._seed = site, seed
        self._models = {name: model for name, model in models.items() if not model.perfect}
        self._names = {
            "nodes": site.nodes,
            "loads": site.loads,
            "devices": tuple(device.name for device in site.devices),
            "": (),
        }
        self._blind = {name: self._unmeasured(name, model) for name, model in self._models.items()}
        self._frozen = {
            name: self._places(name, "frozen", model.frozen) for name, model in self._models.items()
        }
        self._history: dict[int, Measurement] = {}
        self._first: dict[str, FloatArray] = {}
        self._reach = max((self._steps_back(model) for model in self._models.values()), default=0)

    @property
    def perfect(self) -> bool:
        """Whether the controller sees the true state."""
        return not self._models

    def state(self) -> tuple[dict[int, Measurement], dict[str, FloatArray]]:
        """What was measured and first reported, see :class:`cosim.model.roles.Resumable`."""
        return dict(self._history), dict(self._first)

    def restore(self, state: tuple[dict[int, Measurement], dict[str, FloatArray]]) -> None:
        """Take over what :meth:`state` gave."""
        self._history, self._first = state

    def sense(self, truth: Measurement) -> Sensed:
        """What the sensors report at the start of a step. Steps come in order."""
        self._history[truth.step] = truth
        for old in [step for step in self._history if step < truth.step - self._reach]:
            del self._history[old]
        reported: dict[str, Any] = {}
        steps: dict[str, int] = {}
        for number, (name, (fields, _)) in enumerate(QUANTITIES.items()):
            model = self._models.get(name)
            if model is None:
                steps[name] = truth.step
                continue
            taken = model.sample_step(truth.step, self._site.grid.step_s)
            steps[name] = taken
            random = np.random.default_rng([self._seed, number, taken])
            for field in fields:
                true = np.asarray(getattr(self._history[taken], field), dtype=np.float64)
                value = self._reported(name, field, model, true, random)
                reported[field] = value if true.ndim else float(value)
        return Sensed(replace(truth, **reported), steps)

    def _reported(
        self, name: str, field: str, model: SensorModel, true: FloatArray, random: np.random.Generator
    ) -> FloatArray:
        scale = np.ones_like(true) if name == "voltage" else np.abs(true)
        value = true + scale * (model.bias + model.noise * random.standard_normal(true.shape))
        if model.resolution:
            value = np.round(value / model.resolution) * model.resolution
        if true.ndim:
            first = self._first.setdefault(field, value)
            value = np.where(self._frozen[name], first, value)
            value = np.where(self._blind[name], np.nan, value)
        return np.asarray(value)

    def _unmeasured(self, name: str, model: SensorModel) -> BoolArray:
        dead = self._places(name, "dead", model.dead)
        if model.only is None:
            return dead
        return dead | ~self._places(name, "only", model.only)

    def _places(self, name: str, what: str, asked: Sequence[str]) -> BoolArray:
        entries = self._names[QUANTITIES[name][1]]
        place = {entry: i for i, entry in enumerate(entries)}
        unknown = [entry for entry in asked if entry.lower() not in place]
        if unknown:
            raise SeriesError(
                f"sensing.{name}.{what}: there is no {', '.join(unknown[:3])}; it is one of "
                f"{', '.join(entries[:5])} ..."
            )
        mask = np.zeros(len(entries), dtype=bool)
        mask[[place[entry.lower()] for entry in asked]] = True
        return mask

    def _steps_back(self, model: SensorModel) -> int:
        step_s = self._site.grid.step_s
        return -(-(model.delay_s + (model.every_s or step_s)) // step_s) + 1
