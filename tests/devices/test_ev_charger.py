"""EV chargers: sessions, unserved energy, and agreement of planners and plant."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from cosim.devices.ev_charger import EvCharger, EvChargerConfig, Session, ev_figures
from cosim.devices.kind import DeviceHistory, Placement
from cosim.errors import SeriesError
from cosim.model.device import DeviceState
from cosim.model.timegrid import TimeGrid
from cosim.run.study import open_study
from tests.devices.kit import (
    assert_plan_is_what_the_plant_does,
    assert_planners_find_the_exact_optimum,
    flexible_scenario,
)

HOUR_S = 3600.0
GRID = TimeGrid(datetime(2024, 6, 21, 12, tzinfo=UTC), 900, 96)


def a_charger(**changes) -> EvCharger:
    values = {
        "efficiency": 0.9, "v2g": True, "wear_per_kwh": 0.05, "kvar_max": 0.0, "kvar_max_abs": 0.0,
        "sessions": (Session(HOUR_S, 4 * HOUR_S, 20.0), Session(6 * HOUR_S, 9 * HOUR_S, 12.0)),
    }  # fmt: skip
    return EvCharger("e", "1", (1,), False, 11.0, 11.0, **(values | changes))


@given(st.lists(st.floats(-20, 20), min_size=40, max_size=40), st.booleans())
def test_a_vehicle_receives_no_more_than_it_wants_and_gives_no_more_than_it_has(requests, v2g):
    charger, stored = a_charger(v2g=v2g), 0.0
    for step, kw in enumerate(requests):
        time_s = 900.0 * step
        got = charger.accept(kw, 0.0, DeviceState(0.25, stored, 0.0, time_s)).kw
        session = charger.session_at(time_s)
        assert abs(got) <= 11.0
        if session is None:
            assert got == 0.0
        if not v2g:
            assert got <= 0.0
        stored = charger.next_stored_kwh(stored, got, 0.25, time_s)
        assert -1e-9 <= stored <= (session.energy_kwh if session else 0.0) + 1e-9


def test_without_control_it_charges_at_once():
    charger = a_charger()
    assert charger.accept(charger.rest_kw, 0.0, DeviceState(0.25, 0.0, 0.0, HOUR_S)).kw == -11.0
    nearly = charger.accept(charger.rest_kw, 0.0, DeviceState(0.25, 19.1, 0.0, HOUR_S))
    assert (nearly.kw, nearly.reason) == (pytest.approx(-4.0), "")
    assert charger.accept(charger.rest_kw, 0.0, DeviceState(0.25)).kw == 0.0


def test_what_was_not_delivered_is_unserved():
    """By hand: 2 h at 5 kW and 90 % are 9 of 20 kWh; the second vehicle is still there at the end."""
    charger = a_charger()
    hours = np.arange(8.0)
    kw = np.where((hours >= 1) & (hours < 3), -5.0, 0.0)[:, None]
    stored = [0.0]
    for hour in range(8):
        stored.append(charger.next_stored_kwh(stored[-1], kw[hour, 0], 1.0, HOUR_S * hour))
    history = DeviceHistory(1.0, HOUR_S * hours, kw, np.array(stored)[:, None], 0.0 * kw)
    figures = {figure.label: figure.value for figure in ev_figures((charger,), history)}
    assert figures["energy drawn"] == pytest.approx(10.0)
    assert figures["wanted by vehicles that left"] == 20.0
    assert figures["unserved when they left"] == pytest.approx(11.0)


def config(sessions) -> EvChargerConfig:
    values = {"kind": "ev_charger", "name": "e1", "bus": "1", "sessions": sessions}
    return TypeAdapter(EvChargerConfig).validate_python(values)


def test_sessions_come_from_a_file(tmp_path):
    (tmp_path / "s.csv").write_text(
        "charger,arrival,departure,energy_kwh\n"
        "a,2024-06-21T12:20:00+00:00,2024-06-21T15:50:00+00:00,9\n"
        "b,2024-06-21T12:20:00+00:00,2024-06-21T15:50:00+00:00,7\n"
    )
    place = Placement("1", (1,), False, grid=GRID, folder=tmp_path)
    charger = config({"file": "s.csv", "charger": "b"}).device(place)
    assert charger.sessions == (Session(1800.0, 13_500.0, 7.0),)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("arrival,departure\n", "no column energy_kwh"),
        (
            "arrival,departure,energy_kwh\n2024-06-21T13:00,2024-06-21T14:00,5\n",
            "session 1: .* no time zone",
        ),
        (
            "arrival,departure,energy_kwh\n2024-06-21T13:00Z,2024-06-21T12:00Z,5\n",
            "must come after arrival",
        ),
        (
            (
                "arrival,departure,energy_kwh\n2024-06-21T13:00Z,2024-06-21T15:00Z,5\n"
                "2024-06-21T14:00Z,2024-06-21T16:00Z,5\n"
            ),
            "one vehicle at a time",
        ),
    ],
)
def test_a_wrong_session_is_named(tmp_path, text, words):
    (tmp_path / "s.csv").write_text(text)
    with pytest.raises(SeriesError, match=words):
        config({"file": "s.csv"}).device(Placement("1", (1,), False, grid=GRID, folder=tmp_path))


def test_sessions_are_drawn_by_seed():
    place = Placement("1", (1,), False, grid=GRID)
    one, same, other = (config({"seed": seed}).device(place).sessions for seed in (3, 3, 4))
    assert one == same != other
    assert all(session.departure_s > session.arrival_s for session in one)


def sessions_csv(path) -> dict:
    (path / "sessions.csv").write_text(
        "arrival,departure,energy_kwh\n"
        "2024-06-21T10:00:00+00:00,2024-06-21T14:00:00+00:00,12\n"
        "2024-06-21T15:00:00+00:00,2024-06-21T20:00:00+00:00,30\n"
    )
    return {
        "kind": "ev_charger", "name": "e1", "bus": "680", "kw": 11, "v2g": True, "wear_per_kwh": 0.02,
        "sessions": {"file": "sessions.csv"},
    }  # fmt: skip


@pytest.mark.parametrize("planner", ["tangent", "lindistflow", "copper_plate"])
def test_the_plan_is_what_the_plant_does(tmp_path, planner):
    study = open_study(flexible_scenario(tmp_path, [sessions_csv(tmp_path)]))
    study = study.with_planner(study.scenario.control.planner.model_copy(update={"type": planner}))
    assert_plan_is_what_the_plant_does(study, "ev_charger")


def test_planners_find_the_exact_optimum(tmp_path):
    device = {
        "kind": "ev_charger", "name": "e1", "bus": "9", "kw": 11, "v2g": True, "sessions": {"seed": 5},
    }  # fmt: skip
    assert_planners_find_the_exact_optimum(tmp_path, [device])
