"""A shipped campaign on two processes: its table, its page, the same numbers as single runs, nothing twice."""

from __future__ import annotations

import json
import re
import socket
import threading

import duckdb
import pandas as pd
import polars as pl
import pytest
import yaml

import cosim
from cosim.experiments.campaign.config import find_campaign
from cosim.experiments.campaign.plan import plan_campaign
from cosim.experiments.metrics import metrics_to_dict
from tests.command import cosim as command
from tests.command import process

TIMES = re.compile(r".*_s|computational_time_ratio.*|late_plans")
"""Figures that depend on how busy the machine is."""


def written(folder):
    """When and as which file each run was committed."""
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.glob("finished/*")}


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """The small shipped campaign, with everything kept, started as a process of its own."""
    folder = tmp_path_factory.mktemp("campaign")
    data = yaml.safe_load(find_campaign("acceptance_ci").read_text(encoding="utf-8"))
    data |= {"steps": 3, "keep": ["steps", "records"]}
    (folder / "c.yaml").write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    ended = process("campaign", "c.yaml", "--out", "out", "--workers", "2", folder=folder)
    return folder / "c.yaml", folder / "out", ended


def test_a_campaign_ends_well_and_says_where_its_table_is(done):
    _, folder, ended = done
    assert ended.code == 0, ended.said
    assert "every run comes to its end: 6 of 6 complete" in ended.out
    assert "dashboard http://127.0.0.1:" in ended.err
    assert {path.name for path in folder.iterdir()} == {
        ".lock", "campaign.json", "finished", "index.html", "records", "runs", "steps",
        "summary.md",
    }  # fmt: skip


def test_the_table_is_read_by_its_path(done):
    _, folder, _ = done
    runs, steps = pd.read_parquet(folder / "runs"), pd.read_parquet(folder / "steps")
    assert len(runs) == 6
    assert runs["planner"].tolist() == [
        "lindistflow", "lindistflow", "copper_plate", "copper_plate", "without_control", "without_control",
    ]  # fmt: skip
    assert set(runs["status"]) == {"complete"}
    assert runs["adjusted_cost_currency"].notna().all()
    assert (runs["peak_memory_mib"] > 50).all()
    assert json.loads(runs["versions"][0])["numpy"]
    # Runs of equal content are computed once: nobody forecasts where nobody controls.
    assert runs["key"].nunique() == 5
    assert set(steps["run"]) == set(runs["key"])
    assert len(steps) == 5 * 3
    one = runs.iloc[0]
    mine = steps[steps["run"] == one["key"]]
    cost = (mine["import_kw"] * mine["price_per_kwh"]).sum() * one["hours"] / one["steps"]
    assert cost == pytest.approx(one["energy_cost_currency"], rel=1e-12)
    assert (mine["lowest_pu"].min(), mine["highest_pu"].max()) == (one["lowest_pu"], one["highest_pu"])


def test_polars_and_duckdb_read_the_same_files(done):
    _, folder, _ = done
    files = f"{folder}/runs/**/*.parquet"
    expected = pd.read_parquet(folder / "runs")[["key", "import_kwh"]].to_numpy().tolist()
    scanned = pl.scan_parquet(files, hive_partitioning=True)
    complete = scanned.filter(pl.col("status") == "complete").select("key", "import_kwh").collect()
    assert [list(row) for row in complete.rows()] == expected
    table = duckdb.read_parquet(files, hive_partitioning=True).filter("status = 'complete'")
    assert [list(row) for row in table.project("key, import_kwh").fetchall()] == expected


@pytest.mark.parametrize("number", [0, 3, 4])
def test_a_row_is_bit_for_bit_that_of_a_single_run(done, tmp_path, number):
    file, folder, _ = done
    row = pd.read_parquet(folder / "runs").iloc[number]
    planned = plan_campaign(file).runs[number]
    scenario = tmp_path / "scenario.yaml"
    data = planned.study.scenario.model_dump(mode="json", by_alias=True)
    for series in ("irradiance", "price"):
        data["inputs"][series]["file"] = str(planned.study.folder / data["inputs"][series]["file"])
    multiplier = data["inputs"]["load"]["multiplier"]
    multiplier["file"] = str(planned.study.folder / multiplier["file"])
    scenario.write_text(yaml.safe_dump(data), encoding="utf-8")
    ended = command("run", scenario, "--over", "local", "--out", tmp_path / "run")
    assert ended.code == 0, ended.said
    report = metrics_to_dict(cosim.open(tmp_path / "run").figures)
    single = report["run"] | (report["control"] or {})
    compared = {name for name in row.index if name in single and not TIMES.fullmatch(name)}
    assert len(compared) >= 25
    assert {name: row[name] for name in compared if pd.notna(row[name])} == {
        name: single[name] for name in compared if single[name] is not None
    }


def test_nothing_is_computed_again_also_not_by_another_campaign(done, tmp_path):
    file, folder, _ = done
    before = written(folder)
    (folder / "finished" / ".half.json.0").touch()
    again = cosim.campaign(file, folder)
    assert written(folder) == before
    assert len(again.runs) == 6
    # Another file over the same folder that asks for a part of it.
    data = yaml.safe_load(file.read_text(encoding="utf-8")) | {"name": "part", "baseline": {}}
    data["axes"][1]["keys"]["control.forecast"] = ["perfect"]
    part = cosim.campaign(data, folder)
    assert written(folder) == before
    assert part.runs["variant"].tolist() == [f"{name}, perfect" for name in data["axes"][0]["variants"]]
    cosim.campaign(file, folder)


def test_the_page_compares_and_needs_no_network(done):
    _, folder, _ = done
    page = (folder / "index.html").read_text(encoding="utf-8")
    text = page.partition('<script type="application/json" id="in-the-dark">')[0]
    for said in (
        "Pass", "energy cost (currency)", "voltage outside limits (node-h)", "Differences from the baseline",
        "Cost against violation", "Lowest and highest voltage", "Stored energy", "copper_plate, persistence", "sign test", "95 % interval",
    ):  # fmt: skip
        assert said in text, said
    links = re.findall(r'<a href="(records/[^"]+)"', text)
    assert len(links) == 6
    assert all((folder / link).is_file() for link in links)
    assert "http" not in re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)


def test_a_dry_run_computes_one_run_and_it_counts(done, tmp_path):
    file, _, _ = done
    ended = command("campaign", file, "--out", tmp_path / "dry", "--dry-run", "--workers", "2")
    assert ended.code == 0, ended.said
    assert "6 runs, 5 of different content, 1 finished" in ended.out
    assert "The other 4, 2 at a time, would take about" in ended.out
    assert len(written(tmp_path / "dry")) == 1


def test_an_invalid_file_is_exit_2_and_writes_nothing(tmp_path):
    (tmp_path / "c.yaml").write_text("schema: 1\nname: c\nscenario: ieee13\nsteps: none\n")
    ended = command("campaign", tmp_path / "c.yaml", "--out", tmp_path / "out")
    assert ended.code == 2
    assert "steps: 'none'" in ended.said
    assert not (tmp_path / "out").exists()


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr("cosim.experiments.campaign.pool.ANSWER_S", 1.0)


@pytest.mark.usefixtures("impatient")
def test_a_scheduler_that_does_not_answer_is_named(tmp_path):
    ended = command(
        "campaign", "acceptance_ci", "--out", tmp_path / "out", "--scheduler", "tcp://127.0.0.1:9"
    )
    assert ended.code == 1
    assert "no dask scheduler answers at tcp://127.0.0.1:9" in ended.said
    assert "IO loop" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.usefixtures("impatient")
def test_a_server_that_is_no_scheduler_is_named(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        ended = command("campaign", "acceptance_ci", "--out", tmp_path / "out", "--scheduler", address)
    assert ended.code == 1
    assert f"no dask scheduler answers at {address}" in ended.said
    assert "IO loop" not in {thread.name for thread in threading.enumerate()}
