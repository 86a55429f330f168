"""What a run cost and did to the feeder, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from cosim.experiments.run_metrics import run_metrics
from tests.report.records import record_of, step


def test_cost_is_import_times_price(unplanned):
    # (10 kW x 0.1 - 4 kW x 0.2 + 6 kW x 0.6) x 0.5 h = (1 - 0.8 + 3.6) / 2
    assert run_metrics(unplanned).energy_cost == pytest.approx(1.9, abs=1e-12)


def test_import_and_export_are_counted_apart(unplanned):
    metrics = run_metrics(unplanned)
    assert metrics.import_kwh == pytest.approx(8.0)  # (10 + 6) kW x 0.5 h
    assert metrics.export_kwh == pytest.approx(2.0)  # 4 kW x 0.5 h
    assert metrics.peak_import_kw == 10.0
    assert metrics.losses_kwh == pytest.approx(3.0)  # (1 + 2 + 3) kW x 0.5 h
    assert (metrics.steps, metrics.hours) == (3, 1.5)


def test_violations_are_counted_per_node_and_without_tolerance(unplanned):
    metrics = run_metrics(unplanned)
    assert metrics.overvoltage_node_h == 0.5  # b.1 in step 1; a.1 on the limit does not count
    assert metrics.undervoltage_node_h == 0.5  # b.1 in step 2
    assert metrics.violation_node_h == 1.0
    assert metrics.nodes_in_violation == 1
    assert metrics.worst_excess_pu == pytest.approx(0.02)  # 0.95 - 0.93
    assert (metrics.lowest_pu, metrics.highest_pu) == (0.93, 1.06)


def test_the_smallest_excess_is_a_violation():
    above = np.nextafter(1.05, 2.0)
    record = record_of([step(0, voltage_pu=np.array([above, 1.0]))])
    assert run_metrics(record).overvoltage_node_h == 0.5


def test_taps_passed_and_changes_are_counted(unplanned):
    metrics = run_metrics(unplanned)
    assert metrics.tap_operations == 3  # 1.0 to 1.0125 are two taps, to 1.00625 is one
    assert metrics.tap_changes == 2


def test_stored_energy_has_the_mean_price(unplanned):
    metrics = run_metrics(unplanned)
    assert metrics.storage_throughput_kwh == pytest.approx(5.0)  # (6 + 0 + 4) kW x 0.5 h
    assert metrics.stored_change_kwh == pytest.approx(1.0)  # 11 - 10
    assert metrics.stored_change_value == pytest.approx(0.3)  # 1 kWh x (0.1 + 0.2 + 0.6) / 3
    assert metrics.adjusted_cost == pytest.approx(1.6)  # 1.9 - 0.3


def test_curtailment_is_what_the_sun_offered_and_nobody_took(unplanned):
    metrics = run_metrics(unplanned)
    assert metrics.pv_available_kwh == pytest.approx(6.5)  # (0 + 5 + 8) kW x 0.5 h
    assert metrics.pv_curtailed_kwh == pytest.approx(0.5)  # (5 - 4) kW x 0.5 h


def test_a_line_at_its_rating_is_not_overloaded(unplanned):
    metrics = run_metrics(unplanned)
    assert (metrics.highest_loading, metrics.highest_loading_line) == (1.2, "line.y")
    assert metrics.overloaded_h == 0.5
