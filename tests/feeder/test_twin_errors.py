"""What a twin is made to get wrong, and only that."""

from __future__ import annotations

import numpy as np

from cosim.model.state import Measurement
from cosim.twin.model_error import ModelError
from tests.conftest import a_feeder, shipped_master
from tests.feeder.twins import EXACT, PERIODS, demand_of, twin_of


def test_a_mismatch_makes_the_twin_wrong() -> None:
    """Each kind moves the voltages, and none moves them when it is zero."""
    none = np.zeros((1, 0), dtype=np.complex128)
    with a_feeder(shipped_master("ieee13")) as feeder:
        found = {}
        for mismatch in (
            EXACT,
            ModelError(impedance_error=0.2, seed=3),
            ModelError(impedance_error=0.2, seed=4),
            ModelError(load_model="constant_impedance"),
        ):
            twin, measured = twin_of(feeder, mismatch)
            twin.set_forecast(measured, demand_of(feeder, np.array([1.0])))
            flow = twin.flow(none, twin.at_rest(1), held=True)
            found[mismatch] = float(np.abs(flow.voltage_pu[:, 0] - measured.voltage_pu).max())
    exact, *wrong = found.values()
    assert exact < 1e-7
    assert min(wrong) > 1e-4
    assert len(set(wrong)) == 3


def test_stale_taps_are_those_measured_first() -> None:
    none = np.zeros((1, 0), dtype=np.complex128)
    with a_feeder(shipped_master("ieee13")) as feeder:
        for stale in (False, True):
            twin, measured = twin_of(feeder, ModelError(stale_taps=stale))
            demand = demand_of(feeder, np.array([1.0]))
            twin.set_forecast(measured, demand)
            moved = Measurement(**{**vars(measured), "tap": measured.tap + 2 * 0.00625})
            twin.set_forecast(moved, demand)
            believed = twin.flow(none, twin.at_rest(1), held=True).tap[0]
            assert np.array_equal(believed, measured.tap if stale else moved.tap)


def test_frozen_controls_do_not_react() -> None:
    """The exact twin moves taps along a steep day; one that expects no reaction does not."""
    none = np.zeros((PERIODS, 0), dtype=np.complex128)
    with a_feeder(shipped_master("ieee13")) as feeder:
        found = []
        for frozen in (False, True):
            twin, measured = twin_of(feeder, ModelError(frozen_controls=frozen))
            twin.set_forecast(measured, demand_of(feeder, np.linspace(0.3, 1.1, PERIODS)))
            found.append(np.unique(twin.flow(none).tap, axis=0))
        assert len(found[0]) > 1
        assert np.array_equal(found[1], measured.tap[None, :])
