"""Feedback optimisation: one step by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cosim.control.feedback_optimisation import FeedbackOptimisationController, FeedbackOptions
from tests.control.conftest import decided


class LinearTwin:
    """Import falls by what the devices give; no voltage moves."""

    def set_forecast(self, measurement, demand_kva, source_ratio=None):
        self.devices = len(measurement.p_kw)

    def at_rest(self, periods):
        return None

    def flow(self, device_kva, start=None, *, held=False):
        return None

    def slope(self, flow, quantity, place, period):
        return np.zeros((len(place), self.devices)), np.zeros((len(place), self.devices))

    def import_slope(self, flow):
        return -np.ones((1, self.devices)), np.zeros((1, self.devices))

    def state(self):
        return {}

    def restore(self, state):
        assert state == {}


def test_one_step_of_feedback_removes_an_excess_on_a_linear_feeder(measured):
    options = FeedbackOptions(import_max_kw=1000, to_rest=0.0, voltage_min_pu=0.5, voltage_max_pu=1.5)
    controller = FeedbackOptimisationController(twin=LinearTwin(), options=options)
    now = {"p_kw": np.zeros(3), "q_kvar": np.zeros(3), "available_kw": np.array([0, 0, 0.0])}
    found = decided(controller, measured, import_kw=1040.0, **now)
    # In proportion to the squares of the ratings 120, 60 and 220; the PV system has no sun to give.
    squares = np.array([120.0, 60.0, 220.0]) ** 2
    assert found.p_kw[:2] == pytest.approx(40 * squares[:2] / squares.sum())
    assert decided(controller, measured, import_kw=990.0, **now).p_kw[:2].tolist() == [0, 0]


def test_feedback_goes_back_to_rest_by_a_part_of_the_way(measured):
    options = FeedbackOptions(to_rest=0.25, refill_h=10, voltage_min_pu=0.5, voltage_max_pu=1.5)
    controller = FeedbackOptimisationController(twin=LinearTwin(), options=options)
    found = decided(
        controller,
        measured,
        p_kw=np.array([40.0, 0.0, 60.0]),
        q_kvar=np.array([8.0, 0.0, 0.0]),
        stored_kwh=np.array([180.0, 90.0, 0.0]),
        available_kw=np.array([0.0, 0.0, 100.0]),
    )
    # b1 lacks 20 kWh, so its rest is to charge with 2 kW; the PV system is curtailed by 40 kW.
    assert found.p_kw == pytest.approx([0.75 * 40 - 0.25 * 2, 0, 0.75 * 60 + 0.25 * 100])
    assert found.q_kvar == pytest.approx([6, 0, 0])


def test_a_standby_loss_is_no_power_that_feedback_goes_on_with(measured):
    site, measurement = measured
    idle = replace(site.devices[0], idling_kw=2.0)
    site = replace(site, devices=(idle, *site.devices[1:]))
    options = FeedbackOptions(voltage_min_pu=0.5, voltage_max_pu=1.5)
    controller = FeedbackOptimisationController(twin=LinearTwin(), options=options)
    resting = np.array([-2.0, 0.0, 0.0])
    assert decided(controller, (site, measurement), p_kw=resting).p_kw[0] == 0.0
