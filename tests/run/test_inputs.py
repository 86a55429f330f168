"""From the input files of a scenario to series at its steps, and what is said of those that do not fit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from cosim.feeder.compiled import FeederModel
from cosim.model.exogenous import Exogenous
from cosim.run.inputs import build_inputs
from cosim.run.study import open_study
from tests.conftest import shipped_master, small_scenario

PRICE = {"file": "series.csv", "column": "x"}


@pytest.fixture(scope="module")
def ieee13() -> Iterator[FeederModel]:
    model = FeederModel(shipped_master("ieee13"))
    yield model
    model.close()


def series(rows: list[float | str], *, spacing_min: int = 15, columns: str = "x") -> str:
    """A table that begins when the small scenario does."""
    stamps = [12 * 60 + spacing_min * i for i in range(len(rows))]
    lines = [
        f"2024-06-21T{m // 60:02d}:{m % 60:02d}:00Z,{row}" for m, row in zip(stamps, rows, strict=True)
    ]
    return "\n".join([f"time,{columns}", *lines]) + "\n"


@pytest.fixture
def built(tmp_path: Path, ieee13: FeederModel):
    """Series of the small scenario with other inputs, and what is wrong with them."""

    def build(
        inputs: dict[str, Any], text: str = "", *, whole_horizon: bool = False, **changes: Any
    ) -> tuple[Exogenous | None, list[str]]:
        (tmp_path / "series.csv").write_text(text, encoding="utf-8")
        path = tmp_path / "scenario.yaml"
        path.write_text(yaml.safe_dump(small_scenario(inputs=inputs, **changes)), encoding="utf-8")
        problems: list[str] = []
        found = build_inputs(open_study(path), ieee13, (), problems, whole_horizon=whole_horizon)
        assert (found is None) == bool(problems)
        return None if found is None else found.exogenous, problems

    return build


# --- values ---------------------------------------------------------------------------------------


def test_a_constant_and_a_column_are_scaled(built):
    found, _ = built(
        {"irradiance": {"constant": 500, "scale": 0.001}, "price": PRICE | {"scale": 0.01}},
        series([10, 20, 30, 40, 50, 60]),
    )
    assert found.irradiance == pytest.approx(np.full(6, 0.5))
    assert found.price_per_kwh == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])


@pytest.mark.parametrize(
    ("resample", "rows", "spacing_min", "expected"),
    [
        ("hold", [1, 3], 60, [1, 1, 1, 1, 3, 3]),
        ("linear", [1, 3, 5], 60, [1, 1.5, 2, 2.5, 3, 3.5]),
        ("mean", [1, 2, 6] * 6, 5, [3] * 6),
        ("refuse", [1, 2, 3, 4, 5, 6], 15, [1, 2, 3, 4, 5, 6]),
    ],
)
def test_rows_become_steps_as_the_scenario_says(built, resample, rows, spacing_min, expected):
    found, _ = built({"price": PRICE, "resample": resample}, series(rows, spacing_min=spacing_min))
    assert found.price_per_kwh == pytest.approx(expected)


def test_a_multiplier_leaves_fixed_loads_alone(tmp_path):
    master = tmp_path / "fixed.dss"
    master.write_text(
        f'redirect "{shipped_master("ieee13")}"\nedit load.s671 status=fixed\nsolve\n', encoding="utf-8"
    )
    path = tmp_path / "scenario.yaml"
    inputs = {"load": {"multiplier": {"constant": 0.5}}}
    path.write_text(yaml.safe_dump(small_scenario(inputs=inputs, feeder={"master": str(master)})))
    model = FeederModel(master)
    try:
        found = build_inputs(open_study(path), model, (), [], whole_horizon=False).exogenous
    finally:
        model.close()
    demand_kw, nominal_kw = found.profile[0, found.profile_of] * found.load_kw, model.loads.kw
    fixed = model.loads.names.index("s671")
    assert demand_kw[fixed] == nominal_kw[fixed] == 1155.0
    assert np.delete(demand_kw, fixed) == pytest.approx(0.5 * np.delete(nominal_kw, fixed))


def test_a_table_gives_kw_and_the_power_factor_stays(built, ieee13):
    names = ieee13.loads.names
    # In another order and spelling than the feeder's.
    columns = ",".join(name.upper() for name in reversed(names))
    rows = [",".join(str(100 * (step + 1) + i) for i in reversed(range(len(names)))) for step in range(6)]
    found, _ = built({"load": {"table_kw": "series.csv"}}, series(rows, columns=columns))
    at = found.profile[:, found.profile_of]
    assert (at * found.load_kw)[2] == pytest.approx([300 + i for i in range(len(names))])
    assert (at * found.load_kvar)[2] == pytest.approx(
        [(300 + i) * q / p for i, (p, q) in enumerate(zip(ieee13.loads.kw, ieee13.loads.kvar, strict=True))]
    )


def test_the_truth_reaches_to_the_end_of_the_last_plan(built):
    # Six steps; the last plan, of an hour, looks three steps beyond.
    assert built({})[0].price_per_kwh.shape == (6,)
    assert built({}, whole_horizon=True)[0].price_per_kwh.shape == (9,)


def test_a_source_voltage_is_held_against_that_of_the_master(built, ieee13):
    found, _ = built({"source_pu": {"constant": 1.02}})
    assert found.source_ratio == pytest.approx(np.full(6, 1.02 / ieee13.source_pu))
    assert built({})[0].source_ratio is None


# --- mistakes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("inputs", "rows", "expected"),
    [
        ({"irradiance": {"constant": -0.2}}, [1, 2], "inputs.irradiance: -0.2 kW/m² is negative"),
        ({"irradiance": PRICE}, [0, 0, -0.1, 0, 0, 0], "inputs.irradiance: series.csv row 4: x -0.1 kW/m² is negative"),
        ({"irradiance": {"constant": 1, "scale": -1}}, [1, 2], "inputs.irradiance: -1 kW/m² is negative"),
        ({"price": PRICE}, [1, 2, 3, "", 5, 6], "inputs.price: series.csv row 5: x is not a finite number"),
        ({"price": PRICE}, [1, 2, "much", 4, 5, 6], "series.csv row 4: x is not a finite number"),
        ({"price": PRICE | {"column": "y"}}, [1, 2], "series.csv has no column 'y'; it has x"),
        ({"price": PRICE}, [1, 2, 3, 4, 5], "series.csv covers 2024-06-21 12:00:00+00:00 to 2024-06-21 13:15"),
        ({"load": {"multiplier": PRICE}}, [1, 2], "inputs.load.multiplier: series.csv covers"),
        ({"load": {"feeder_shapes": True}}, [1, 2], "inputs.load: no load of this feeder has a yearly, daily or duty shape"),
        ({"source_pu": PRICE}, [1, 1, 1, 0.6, 2, 1], "inputs.source_pu: series.csv row 5: x 0.6 pu is outside 0.7 .. 1.3 pu"),
        ({"source_pu": {"constant": 104}}, [1, 2], "inputs.source_pu: 104 pu is outside"),
    ],
)  # fmt: skip
def test_a_series_that_does_not_fit_is_named(built, inputs, rows, expected):
    _, problems = built(inputs, series(rows))
    assert len(problems) == 1
    assert expected in problems[0]


def test_a_gap_is_named_with_its_row(built):
    text = series([1, 2, 3, 4, 5, 6, 7]).splitlines(keepends=True)
    _, problems = built({"price": PRICE}, "".join(text[:3] + text[4:]))
    assert problems[0].endswith(
        "series.csv row 4: 1800 s after the row before it, the other rows are 900 s apart; fill the gap, or "
        "say how with 'gaps: {rule: hold, up_to: 1}' or 'interpolate'"
    )


def test_finer_rows_are_not_averaged_unasked(built):
    _, problems = built({"price": PRICE}, series([1] * 30, spacing_min=5))
    assert (
        "a row every 300 s, the steps are 900 s; say how for this series or for all, with 'resample: hold', "
        "'linear' or 'mean'" in problems[0]
    )


def test_the_truth_must_reach_as_far_as_the_last_plan(built):
    text = series([1, 2, 3, 4, 5, 6])
    assert built({"price": PRICE}, text)[1] == []
    _, problems = built({"price": PRICE}, text, whole_horizon=True)
    assert (
        "the run with its look-ahead needs 2024-06-21 12:00:00+00:00 to 2024-06-21 14:15:00+00:00"
        in problems[0]
    )


def test_mistakes_in_all_series_come_together_each_with_its_line(built):
    inputs = {
        "irradiance": {"file": "sun.csv", "column": "x"},
        "price": {"file": "price.csv", "column": "x"},
        "source_pu": {"constant": 2},
    }
    _, problems = built(inputs)
    keys = [problem.split(": ")[0].split(", ")[1] for problem in problems]
    assert sorted(keys) == ["inputs.irradiance", "inputs.price", "inputs.source_pu"]
    assert all(problem.startswith("line ") for problem in problems)
