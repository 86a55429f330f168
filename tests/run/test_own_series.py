"""Loads and PV systems with series of their own: what they draw, what they offer, what is forecast."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from cosim.errors import ScenarioError
from cosim.run.assembly import Assembly
from cosim.run.execute import execute
from cosim.run.policy import make_forecaster
from cosim.run.record import read_record
from cosim.run.repeat import open_recorded
from cosim.run.study import Study, open_study, study_in_code
from tests.conftest import small_scenario

STEPS, COVERED = 6, 9
PVS = [
    {"name": name, "bus": bus, "kw": 200}
    for name, bus in (("roof_a", "680"), ("roof_b", "671"), ("park", "692"))
]


def table(columns: dict[str, list[Any]], *, separator: str = ",") -> str:
    """A table from the start of the small scenario to the end of its last plan."""
    rows = zip(*columns.values(), strict=True)
    stamps = (f"2024-06-21T{12 + i // 4}:{15 * (i % 4):02d}:00Z" for i in range(COVERED))
    lines = [separator.join([stamp, *map(str, row)]) for stamp, row in zip(stamps, rows, strict=True)]
    return "\n".join([separator.join(["time", *columns]), *lines]) + "\n"


def rising(first: float, by: float = 1.0) -> list[float]:
    return [first + by * i for i in range(COVERED)]


METERS = {"S671_kw": rising(100), "s671_kvar": rising(-20), "s645_b_kw": rising(50), "both": rising(7)}
SUN = {"roof_a": rising(0.1, 0.05), "roof_b": rising(0.5, 0.01), "park_kw": rising(20, 10)}


@pytest.fixture
def study(tmp_path: Path):
    """The small scenario with three PV systems and other inputs."""

    def make(inputs: dict[str, Any], **changes: Any) -> Study:
        (tmp_path / "meters.csv").write_text(table(METERS), encoding="utf-8")
        (tmp_path / "sun.csv").write_text(table(SUN), encoding="utf-8")
        common = {"irradiance": {"constant": 0.6}, "price": {"constant": 0.2}}
        path = tmp_path / "scenario.yaml"
        text = yaml.safe_dump(small_scenario(inputs=common | inputs, pvs=PVS, **changes))
        path.write_text(text, encoding="utf-8")
        return open_study(path)

    return make


def problems_of(study: Study) -> list[str]:
    with pytest.raises(ScenarioError) as caught, Assembly(study):
        pass
    return list(caught.value.problems)


LOADS = [
    {"names": "s671", "file": "meters.csv", "kw": "{name}_kw", "kvar": "{name}_kvar"},
    {"names": ["S645_B"], "file": "meters.csv", "kw": "{name}_kw", "scale": 2},
]
OWN_PVS = [
    {"names": "ROOF_*", "file": "sun.csv", "irradiance": "{name}"},
    {"names": "park", "file": "sun.csv", "available_kw": "{name}_kw"},
]


def pv_places(assembly: Assembly) -> dict[str, int]:
    return {device.name: at for at, device in enumerate(assembly.site.devices) if device.kind == "pv"}


# --- in plant and forecast ------------------------------------------------------------------------


def test_loads_draw_their_own_kw_and_kvar(study):
    with Assembly(study({"loads": LOADS})) as assembly:
        loads, truth = assembly.site.loads, assembly.truth
        kw, kvar = truth.demand_kw(2, 3)
        nominal_kw, nominal_kvar = assembly.site.load_kw, assembly.site.load_kvar
        own, scaled = loads.index("s671"), loads.index("s645_b")
        assert (kw[own], kvar[own]) == (102, -18)
        assert kw[scaled] == 104
        assert kvar[scaled] == pytest.approx(104 * nominal_kvar[scaled] / nominal_kw[scaled])
        others = np.setdiff1d(np.arange(len(loads)), [own, scaled])
        assert kw[others] == pytest.approx(nominal_kw[others])
        assert kvar[others] == pytest.approx(nominal_kvar[others])
        measured = assembly.feeder.measure(0)
        assert (measured.demand_kw[own], measured.demand_kvar[own]) == (100, -20)
        engine = assembly.feeder._engine.dss
        engine.Loads.Name("s671")
        assert (engine.Loads.kW(), engine.Loads.kvar()) == pytest.approx((100, -20))


def test_kvar_alone_leaves_the_kw_to_all(study):
    inputs = {
        "load": {"multiplier": {"constant": 0.5}},
        "loads": {"names": "s671", "file": "meters.csv", "kvar": "{name}_kvar"},
    }
    with Assembly(study(inputs)) as assembly:
        own = assembly.site.loads.index("s671")
        kw, kvar = assembly.truth.demand_kw(0, 2)
        assert kw[own] == pytest.approx(0.5 * assembly.site.load_kw[own])
        assert kvar[own] == -19.5


@pytest.mark.parametrize("turned", [False, True])
def test_kw_and_kvar_may_come_from_two_entries(study, turned):
    loads = [
        {"names": "s671", "file": "meters.csv", "kw": "{name}_kw"},
        {"names": "s671", "file": "meters.csv", "kvar": "{name}_kvar"},
    ]
    with Assembly(study({"loads": loads[::-1] if turned else loads})) as assembly:
        own = assembly.site.loads.index("s671")
        assert [float(part[own]) for part in assembly.truth.demand_kw(1, 2)] == [101, -19]


def test_loads_of_a_glob_may_share_a_column_and_its_profile(study):
    with Assembly(study({"loads": {"names": "s675_*", "file": "meters.csv", "kw": "BOTH"}})) as assembly:
        truth = assembly.truth
        own = [at for at, name in enumerate(assembly.site.loads) if name.startswith("s675_")]
        assert truth.demand_kw(3, 4)[0][own].tolist() == [10, 10, 10]
        assert len(set(truth.profile_of[own])) == 1


def test_each_pv_system_has_its_own_sun_in_plant_and_forecast(study):
    made = study({"pvs": OWN_PVS})
    with Assembly(made) as assembly:
        at = pv_places(assembly)
        measured = assembly.feeder.measure(0)
        offered = {name: measured.available_kw[place] for name, place in at.items()}
        assert offered == pytest.approx({"roof_a": 20, "roof_b": 100, "park": 20})
        engine = assembly.feeder._engine.dss
        irradiance = []
        for name in ("roof_a", "roof_b", "park"):
            engine.PVsystems.Name(name)
            irradiance.append(engine.PVsystems.Irradiance())
        assert irradiance == pytest.approx([0.1, 0.5, 0.1])
        forecast = make_forecaster(made, assembly.knowledge).forecast(measured, made.horizon)
        assert forecast.available_kw[:, at["roof_a"]] == pytest.approx([20, 30, 40, 50])
        assert forecast.available_kw[:, at["roof_b"]] == pytest.approx([100, 102, 104, 106])
        assert forecast.available_kw[:, at["park"]] == pytest.approx([20, 30, 40, 50])


def test_the_others_follow_the_common_irradiance(study):
    with Assembly(study({"pvs": OWN_PVS[1:]})) as assembly:
        at, measured = pv_places(assembly), assembly.feeder.measure(0)
        assert [measured.available_kw[at[name]] for name in ("roof_a", "park")] == pytest.approx([120, 20])


def test_own_loads_act_in_the_forecast_and_the_tables_of_all(study):
    made = study({"load": {"table_kw": "all.csv"}, "loads": LOADS})
    names = load_names(study({}))
    (made.folder / "all.csv").write_text(table({name: rising(10) for name in names}))
    with Assembly(made) as assembly:
        measured = assembly.feeder.measure(0)
        forecast = make_forecaster(made, assembly.knowledge).forecast(measured, made.horizon)
        own, other = assembly.site.loads.index("s671"), assembly.site.loads.index("s611_c")
        assert forecast.demand_kw[:, own].tolist() == [100, 101, 102, 103]
        assert forecast.demand_kvar[:, own].tolist() == [-20, -19, -18, -17]
        assert forecast.demand_kw[:, other].tolist() == [10, 11, 12, 13]


def load_names(study: Study) -> tuple[str, ...]:
    with Assembly(study) as assembly:
        return assembly.site.loads


def test_both_drivers_give_the_same_record(study, tmp_path):
    made = study({"loads": LOADS, "pvs": OWN_PVS})
    found = {}
    for over in ("local", "helics"):
        execute(made, tmp_path / over, over=over, overwrite=False, progress=lambda _n: None)
        found[over] = read_record(tmp_path / over)
    local, helics = found["local"], found["helics"]
    assert len(local.steps) == STEPS
    for column in ("demand_kw", "demand_kvar", "import_kw", "load_kvar"):
        assert local.steps[column].tolist() == helics.steps[column].tolist()
    assert (local.vector("pv_available_kw") == helics.vector("pv_available_kw")).all()
    assert local.vector("pv_available_kw")[:, 0].tolist() == pytest.approx([20, 30, 40, 50, 60, 70])
    assert (np.diff(local.steps["demand_kvar"]) > 0).all()


# --- mistakes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ({"loads": LOADS[0] | {"names": "s999"}}, "inputs.loads.0: no load is called 's999'; nearest: s"),
        ({"pvs": OWN_PVS[0] | {"names": "rof_*"}}, "inputs.pvs.0: no PV system is called 'rof_*'; nearest: roof_"),
        ({"loads": LOADS[0] | {"names": "*"}}, "meters.csv: 16 of 18 columns are missing, e.g. 's634_a_kw'; narrow 'names'"),
        ({"loads": [LOADS[0], LOADS[0]]}, "inputs.loads.1: the kw of load s671 is given by an entry before it"),
        ({"pvs": [OWN_PVS[0], OWN_PVS[0]]}, "inputs.pvs.1: the sun of PV system roof_a is given by an entry before"),
        ({"pvs": OWN_PVS[1] | {"scale": 4}}, "sun.csv row 6: park_kw 240 kW is outside 0 .. 200 kW; PV system park is rated 200 kW"),
        ({"pvs": OWN_PVS[0] | {"scale": 1000}}, "sun.csv row 2: roof_a 100 kW/m² is outside 0 .. 2 kW/m²; the sun gives"),
        ({"pvs": OWN_PVS[0] | {"file": "no*.csv"}}, "inputs.pvs.0: no file in"),
        ({"loads": LOADS[0] | {"file": "none.csv"}}, "none.csv does not exist"),
        ({"irradiance": {"file": "sun.csv", "column": "park_kw"}}, "row 2: park_kw 20 kW/m² is outside 0 .. 2 kW/m²; the sun gives little more than 1; values in W/m² need 'unit: w_per_m2'"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_entry(study, inputs, expected):
    problems = problems_of(study(inputs))
    assert len(problems) == 1
    assert expected in problems[0]


def test_columns_of_one_device_are_named(study):
    made = study({"loads": LOADS[0]})
    (made.folder / "meters.csv").write_text(table(METERS | {"s671_KW": rising(1)}))
    assert "meters.csv: columns S671_kw and s671_KW are the same device" in problems_of(made)[0]
    made = study({"load": {"table_kw": "all.csv"}})
    (made.folder / "all.csv").write_text(table({"A": rising(1), "a": rising(1)}))
    assert "inputs.load: all.csv: columns A and a are the same load" in problems_of(made)[0]


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ({"loads": {"file": "meters.csv"}}, "name the column of 'kw', of 'kvar' or of both"),
        ({"pvs": {"file": "sun.csv"}}, "name the column of exactly one of 'irradiance' and 'available_kw'"),
        ({"pvs": OWN_PVS[1] | {"unit": "w_per_m2"}}, "'unit' is that of irradiance"),
        (
            {"format": {"timezone": "Europe/Berln"}},
            "no time zone of this name; write one like Europe/Berlin",
        ),
        ({"format": {"seperator": ";"}}, "inputs.format.seperator: unknown key; did you mean 'separator'?"),
        ({"format": {"separator": ";;"}}, "inputs.format.separator: ';;': give one character"),
        (
            {"format": {"decimal": "."}, "price": {"constant": 1, "format": {"encoding": "utf-7"}}},
            "input should be 'utf-8', ",
        ),
        ({"gaps": "hold"}, "say how many steps it may fill, e.g. {rule: hold, up_to: 4}"),
        (
            {"price": {"file": [], "column": "x"}},
            "inputs.price.file.list: Tuple should have at least 1 item",
        ),
    ],
)
def test_a_mistake_in_the_keys_is_named(study, inputs, expected):
    with pytest.raises(ScenarioError) as caught:
        study(inputs)
    assert expected in str(caught.value)


# --- formats, gaps and records --------------------------------------------------------------------


def test_a_shared_format_is_completed_by_that_of_an_entry(study):
    inputs = {
        "format": {"separator": ";", "decimal": ",", "time_column": "Zeit", "timezone": "UTC"},
        "price": {"file": "german.csv", "column": "Preis"},
        "irradiance": {
            "file": "sun.csv", "column": "roof_a", "unit": "w_per_m2", "scale": 1000,
            "format": {"separator": ",", "decimal": ".", "time_column": "time"},
        },
    }  # fmt: skip
    made = study(inputs)
    german = table({"Preis": rising(0.5)}, separator=";").replace("time", "Zeit")
    (made.folder / "german.csv").write_text(german.replace("Z;", ";").replace(".", ","))
    with Assembly(made) as assembly:
        assert assembly.truth.price_per_kwh.tolist() == rising(0.5)
        assert assembly.truth.irradiance == pytest.approx(rising(0.1, 0.05))


def test_each_series_may_be_resampled_its_own_way(study):
    inputs = {
        "load": {"multiplier": {"file": "fine.csv", "column": "load", "resample": "mean"}},
        "price": {"file": "coarse.csv", "column": "p"},
        "resample": "hold",
    }
    made = study(inputs)
    fine = [
        f"2024-06-21T{12 + i // 12}:{5 * (i % 12):02d}:00Z,{[1.0, 0.25, 0.25][i % 3]}" for i in range(27)
    ]
    (made.folder / "fine.csv").write_text("\n".join(["time,load", *fine]))
    (made.folder / "coarse.csv").write_text(
        "time,p\n" + "".join(f"2024-06-21T{12 + i}:00Z,{i}\n" for i in range(3))
    )
    with Assembly(made) as assembly:
        assert assembly.truth.profile[:, 0].tolist() == [0.5] * COVERED
        assert assembly.truth.price_per_kwh.tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 2]
    inputs["load"]["multiplier"].pop("resample")
    made.path.write_text(yaml.safe_dump(small_scenario(inputs=inputs)))
    assert (
        "'resample: hold' would leave finer rows out; give this series 'resample: mean'"
        in problems_of(open_study(made.path))[0]
    )


@pytest.mark.parametrize("opened", [False, True])
def test_what_was_filled_is_in_the_manifest(study, tmp_path, opened):
    inputs = {"price": {"file": "p.csv", "column": "p", "gaps": {"rule": "hold", "up_to": 2}}}
    made = study(inputs)
    lines = table({"p": rising(1)}).splitlines(keepends=True)
    (made.folder / "p.csv").write_text("".join(lines[:3] + lines[5:]))
    execute(
        made, tmp_path / "run", over="local", overwrite=False, progress=lambda _n: None,
        opened=Assembly(made) if opened else None,
    )  # fmt: skip
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["filled"] == [
        {
            "file": "p.csv", "column": "p", "first": "2024-06-21 12:30:00+00:00",
            "last": "2024-06-21 12:45:00+00:00", "rule": "hold", "count": 2,
        }
    ]  # fmt: skip
    assert read_record(tmp_path / "run").steps["price_per_kwh"].tolist() == [1, 2, 2, 2, 5, 6]


def test_a_record_of_globs_repeats_and_names_a_file_that_is_new(study, tmp_path):
    made = study({"price": {"file": "parts/*.csv", "column": "p"}, "loads": LOADS, "pvs": OWN_PVS})
    lines = table({"p": rising(1)}).splitlines(keepends=True)
    (made.folder / "parts").mkdir()
    (made.folder / "parts" / "1.csv").write_text("".join(lines[:4]))
    (made.folder / "parts" / "2.csv").write_text("".join(lines[:1] + lines[4:]))
    execute(made, tmp_path / "run", over="local", overwrite=False, progress=lambda _n: None)
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert set(manifest["sha256"]["inputs"]) == {"meters.csv", "sun.csv", "parts/1.csv", "parts/2.csv"}
    again = open_recorded(tmp_path / "run")
    assert again.scenario == made.scenario
    (made.folder / "parts" / "3.csv").write_text("".join(lines[:1]))
    with pytest.raises(ScenarioError, match=r"input file .*3.csv was not there when the run was made"):
        open_recorded(tmp_path / "run")


def test_a_record_without_the_new_keys_reads_as_before(study):
    inputs = study({}).scenario.model_dump(mode="json", by_alias=True)["inputs"]
    assert list(inputs) == ["load", "irradiance", "price", "source_pu", "resample"]
    assert list(inputs["price"]) == ["file", "column", "constant", "scale"]
    assert list(inputs["irradiance"]) == ["file", "column", "constant", "scale"]
    assert list(inputs["load"]) == ["multiplier", "feeder_shapes", "table_kw"]


def test_pv_systems_without_sun_are_named(caplog, tmp_path):
    scenario = small_scenario(inputs={"price": {"constant": 0.2}})
    with Assembly(study_in_code(scenario, tmp_path), ()):
        assert "inputs.irradiance is 0, so that these PV systems produce nothing: p1" in caplog.text
    caplog.clear()
    with Assembly(study_in_code(small_scenario(), tmp_path), ()):
        assert "produce nothing" not in caplog.text
