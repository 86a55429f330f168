"""Twins of feeders, and demand to forecast."""

from __future__ import annotations

import numpy as np

from cosim.feeder.plant import Feeder
from cosim.model.state import Measurement
from cosim.twin.feeder_twin import FeederTwin
from cosim.twin.model_error import ModelError

EXACT = ModelError()
PERIODS = 6


def demand_of(feeder: Feeder, multipliers: np.ndarray) -> np.ndarray:
    measured = feeder.measure(0)
    return multipliers[:, None] * (measured.demand_kw + 1j * measured.demand_kvar)[None, :]


def twin_of(feeder: Feeder, mismatch: ModelError = EXACT) -> tuple[FeederTwin, Measurement]:
    return feeder.twin_model(mismatch).open(), feeder.measure(0)
