"""Limits under ``accept`` in a campaign: a row of the verdict, and the exit code."""

from __future__ import annotations

import pandas as pd
import pytest
import yaml

from cosim.experiments.campaign.verdicts import ACCEPTED, verdict_rows
from tests.command import cosim


def table_of(*accepted):
    rows = [
        {"status": "complete", "sound": True, "accepted": value, "rejected_for": "" if value else "a <= 1"}
        for value in accepted
    ]
    return pd.DataFrame(rows)


def test_a_limit_that_one_run_breaks_fails():
    rows = {row.rule: row for row in verdict_rows(table_of(True, False, True), 3)}
    assert (rows[ACCEPTED].state, rows[ACCEPTED].found) == ("fail", "1 of 3 runs do not: a <= 1")
    assert {row.rule: row.state for row in verdict_rows(table_of(True, True), 2)}[ACCEPTED] == "pass"
    assert ACCEPTED not in {row.rule for row in verdict_rows(table_of(None, None), 2)}


@pytest.mark.parametrize(("limit", "code"), [("steps >= 2", 0), ("steps >= 3", 3)])
def test_the_command_ends_by_it(limit, code, tmp_path):
    file = tmp_path / "c.yaml"
    data = {
        "schema": 1, "name": "small", "scenario": "ieee13", "steps": 2,
        "settings": {"accept": [limit], "control.type": "idle"},
        "axes": [{"kind": "grid", "keys": {"control.seed": [1]}}],
    }  # fmt: skip
    file.write_text(yaml.safe_dump(data), encoding="utf-8")
    ended = cosim("campaign", file, "--out", tmp_path / "out")
    assert ended.code == code, ended.said
