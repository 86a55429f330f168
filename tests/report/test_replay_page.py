"""What the page of a replayed plan says and draws, on the small published system."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from cosim.experiments.open_loop import plan_day
from cosim.experiments.replay import replay
from cosim.model.state import NoPlan
from cosim.report.replay.figures import BRANCHES_SHOWN
from cosim.report.replay.page import verdict, write_replay_page
from cosim.run.shipped import find_scenario
from cosim.run.study import open_study


def replayed(planner):
    study = open_study(find_scenario("ads10_1ph"))
    config = study.scenario.control.planner.model_copy(update={"type": planner})
    plan = plan_day(study.with_planner(config))
    assert not isinstance(plan, NoPlan)
    return replay(plan)


@pytest.fixture(scope="module")
def exact():
    return replayed("branch_flow_soc")


@pytest.fixture(scope="module")
def coarse():
    return replayed("copper_plate")


def page_of(result, tmp_path):
    path = tmp_path / "new" / "replay.html"
    write_replay_page(result, path)
    return path.read_text()


def figures_of(page):
    found = re.findall(r'<h3>([^<]*)</h3>(?:(?!<h3>).)*?class="figure">(.*?)</script>', page, re.DOTALL)
    return {title: json.loads(text) for title, text in found}


def values(axis):
    """Numbers of an axis, which plotly keeps as base64 where they are many."""
    if isinstance(axis, dict):
        import base64

        return np.frombuffer(base64.b64decode(axis["bdata"]), dtype=axis["dtype"])
    return np.array(axis)


def test_every_figure_is_there_with_units_on_its_axes(exact, tmp_path):
    figures = figures_of(page_of(exact, tmp_path))
    assert list(figures) == [
        "Import and price", "Voltage of all nodes", "Error of voltage", "Stored energy", "Set-points",
        "Losses that the relaxation invents",
    ]  # fmt: skip
    for figure in figures.values():
        for name, axis in figure["layout"].items():
            if name.startswith("yaxis") and axis["title"]["text"] != "branch":
                assert re.search(r"\((kW|kvar|kWh|pu|currency/kWh)\)$", axis["title"]["text"])


def test_the_drawn_import_is_the_realised_one(exact, tmp_path):
    figure = figures_of(page_of(exact, tmp_path))["Import and price"]
    lines = {trace["name"]: values(trace["y"]) for trace in figure["data"]}
    np.testing.assert_allclose(lines["realised"][:-1], exact.realised.import_kw)
    np.testing.assert_allclose(lines["planned"][:-1], exact.planned.import_kw)


def test_the_limits_of_the_study_are_drawn(exact, tmp_path):
    figure = figures_of(page_of(exact, tmp_path))["Voltage of all nodes"]
    limits = json.loads(exact.planned.study)["scenario"]["limits"]
    drawn = {shape["y0"] for shape in figure["layout"]["shapes"]}
    assert drawn == {limits["voltage_min_pu"], limits["voltage_max_pu"]}


def test_stored_energy_starts_where_the_day_starts(exact, tmp_path):
    figure = figures_of(page_of(exact, tmp_path))["Stored energy"]
    for trace in figure["data"]:
        assert values(trace["y"])[0] == pytest.approx(exact.planned.plan.stored_kwh[0].sum())
        assert len(values(trace["y"])) == len(exact.period_of) + 1


def test_tiny_errors_are_drawn_on_a_logarithmic_axis(exact, coarse, tmp_path):
    scales = [
        figures_of(page_of(result, tmp_path))["Error of voltage"]["layout"]["yaxis"].get("type")
        for result in (exact, coarse)
    ]
    assert scales == ["log", None]


def test_only_a_relaxation_has_a_relaxation_gap(exact, coarse, tmp_path):
    gap = figures_of(page_of(exact, tmp_path))["Losses that the relaxation invents"]
    assert 0 < len(gap["data"][0]["y"]) <= BRANCHES_SHOWN
    assert "relaxation exact" not in page_of(coarse, tmp_path)


def test_an_exact_plan_survives(exact, tmp_path):
    banner = verdict(exact)
    assert banner.state == "pass"
    assert "no limit violated" in banner.headline
    assert "globally optimal" in banner.details[0]
    assert f"{exact.realised.energy_cost:.2f}" in page_of(exact, tmp_path)


def test_a_voltage_outside_its_limits_fails(exact):
    broken = replace(exact, realised=replace(exact.realised, worst_violation_pu=2e-3, violation_pu_h=0.5))
    assert verdict(broken).state == "fail"
    assert "0.002 pu" in verdict(broken).headline
    assert "0.5 pu·h" in verdict(broken).details[-1]


def test_a_voltage_on_its_limit_to_solver_tolerance_is_kept(exact):
    near = replace(exact, realised=replace(exact.realised, worst_violation_pu=1e-8))
    assert verdict(near).state == "pass"


def test_a_cut_set_point_is_a_note_and_named(exact):
    cut = replace(exact, realised=replace(exact.realised, cut=("step 3, bess: energy",)))
    assert verdict(cut).state == "note"
    assert "step 3, bess: energy" in verdict(cut).details[1]


def test_a_promise_broken_by_more_than_a_thousandth_is_a_note(exact):
    dearer = replace(exact.realised, price_per_kwh=1.002 * exact.realised.price_per_kwh)
    assert verdict(replace(exact, realised=dearer)).state == "note"


def test_the_page_fetches_nothing(exact, tmp_path):
    page = page_of(exact, tmp_path)
    shown = page.partition("<script>")[0]
    assert not re.search(r"<script[^>]*\ssrc=", page)
    assert "http://" not in shown
    assert "https://" not in shown
