"""Forecast errors in the rows of a campaign and on its page."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd

from cosim.experiments.campaign.plan import plan_in_code
from cosim.experiments.campaign.skill import SKILL, lead_errors, skill_text
from cosim.experiments.campaign.store import Store
from cosim.experiments.campaign.work import Task, run_task
from cosim.experiments.forecast_skill import ForecastSkill
from cosim.report.campaign.skill import skill_card
from cosim.report.page import Note, Panel


def errors(quantity, *mae):
    """One figure per lead of an hour."""
    return [
        ForecastSkill(quantity, "kW", 3600.0 * lead, 4, one, one, 0.0, None) for lead, one in enumerate(mae)
    ]


def table_of(**found):
    """A complete run for each list of figures; names are ``variant_seed``."""
    return pd.DataFrame(
        [
            {"variant": name.split("_")[0], "status": "complete", SKILL: skill_text(figures)}
            for name, figures in found.items()
        ]
    )


def test_errors_are_means_over_the_seeds_and_equal_ones_share_a_line():
    table = table_of(
        a_1=errors("load", 1.0, 2.0), a_2=errors("load", 3.0, 4.0), b_1=errors("load", 2.0, 3.0),
        c_1=errors("load", 2.0, 3.5), idle_1=[],
    )  # fmt: skip
    (same, other) = lead_errors(table)["load"]
    assert same.variants == ("a", "b")
    np.testing.assert_allclose(same.lead_s, [0.0, 3600.0])
    np.testing.assert_allclose(same.mae, [2.0, 3.0])
    assert other.variants == ("c",)


def test_the_chart_has_a_part_per_quantity_that_is_not_exact():
    table = table_of(a_1=errors("load", 1.0) + errors("price", 0.0), b_1=errors("load", 2.0))
    card = skill_card(table)
    assert isinstance(card, Panel)
    assert [trace.name for trace in card.figure.data] == ["a", "b"]
    assert card.figure.layout.yaxis.title.text == "load (kW)"
    assert "Forecasts of price are exact." in card.caption
    assert isinstance(skill_card(table_of(a_1=errors("load", 0.0))), Note)
    assert skill_card(table_of(idle_1=[])) is None
    assert skill_card(table_of(idle_1=[]).drop(columns=SKILL)) is None


def test_a_run_that_keeps_its_forecasts_has_their_errors_in_its_row(tmp_path):
    plan = plan_in_code(
        {
            "schema": 1, "name": "small", "scenario": "ieee13", "steps": 3,
            "settings": {
                "record.forecasts": True, "control.planner.type": "copper_plate",
                "control.forecast": {"type": "noisy", "options": {"load": "high"}},
            },
        },
        tmp_path,
    )  # fmt: skip
    (run,) = plan.runs
    run_task(
        Task(
            run.key,
            run.study.to_json(),
            "local",
            tmp_path,
            600.0,
            1,
            lambda _folder: {},
            (),
            False,
            False,
            None,
        ),
        tmp_path,
    )
    row = Store(tmp_path).row(run.key)
    assert row is not None
    assert row.status == "complete", row.cause
    load = json.loads(row.figures[SKILL])["load"]
    assert load["unit"] == "kW"
    assert load["lead_s"][0] == 0.0
    assert load["periods"][:2] == [3, 2]
    assert load["mae"][1] > 0.0
