"""The source voltage as an input: in plant, twin, linear model and branch flow, and refused where strange."""

from __future__ import annotations

import numpy as np
import pytest
import yaml

from cosim.errors import ScenarioError
from cosim.experiments.open_loop import plan_day
from cosim.experiments.replay import replay
from cosim.model.state import NoPlan, Setpoints
from cosim.run.assembly import Assembly
from cosim.run.execute import execute
from cosim.run.record import read_record
from cosim.run.shipped import shipped
from cosim.run.study import open_study

PU = [1.0, 1.02, 0.98, 1.01, 1.01, 0.99]


@pytest.fixture
def series(tmp_path):
    rows = ["time,pu"]
    rows += [f"2024-06-21T{12 + i // 4:02d}:{15 * (i % 4):02d}:00+00:00,{PU[i % 6]}" for i in range(12)]
    (tmp_path / "source.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return {"irradiance": {"constant": 0.6}, "price": {"constant": 0.2}, "source_pu": {
        "file": "source.csv", "column": "pu",
    }}  # fmt: skip


def test_the_plant_has_the_voltage_of_the_series_and_the_twin_follows(scenario_file, series):
    study = open_study(scenario_file(inputs=series))
    with Assembly(study, {"twin", "network"}) as assembly:
        feeder, twin = assembly.feeder, assembly.knowledge.open_twin()
        idle = Setpoints.idle(feeder.site)
        for step in range(6):
            measured = feeder.measure(step)
            assert measured.source_ratio == pytest.approx(PU[step])
            assert feeder.engine.source_pu() == pytest.approx({"source": PU[step]})
            twin.set_forecast(measured, (measured.demand_kw + 1j * measured.demand_kvar)[None, :])
            flow = twin.flow((measured.p_kw + 1j * measured.q_kvar)[None, :], twin.at_rest(1), held=True)
            assert np.abs(flow.voltage_pu[:, 0] - measured.voltage_pu).max() < 1e-6
            assert complex(flow.import_kva[0]) == pytest.approx(
                complex(measured.import_kw, measured.import_kvar), abs=0.05
            )
            feeder.apply(idle)
            feeder.commit()


@pytest.mark.parametrize("planner", ["tangent", "lindistflow"])
def test_a_plan_foresees_it(scenario_file, series, planner):
    control = {"horizon_s": 5400, "planner": {"type": planner, "pv_curtail": False}}
    planned = plan_day(open_study(scenario_file(inputs=series, control=control)))
    assert not isinstance(planned, NoPlan)
    if planner == "tangent":
        assert np.abs(replay(planned).voltage_error_pu).max() < 1e-6
    else:
        # The linear model holds the taps: its voltages move as the source does.
        moved = np.diff(planned.voltage_pu.mean(axis=1))
        assert moved == pytest.approx(np.diff(PU), abs=0.006)


def test_the_branch_flow_program_has_it(tmp_path, series):
    scenario = yaml.safe_load((shipped("configs") / "ads10_1ph.yaml").read_text(encoding="utf-8"))
    scenario["inputs"]["source_pu"] = {"constant": 1.02}
    text = yaml.safe_dump(scenario).replace("series/", f"{shipped('configs')}/series/")
    (tmp_path / "s.yaml").write_text(text, encoding="utf-8")
    planned = plan_day(open_study(tmp_path / "s.yaml"))
    assert not isinstance(planned, NoPlan)
    assert np.abs(replay(planned).voltage_error_pu).max() < 1e-5
    assert planned.voltage_pu.max() > 1.01


def test_over_both_drivers_it_is_the_same(scenario_file, series, tmp_path):
    study = open_study(scenario_file(inputs=series, control={"horizon_s": 3600}, baseline=False))
    for over in ("local", "helics"):
        execute(study, tmp_path / over, over=over, overwrite=False, progress=lambda _done: None)
    local, helics = (read_record(tmp_path / over) for over in ("local", "helics"))
    assert local.steps.source_ratio.tolist() == pytest.approx(PU)
    assert local.steps.source_ratio.tolist() == helics.steps.source_ratio.tolist()
    assert np.array_equal(local.vector("voltage_pu"), helics.vector("voltage_pu"))


def test_a_strange_value_is_refused(scenario_file, series):
    wrong = series | {"source_pu": {"constant": 10.5}}
    with pytest.raises(ScenarioError) as refused:
        Assembly(open_study(scenario_file(inputs=wrong)), ())
    assert "inputs.source_pu: 10.5 pu is outside 0.7 .. 1.3 pu" in str(refused.value)
