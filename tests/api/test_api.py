"""The Python API: what a user types in a notebook."""

import subprocess
import sys

import pandas as pd
import pytest

import cosim
from cosim.errors import RecordError, ScenarioError
from tests.api.broken_plugins import PeakShaver

TIME = {"start": "2024-06-21T00:00:00-07:00", "step_s": 3600, "steps": 3}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return cosim.load("ieee13", steps=4).run(tmp_path_factory.mktemp("api") / "run")


def test_the_public_names_are_few_documented_and_there():
    assert dir(cosim) == sorted(cosim.__all__)
    assert 10 <= len(cosim.__all__) <= 16
    for name in cosim.__all__:
        assert (getattr(cosim, name).__doc__ or "").strip(), name
    with pytest.raises(AttributeError, match="it has load, Study"):
        cosim.nothing  # noqa: B018


def test_importing_the_package_loads_no_solver_and_no_simulator():
    code = (
        "import sys, cosim, cosim.cli\n"
        "heavy = {'cvxpy', 'opendssdirect', 'dss', 'helics', 'numba', 'pandas', 'scipy', 'pydantic', 'plotly', 'rich', 'dask', 'distributed'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"


def test_a_run_gives_figures_and_tables_by_time_with_units(run):
    assert run.status == "complete"
    assert run.metrics.index.is_unique
    assert run.metrics.loc["Energy cost", "unit"] == "currency"
    assert run.metrics["baseline"].notna().any()
    assert run.voltages.shape[0] == 4
    assert isinstance(run.voltages.index, pd.DatetimeIndex)
    assert run.voltages["675.1"].between(0.8, 1.2).all()
    assert run.voltages.attrs["units"]["675.1"] == "pu"
    assert run.steps["import_kw"].notna().all()
    assert run.steps.attrs["units"]["import_kw"] == "kW"
    stored = run.devices["bess_675"]
    assert {"kw", "kvar", "stored_kwh", "setpoint_kw"} <= set(stored.columns)
    assert list(run.devices["pv_634"].columns[:2]) == ["kw", "kvar"]
    assert run.plans.index.names == ["made_at", "period_start"]
    assert len(run.plans) == 4 * 8


def test_tables_are_the_record(run):
    record = run.record
    assert (run.voltages.to_numpy() == record.vector("voltage_pu")).all()
    kw = record.vector("storage_kw")
    names = [device.name for device in record.site.devices if device.kind == "storage"]
    assert all((run.devices[name, "kw"].to_numpy() == kw[:, i]).all() for i, name in enumerate(names))


def test_a_run_shows_itself(run):
    assert repr(run).startswith("<Run ieee13: complete, 4 of 4 steps, energy cost ")
    assert "<table" in run._repr_html_()
    assert run.plot.voltages().data
    assert run.plot.stored_energy().data
    assert run.report().is_file()


def test_runs_are_opened_again_and_compared(run, tmp_path):
    again = cosim.open(run.folder)
    assert again.metrics.equals(run.metrics)
    idle = cosim.load("ieee13", steps=4).without_control().run(tmp_path / "idle")
    table = again.compare(idle)
    assert list(table.columns) == ["run", "idle", "unit"]
    assert table.loc["Storage throughput", "idle"] == 0.0 < table.loc["Storage throughput", "run"]
    backwards = idle.compare(again)
    assert set(backwards.index) == set(again.metrics.index) | set(idle.metrics.index)
    assert backwards.loc["Set-points cut", ["idle"]].isna().all()
    with pytest.raises(RecordError, match="is no run"):
        cosim.open(tmp_path)


def test_studies_change_by_settings_and_say_what_is_wrong():
    study = cosim.load("ieee13", steps=4)
    changed = study.with_settings({"control.horizon_s": 7200, "storages.0.kw": 300})
    assert changed.inner.scenario.control.horizon_s == 7200
    assert changed.inner.scenario.storages[0].kw == 300
    assert study.inner.scenario.control.horizon_s == 28800
    assert (
        study.with_planner("tangent", {"solver_seconds": 2}).inner.scenario.control.planner.solver_seconds
        == 2
    )
    for settings, sentence in (
        ({"control.horizn_s": 7200}, "horizn_s"),
        ({"storages.9.kw": 300}, "there is no 'storages.9'"),
        ({"control.tail.deep.after_s": 300}, "there is no 'control.tail.deep'"),
        ({"control.horizon_s": "long"}, "control.horizon_s"),
    ):
        with pytest.raises(ScenarioError, match=sentence):
            study.with_settings(settings)
    assert "feeder ieee13, 4 steps of 3600 s" in repr(study)


def test_a_study_is_built_in_code(tmp_path):
    (tmp_path / "day.csv").write_text(
        "time,load,price\n"
        + "".join(f"2024-06-21T0{hour}:00:00-07:00,0.8,0.{hour + 1}\n" for hour in range(8))
    )
    study = cosim.Study(
        "ieee13",
        TIME,
        name="mine",
        folder=tmp_path,
        storages=[{"name": "b", "bus": "675.1.2.3", "kw": 200, "kwh": 800}],
        inputs={
            "load": {"multiplier": {"file": "day.csv", "column": "load"}},
            "price": {"file": "day.csv", "column": "price"},
        },
        control={"horizon_s": 10800, "forecast": "persistence"},
    )
    assert study.check() == ()
    run = study.run(tmp_path / "run")
    assert run.status == "complete"
    assert list(run.devices.columns.get_level_values(0).unique()) == ["b"]
    assert cosim.load(cosim.open(tmp_path / "run").folder / "scenario.yaml").name == "mine"


def test_mistakes_in_code_are_named_without_a_file():
    with pytest.raises(ScenarioError, match="no shipped feeder is called 'ieee14'"):
        cosim.Study("ieee14", TIME)
    with pytest.raises(ScenarioError, match=r"storages\.0\.kwh"):
        cosim.Study("ieee13", TIME, storages=[{"name": "b", "bus": "675.1.2.3", "kw": 200}])


def test_an_own_controller_runs_as_an_object_and_as_a_class_over_both_drivers(tmp_path):
    study = cosim.load("ieee13", steps=3).without_baseline()
    here = study.run(tmp_path / "object", controller=PeakShaver())
    assert here.manifest["controller"] == "tests.api.broken_plugins:PeakShaver"
    there = study.run(tmp_path / "helics", over="helics", controller=PeakShaver)
    assert here.devices.equals(there.devices)
    assert here.devices["bess_675", "kw"].abs().sum() > 0
    with pytest.raises(ScenarioError, match="give its class instead"):
        study.run(tmp_path / "no", over="helics", controller=PeakShaver())


def test_a_controller_of_a_module_that_is_not_installed_runs_over_helics(tmp_path, monkeypatch):
    (tmp_path / "own_rule.py").write_text(
        "from cosim.control.idle import IdleController\n\n\nclass Mine(IdleController):\n    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    from own_rule import Mine

    run = (
        cosim.load("ieee13", steps=2).without_baseline().run(tmp_path / "r", over="helics", controller=Mine)
    )
    assert run.status == "complete"


def test_a_plan_is_made_and_held_against_the_grid():
    plan = cosim.load("ieee13").with_planner("copper_plate").plan()
    result = cosim.replay(plan)
    assert result.figures()["max_import_error_kw"] > 0


def test_many_studies_run_one_after_another(tmp_path):
    study = cosim.load("ieee13", steps=2).without_baseline()
    runs = cosim.run_many([study, study.without_control()], tmp_path)
    assert [run.folder.name for run in runs] == ["00-ieee13", "01-ieee13"]
    assert all(run.status == "complete" for run in runs)


def test_scenarios_are_listed():
    assert "ieee13" in cosim.scenarios()
