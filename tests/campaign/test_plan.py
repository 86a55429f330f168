"""From a campaign file to its runs: axes, filters, seeds, keys, baselines, mistakes."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import yaml

from cosim.errors import ScenarioError
from cosim.experiments.campaign.config import shipped_campaigns
from cosim.experiments.campaign.plan import plan_campaign, plan_in_code
from cosim.experiments.campaign.regret_split import RegretChain
from cosim.run.shipped import shipped
from tests.conftest import small_scenario

SHIPPED = shipped("configs") / "campaigns"


@pytest.fixture
def planned(tmp_path):
    """Plan a campaign over the small scenario."""
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(small_scenario()), encoding="utf-8")

    def plan(**changes):
        return plan_in_code({"schema": 1, "name": "c", "scenario": "small.yaml"} | changes, tmp_path)

    return plan


def settings_of(plan, *path):
    """A value of the scenario of every run."""
    found = []
    for run in plan.runs:
        value = run.study.scenario.model_dump(mode="json")
        for key in path:
            value = value[key]
        found.append(value)
    return found


def test_a_grid_is_a_product_and_axes_multiply(planned):
    plan = planned(
        axes=[
            {"kind": "grid", "keys": {"control.horizon_s": [3600, 7200], "limits.lines": [True, False]}},
            {"kind": "zip", "keys": {"storages.0.kw": [10, 20, 30], "storages.0.kwh": [40, 80, 120]}},
        ]
    )
    assert len(plan.runs) == len(plan.distinct()) == 12
    assert plan.columns == ("control.horizon_s", "limits.lines", "storages.0.kw", "storages.0.kwh")
    assert settings_of(plan, "storages", 0, "kw")[:3] == [10, 20, 30]
    assert [4 * kw for kw in settings_of(plan, "storages", 0, "kw")] == settings_of(
        plan, "storages", 0, "kwh"
    )
    assert not any(run.study.scenario.baseline for run in plan.runs)


def test_variants_filters_seeds_and_baselines(planned):
    plan = planned(
        axes=[
            {
                "kind": "variants",
                "name": "planner",
                "variants": {
                    "own": {},
                    "copper": {"control.planner.type": "copper_plate"},
                    "none": {"control.type": "idle"},
                },
            },
            {"kind": "grid", "keys": {"feedback": ["same_step", {"delay_s": 1800}]}},
        ],
        drop=[{"planner": "none", "feedback": '{"delay_s": 1800}'}],
        seeds={"key": ["control.seed", "control.twin.seed"], "values": [3, 4]},
        baseline={"planner": "none"},
    )
    assert [(run.variant, run.seed) for run in plan.runs[:3]] == [
        ("own, same_step", 3),
        ("own, same_step", 4),
        ('own, {"delay_s": 1800}', 3),
    ]
    assert len(plan.runs) == 10
    assert settings_of(plan, "control", "twin", "seed") == [3, 4] * 5
    # A delayed variant has no counterpart without control.
    assert plan.counterparts() == {
        "own, same_step": "none, same_step",
        "copper, same_step": "none, same_step",
    }


@pytest.mark.parametrize("kind", ["random", "latin_hypercube", "sobol"])
def test_samples_are_within_their_ranges_and_the_same_each_time(planned, kind):
    axis = {
        "kind": kind,
        "count": 16,
        "seed": 5,
        "ranges": {
            "limits.voltage_penalty_per_pu_h": {"low": 10, "high": 1000, "log": True},
            "control.seed": {"low": 1, "high": 4, "whole": True},
        },
    }
    plan = planned(axes=[axis])
    penalty = np.array(settings_of(plan, "limits", "voltage_penalty_per_pu_h"))
    assert ((penalty >= 10) & (penalty <= 1000)).all()
    assert set(settings_of(plan, "control", "seed")) <= {1, 2, 3, 4}
    if kind != "random":
        # Stratified: one point in each sixteenth of the logarithm.
        assert sorted((np.log10(penalty / 10) * 8).astype(int)) == list(range(16))
    assert [run.key for run in plan.runs] == [run.key for run in planned(axes=[axis]).runs]
    other = planned(axes=[axis | {"seed": 6}])
    assert {run.key for run in other.runs}.isdisjoint({run.key for run in plan.runs})


def test_a_feeder_may_be_an_axis_and_its_content_is_in_the_key(planned, tmp_path):
    model = shutil.copytree(shipped("dss_models") / "ieee13", tmp_path / "mine")
    axes = [
        {
            "kind": "variants",
            "name": "feeder",
            "variants": {
                "shipped": {"feeder.model": "ieee13"},
                "copy": {"feeder.master": str(model / "master.dss")},
            },
        }
    ]
    first = planned(axes=axes)
    assert [run.study.master.parent.name for run in first.runs] == ["ieee13", "mine"]
    with (model / "master.dss").open("a", encoding="utf-8") as master:
        master.write("\n! a remark\n")
    second = planned(axes=axes)
    assert second.runs[0].key == first.runs[0].key
    assert second.runs[1].key != first.runs[1].key


def test_the_content_of_a_series_is_in_the_key_and_the_name_of_a_scenario_is_not(tmp_path):
    lines = ["time,price"] + [f"2024-06-21T{hour:02d}:00:00+00:00,0.{hour + 10}" for hour in range(24)]
    price = {"file": "price.csv", "column": "price"}
    keys = []
    for name, last in (("one", "0.9"), ("two", "0.9"), ("two", "0.8")):
        (tmp_path / "price.csv").write_text("\n".join([*lines[:-1], f"2024-06-21T23:00:00+00:00,{last}"]))
        scenario = small_scenario(name=name, inputs={"price": price, "resample": "hold"})
        (tmp_path / "small.yaml").write_text(yaml.safe_dump(scenario), encoding="utf-8")
        plan = plan_in_code({"schema": 1, "name": "c", "scenario": "small.yaml"}, tmp_path)
        keys.append(plan.runs[0].key)
    assert keys[0] == keys[1] != keys[2]


def test_what_nobody_reads_makes_no_new_run(planned):
    axes = [{"kind": "grid", "keys": {"control.forecast": ["perfect", "persistence"]}}]
    assert len(planned(axes=axes).distinct()) == 2
    without = planned(axes=axes, settings={"control.type": "idle"})
    assert (len(without.runs), len(without.distinct())) == (2, 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"axis": []}, "axis: unknown key"),
        ({"scenario": "nowhere"}, "neither a file nor a shipped scenario"),
        ({"over": "carrier_pigeon"}, "no driver is called 'carrier_pigeon'"),
        ({"axes": [{"kind": "zip", "keys": {"a": [1], "b": [1, 2]}}]}, "one length, not a 1, b 2"),
        (
            {"axes": [{"kind": "sobol", "count": 12, "ranges": {"a": {"low": 0, "high": 1}}}]},
            "powers of two",
        ),
        ({"axes": [{"kind": "grid", "keys": {"status": [1]}}]}, "called status already"),
        ({"axes": [{"kind": "grid", "keys": {"control.horizon": [1]}}]}, "horizon: unknown key"),
        (
            {"axes": [{"kind": "grid", "keys": {"control.horizon_s": [3600, 3601]}}]},
            "control.horizon_s 3601: ",
        ),
        ({"drop": [{"planner": "x"}]}, "drop: there is no column planner"),
        (
            {"axes": [{"kind": "grid", "keys": {"control.seed": [1]}}], "drop": [{"control.seed": 2}]},
            "drop.0: no combination is like that",
        ),
        (
            {"axes": [{"kind": "grid", "keys": {"control.seed": [1]}}], "baseline": {"control.seed": 2}},
            "baseline: control.seed is never 2; it is 1",
        ),
        (
            {
                "axes": [{"kind": "grid", "keys": {"control.seed": [1]}}],
                "seeds": {"key": "control.seed", "values": [1]},
            },
            "control.seed is set twice",
        ),
        ({"axes": [{"kind": "grid", "keys": {"control.planner.type": ["oracle"]}}]}, "oracle"),
    ],
)
def test_mistakes_are_named(planned, changes, message):
    with pytest.raises(ScenarioError) as raised:
        planned(**changes)
    assert message in str(raised.value)


def test_seeds_by_key(planned):
    plan = planned(seeds={"key": {"control.seed": 0, "control.twin.seed": 100}, "values": [3, 4]})
    assert [run.seed for run in plan.runs] == [3, 4]
    assert settings_of(plan, "control", "seed") == [3, 4]
    assert settings_of(plan, "control", "twin", "seed") == [103, 104]


def chained(planned, **changes):
    """Two levels of load, a controller with two causes of regret, and a bound for each level."""
    settings = {
        "late, wrong": {"feedback": "next_step", "control.forecast": "persistence"},
        "late": {"feedback": "next_step"},
        "whole": {},
        "oracle": {"control.type": "oracle"},
    }
    axes = [
        {"kind": "variants", "name": "c", "variants": settings},
        {"kind": "grid", "keys": {"time.step_s": [900, 300]}},
    ]
    causes = {"forecast": {"c": "late"}, "delay": {"c": "whole"}}
    asked = {"reference": {"c": "late, wrong"}, "causes": causes}
    return planned(**({"axes": axes, "bound": {"c": "oracle"}, "attribution": asked} | changes))


def test_a_chain_from_each_reference_to_its_bound(planned):
    chains = chained(planned, drop=[{"c": "whole", "time.step_s": 300}]).regret_chains()
    assert chains == (
        RegretChain(
            "late, wrong, time.step_s 900",
            ("forecast", "delay"),
            ("late, time.step_s 900", "whole, time.step_s 900"),
            "oracle, time.step_s 900",
        ),
    )


def test_causes_without_a_bound_are_refused(planned):
    with pytest.raises(ScenarioError, match=r"attribution.causes: for no reference"):
        chained(planned, bound={})


def test_causes_on_two_axes_add_up(planned):
    axes = [
        {"kind": "grid", "keys": {"control.forecast": ["perfect", "persistence"]}},
        {"kind": "grid", "keys": {"feedback": ["same_step", "next_step"]}},
        {"kind": "variants", "name": "c", "variants": {"plans": {}, "oracle": {"control.type": "oracle"}}},
    ]
    causes = {"forecast": {"control.forecast": "perfect"}, "delay": {"feedback": "same_step"}}
    reference = {"control.forecast": "persistence", "feedback": "next_step", "c": "plans"}
    (chain,) = planned(
        axes=axes, bound={"c": "oracle"}, attribution={"reference": reference, "causes": causes}
    ).regret_chains()
    assert chain.without == ("perfect, next_step, plans", "perfect, same_step, plans")
    assert chain.bound == "persistence, next_step, oracle"


def test_the_shipped_campaigns_are_valid():
    plans = {name: plan_campaign(SHIPPED / f"{name}.yaml") for name in shipped_campaigns()}
    assert len(plans["planners_ieee123"].runs) >= 240
    assert len(plans["acceptance_ci"].runs) <= 6
    sites = plans["regret_ieee123"].runs[0].study.scenario.siting
    assert (sites[0].seed, sites[1].seed) == (1, 101)
    assert plans["regret_ieee123"].regret_chains()
    assert set(plans) >= {"planners_ieee123", "horizon_and_forecast", "model_mismatch", "year_ieee13"}
    for plan in plans.values():
        assert plan.counterparts()
        assert json.dumps(plan.file.model_dump(mode="json", by_alias=True))
