"""Forecasts of others: the newest that is known is used, a late one late, and none too early."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosim.errors import ScenarioError, SeriesError
from cosim.model.vintages import VintageSeries
from cosim.run.assembly import Assembly
from cosim.run.policy import make_forecaster
from cosim.run.sources import sources_of
from cosim.run.study import open_study

START = pd.Timestamp("2024-06-21T12:00:00Z")
HORIZON_S = 3600


def series(*vintages: tuple[int, list[int], list[float]]) -> VintageSeries:
    """From triples of issue, targets and values."""
    return VintageSeries(
        np.array([issue for issue, _, _ in vintages]),
        np.cumsum([0, *(len(targets) for _, targets, _ in vintages)]),
        np.concatenate([targets for _, targets, _ in vintages]),
        np.concatenate([np.array(values, dtype=float) for _, _, values in vintages]),
    )


DOUBLE = (
    "issue_time,time,kw\n2024-06-21T12:00Z,2024-06-21T12:00Z,1\n2024-06-21T12:00Z,2024-06-21T12:15Z,2\n"
    "2024-06-21T14:00+02:00,2024-06-21T12:00Z,1\n2024-06-21T14:00+02:00,2024-06-21T12:15Z,2\n"
)
TWO = series((-100, [0, 100, 200], [1.0, 2.0, 3.0]), (150, [200, 300], [30.0, 40.0]))


def test_the_newest_vintage_that_covers_a_time_is_used():
    targets = np.array([-1, 0, 99, 199, 200, 299, 300, 399, 400])
    early = TWO.values(149, targets)
    assert early[1:6].tolist() == [1.0, 1.0, 2.0, 3.0, 3.0]
    assert np.isnan(early[[0, 6, 7, 8]]).all()
    late = TWO.values(150, targets)
    assert late[1:8].tolist() == [1.0, 1.0, 2.0, 30.0, 30.0, 40.0, 40.0]
    assert np.isnan(late[[0, 8]]).all()


def test_before_the_first_issue_nothing_is_known():
    assert np.isnan(TWO.values(-101, np.array([0, 100]))).all()
    assert len(TWO.known_at(-101).value) == 0
    assert len(TWO.known_at(-100).value) == 3


@given(
    issues=st.lists(st.integers(-5, 20), min_size=1, max_size=6, unique=True),
    now=st.integers(-6, 21),
    seed=st.integers(0, 1000),
)
def test_no_vintage_is_ever_read_before_its_issue(issues, now, seed):
    random = np.random.default_rng(seed)
    made = series(
        *((issue, [issue, issue + 3, issue + 6], list(random.random(3))) for issue in sorted(issues))
    )
    later = np.repeat(made.issued_s, 3) > now
    other = replace(made, value=np.where(later, -1e6, made.value))
    targets = np.arange(-10, 40)
    assert np.array_equal(made.values(now, targets), other.values(now, targets), equal_nan=True)


# --- from files -----------------------------------------------------------------------------------


def write(path: Path, *vintages: tuple[int, list[int], list[float]], column: str = "kw") -> None:
    """Minutes after the start of the run: issue, targets; values."""
    rows = [
        (START + pd.Timedelta(minutes=issue), START + pd.Timedelta(minutes=target), value)
        for issue, targets, values in vintages
        for target, value in zip(targets, values, strict=True)
    ]
    table = pd.DataFrame(rows, columns=["issue_time", "time", column])
    if path.suffix == ".parquet":
        table.to_parquet(path)
    else:
        for name in ("issue_time", "time"):
            table[name] = [stamp.isoformat() for stamp in table[name]]
        table.to_csv(path, index=False)


def scenario(scenario_file, gaps="refuse", steps=6, **vintages) -> Path:
    return scenario_file(
        time={"start": "2024-06-21T12:00:00+00:00", "step_s": 900, "steps": steps},
        inputs={"irradiance": {"constant": 0.6}, "price": {"constant": 0.2}, "vintages": vintages},
        control={"horizon_s": HORIZON_S, "forecast": {"type": "file", "options": {"gaps": gaps}}},
    )


def forecasts(path: Path, steps=(0,)):
    """Forecasts of the scenario at some steps, the site, and what was measured first."""
    study = open_study(path)
    with Assembly(study) as assembly:
        first = assembly.feeder.measure(0)
        forecaster = make_forecaster(study, assembly.knowledge)
        found = [
            forecaster.forecast(replace(first, step=step, time_s=900.0 * step), study.horizon)
            for step in steps
        ]
        return found, assembly.site, first


@pytest.mark.parametrize("name", ["v.csv", "v.parquet"])
def test_load_sun_and_price_come_from_their_files(scenario_file, tmp_path, name):
    write(tmp_path / name, (-60, [0, 15, 30, 45], [1000.0, 2000.0, 3000.0, 4000.0]))
    write(tmp_path / "sun.csv", (-60, [0, 30], [0.5, 0.25]), column="g")
    write(tmp_path / "price.csv", (-600, [0, 15, 30, 45], [10.0, 20.0, 30.0, 40.0]), column="eur_per_mwh")
    path = scenario(
        scenario_file,
        load={"file": name, "column": "kw"},
        irradiance={"file": "sun.csv", "column": "g"},
        price={"file": "price.csv", "column": "eur_per_mwh", "scale": 0.001},
    )
    (made,), _site, first = forecasts(path)
    assert made.demand_kw.sum(axis=1) == pytest.approx([first.demand_kw.sum(), 2000.0, 3000.0, 4000.0])
    assert made.demand_kw[2] == pytest.approx(first.demand_kw * 3000.0 / first.demand_kw.sum())
    assert made.demand_kvar[2] == pytest.approx(first.demand_kvar * 3000.0 / first.demand_kw.sum())
    # The present is as measured, 0.6; the sun of the first file row lasts half an hour.
    assert made.available_kw[:, -1] == pytest.approx([180.0, 150.0, 75.0, 75.0])
    assert made.price_per_kwh == pytest.approx([0.2, 0.02, 0.03, 0.04])
    assert set(sources_of(open_study(path)).inputs) == {name, "sun.csv", "price.csv"}


def test_a_late_vintage_is_used_as_late_as_it_came(scenario_file, tmp_path):
    """The vintage of minute 20 speaks of minute 30 on; at minute 15 the old one still holds."""
    targets = list(range(0, 150, 15))
    write(tmp_path / "v.csv", (-15, targets, [1000.0] * 10), (20, targets, [5000.0] * 10))
    path = scenario(scenario_file, load={"file": "v.csv", "column": "kw"})
    found, _, _ = forecasts(path, (0, 1, 2))
    assert [made.demand_kw[1].sum() for made in found] == pytest.approx([1000.0, 1000.0, 5000.0])


def test_a_gap_is_refused_or_held(scenario_file, tmp_path):
    write(tmp_path / "v.csv", (-15, [0, 15, 30], [1000.0, 2000.0, 3000.0]))
    entry = {"file": "v.csv", "column": "kw"}
    with pytest.raises(
        SeriesError,
        match=r"inputs\.vintages\.load: at 2024-06-21T12:00:00\+00:00 no known vintage says anything of 2024-06-21T12:45",
    ):
        forecasts(scenario(scenario_file, load=entry))
    (made,), _, _ = forecasts(scenario(scenario_file, "hold", load=entry))
    assert made.demand_kw.sum(axis=1)[1:] == pytest.approx([2000.0, 3000.0, 3000.0])


def test_before_the_first_vintage_the_present_is_held_or_the_gap_refused(scenario_file, tmp_path):
    write(tmp_path / "v.csv", (5, [15, 30, 45, 60, 75], [1000.0] * 5))
    entry = {"file": "v.csv", "column": "kw"}
    with pytest.raises(SeriesError, match="no known vintage says anything of 2024-06-21T12:15"):
        forecasts(scenario(scenario_file, load=entry))
    found, _, first = forecasts(scenario(scenario_file, "hold", load=entry), (0, 1))
    assert found[0].demand_kw.sum(axis=1) == pytest.approx([first.demand_kw.sum()] * 4)
    assert found[1].demand_kw[1].sum() == pytest.approx(1000.0)


def test_quantities_without_a_file_stay_as_measured(scenario_file, tmp_path):
    write(tmp_path / "v.csv", (-15, [0, 15, 30, 45], [0.5] * 4), column="p")
    (made,), _, first = forecasts(scenario(scenario_file, price={"file": "v.csv", "column": "p"}))
    assert made.demand_kw == pytest.approx(np.tile(first.demand_kw, (4, 1)))
    assert made.available_kw == pytest.approx(np.tile(first.available_kw, (4, 1)))
    assert made.price_per_kwh.tolist() == [0.2, 0.5, 0.5, 0.5]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("issue_time,time,kw\n2024-06-21T12:00Z,2024-06-21T12:15Z,1\n2024-06-21T12:00Z,2024-06-21T12:00Z,2\n",
         r"row 3: time 2024-06-21 12:00:00\+00:00 is earlier than the row before it"),
        ("issue_time,time,kw\n2024-06-21T12:00Z,2024-06-21T12:00Z,1\n2024-06-21T12:00Z,2024-06-21T12:15Z,\n",
         "row 3: kw is empty; fill the cell"),
        (DOUBLE,
         "issue times .* are the same moment"),
        ("issue_time,time,kw\nyesterday,2024-06-21T12:00Z,1\nyesterday,2024-06-21T12:15Z,2\n", "'yesterday' is no ISO time"),
        ("time,kw\n2024-06-21T12:00Z,1\n2024-06-21T12:15Z,1\n", "has no column 'issue_time'"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_file_is_said_with_its_place(scenario_file, tmp_path, text, sentence):
    (tmp_path / "v.csv").write_text(text)
    with pytest.raises(ScenarioError, match=rf"inputs\.vintages\.load: v\.csv.*{sentence}"):
        forecasts(scenario(scenario_file, load={"file": "v.csv", "column": "kw"}))


def test_irradiance_in_watts_is_refused(scenario_file, tmp_path):
    write(tmp_path / "v.csv", (-15, [0, 15], [500.0, 600.0]), column="g")
    with pytest.raises(ScenarioError, match=r"inputs\.vintages\.irradiance: .*500 kW/m² is outside"):
        forecasts(scenario(scenario_file, irradiance={"file": "v.csv", "column": "g"}))


def test_without_any_file_the_forecaster_is_refused(scenario_file):
    path = scenario_file(control={"horizon_s": HORIZON_S, "forecast": "file"})
    with pytest.raises(SeriesError, match="has no vintages; give a file of load, irradiance or price"):
        forecasts(path)
