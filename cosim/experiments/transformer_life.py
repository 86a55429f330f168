"""Loss of life of the transformer at the substation by its hot-spot temperature.

Source: IEEE C57.91-2011, clause 7 (top oil and hot spot) and clause 5 (ageing). With load K in parts of
the rating, the final rises over ambient and over top oil are

    top oil   T_R ((K^2 R + 1) / (R + 1))^n          hot spot   H_R K^(2 m)

Both follow their final values exponentially. The insulation ages with

    F = exp(15000 / 383 - 15000 / (hot spot + 273))

and the loss of life is the integral of F over the normal life of 180 000 h. The constants are those of
a transformer of 65 K average winding rise with natural cooling (ONAN), whose hot spot is 110 degrees
Celsius at rated load and an ambient of 30 degrees. The run begins in the steady state of its first step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from cosim.experiments.measured import Measured
from cosim.experiments.run_metrics import column
from cosim.model.arrays import FloatArray

TOP_OIL_RISE_K, HOT_SPOT_RISE_K = 45.0, 35.0
"""T_R and H_R at rated load."""
LOSS_RATIO = 4.5
"""R: losses at rated load over those without load."""
OIL_EXPONENT, WINDING_EXPONENT = 0.8, 0.8
"""n and m."""
OIL_H, WINDING_H = 3.0, 5.0 / 60.0
"""Time constants."""
NORMAL_LIFE_H = 180_000.0


@dataclass(frozen=True)
class Ageing:
    """What the load of a run does to a transformer.

    Attributes:
        hottest_c: highest hot-spot temperature at the end of a step, degrees Celsius.
        loss_of_life_percent: part of the normal life.
    """

    hottest_c: float
    loss_of_life_percent: float


def ageing_of(load: FloatArray, step_h: float, ambient_c: float) -> Ageing:
    """Ageing under a load that is constant within each step.

    Args:
        load: in parts of the rating, shape (step,).
        step_h: length of a step in hours.
        ambient_c: degrees Celsius.
    """
    oil_end = TOP_OIL_RISE_K * ((load**2 * LOSS_RATIO + 1.0) / (LOSS_RATIO + 1.0)) ** OIL_EXPONENT
    winding_end = HOT_SPOT_RISE_K * load ** (2.0 * WINDING_EXPONENT)
    oil, winding = float(oil_end[0]), float(winding_end[0])
    kept_oil, kept_winding = math.exp(-step_h / OIL_H), math.exp(-step_h / WINDING_H)
    hot_c = []
    for oil_to, winding_to in zip(oil_end.tolist(), winding_end.tolist(), strict=True):
        oil = oil_to + (oil - oil_to) * kept_oil
        winding = winding_to + (winding - winding_to) * kept_winding
        hot_c.append(ambient_c + oil + winding)
    hot = np.array(hot_c)
    rate = np.exp(15_000.0 / 383.0 - 15_000.0 / (hot + 273.0))
    return Ageing(float(hot.max()), 100.0 * float(rate.sum()) * step_h / NORMAL_LIFE_H)


def _ageing(measured: Measured) -> Ageing | None:
    """Ageing by the apparent power at the substation; None where its rating is not known."""
    rating_kva = measured.facts.get("transformer_kva")
    import_kvar = measured.column("import_kvar")
    if rating_kva is None or import_kvar is None:
        return None
    import_kva = np.hypot(column(measured.record, "import_kw"), import_kvar)
    ambient_c = float(measured.facts.get("ambient_c", 30.0))
    return ageing_of(import_kva / float(rating_kva), measured.record.step_h, ambient_c)


def loss_of_life_percent(measured: Measured) -> float | None:
    """Part of the normal life that the run takes."""
    found = _ageing(measured)
    return None if found is None else found.loss_of_life_percent


def hottest_c(measured: Measured) -> float | None:
    """Highest hot-spot temperature."""
    found = _ageing(measured)
    return None if found is None else found.hottest_c
