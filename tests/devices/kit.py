"""What every kind of device must show: plan and plant agree, and planners agree with an exact program."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from cosim.experiments.open_loop import open_day, plan_day
from cosim.experiments.replay import replay
from cosim.model.state import NoPlan
from cosim.run.policy import make_planner
from cosim.run.shipped import shipped
from cosim.run.study import Study, open_study
from tests.conftest import small_scenario

PRICE = [0.10, 0.08, 0.30, 0.35, 0.12, 0.09]


def flexible_scenario(path: Path, devices: list[dict[str, Any]], **changes: Any) -> Path:
    """IEEE 13 for six hours with a price that is worth shifting for, and devices of some kinds."""
    rows = ["time,price_per_kwh"]
    rows += [f"2024-06-21T{12 + hour}:00:00+00:00,{price}" for hour, price in enumerate([*PRICE, *PRICE])]
    (path / "price.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    scenario = small_scenario(
        time={"start": "2024-06-21T12:00:00+00:00", "step_s": 3600, "steps": 6},
        inputs={
            "irradiance": {"constant": 0.6},
            "price": {"file": "price.csv", "column": "price_per_kwh"},
        },
        devices=devices,
        control={
            "horizon_s": 21_600,
            "planner": {"type": "tangent", "terminal": {"type": "value", "per_kwh": 0.1}},
        },
    )
    scenario |= changes
    file = path / "scenario.yaml"
    file.write_text(yaml.safe_dump(scenario), encoding="utf-8")
    return file


def assert_plan_is_what_the_plant_does(study: Study, kind: str) -> None:
    """One plan for all steps, replayed: stored energy to 1e-6 kWh, nothing cut, and something happens."""
    planned = plan_day(study)
    assert not isinstance(planned, NoPlan), planned
    held = replay(planned)
    here = planned.of_kind(kind)
    assert here
    cut = [text for text in held.realised.cut if any(planned.devices[i] in text for i in here)]
    assert not cut, cut
    # Stored energy follows the power that OpenDSS delivers, which its tolerance moves by 1e-7 of it.
    assert np.abs(held.stored_error_kwh[here]).max() < 1e-6
    assert np.abs(planned.plan.p_kw[:, here]).max() > 1.0, "a plan in which nothing happens proves nothing"


def assert_planners_find_the_exact_optimum(tmp_path: Path, devices: list[dict[str, Any]]) -> None:
    """Tangent and the cone relaxation against IPOPT on the branch-flow equations of ten buses."""
    pytest.importorskip("casadi")
    source = shipped("configs") / "ads10_1ph.yaml"
    text = source.read_text(encoding="utf-8").replace("series/", f"{shipped('configs')}/series/")
    scenario = yaml.safe_load(text) | {"devices": devices}
    scenario["control"]["planner"] |= {"inverter": "polygon", "solver": "auto"}
    costs = {}
    for planner in ("branch_flow_nl", "tangent", "branch_flow_soc"):
        scenario["control"]["planner"]["type"] = planner
        file = tmp_path / f"{planner}.yaml"
        file.write_text(yaml.safe_dump(scenario), encoding="utf-8")
        study = open_study(file)
        with open_day(study) as day:
            plan = make_planner(study, day.assembly.knowledge).plan(day.measurement, day.forecast)
        assert not isinstance(plan, NoPlan), (planner, plan)
        costs[planner] = plan.certificate.objective
    assert costs["tangent"] == pytest.approx(costs["branch_flow_nl"], rel=1e-6)
    assert costs["branch_flow_soc"] == pytest.approx(costs["branch_flow_nl"], rel=1e-6)
