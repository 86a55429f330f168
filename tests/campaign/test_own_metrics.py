"""Metrics of users in a campaign: columns, limits, pages; from an installed package."""

from __future__ import annotations

import pandas as pd
import pytest
import yaml

import cosim
from cosim.api.campaign import engine_of
from cosim.api.run import own_figures
from cosim.errors import ScenarioError
from cosim.experiments.campaign.plan import plan_in_code
from cosim.experiments.campaign.pool import PoolOptions
from cosim.experiments.campaign.row import RunRow
from cosim.experiments.campaign.store import Store
from tests.command import process

MODULE = '''
def imported_twice_kwh(run):
    """Twice the imported energy."""
    return 2.0 * run.figures.run.import_kwh if run.steps["import_kw"].min() > 0 else None


imported_twice_kwh.unit = "kWh"


def broken(run):
    """No run has it."""
    raise RuntimeError("of no use")
'''
CAMPAIGN = {
    "schema": 1, "name": "own", "scenario": "ieee13", "steps": 2,
    "settings": {"control.type": "idle"},
    "axes": [{"kind": "grid", "keys": {"limits.voltage_max_pu": [1.05, 1.06]}}],
    "baseline": {"limits.voltage_max_pu": 1.05}, "keep": ["records"],
    "metrics": ["imported_twice_kwh", "import_kwh"], "accept": ["imported_twice_kwh <= 1"],
}  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder with an installed package that has two metrics."""
    folder = tmp_path_factory.mktemp("site")
    info = folder / "mine-1.0.dist-info"
    info.mkdir()
    (folder / "mine.py").write_text(MODULE, encoding="utf-8")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n", encoding="utf-8")
    names = "".join(f"{name} = mine:{name}\n" for name in ("imported_twice_kwh", "broken"))
    (info / "entry_points.txt").write_text(f"[cosim.metrics]\n{names}", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def done(site, tmp_path_factory):
    """A campaign that asks for one of them."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "c.yaml").write_text(yaml.safe_dump(CAMPAIGN), encoding="utf-8")
    ended = process("campaign", "c.yaml", "--out", "out", "--workers", "1", folder=folder, installed=site)
    return folder / "out", ended


def test_they_are_columns_and_limits(done):
    folder, ended = done
    assert ended.code == 3, ended.said
    assert "fail imported_twice_kwh <= 1: 0 of 2 variants keep it" in ended.out
    runs = pd.read_parquet(folder / "runs")
    assert (runs["import_kwh"] > 0).all()
    assert runs["imported_twice_kwh"].tolist() == (2.0 * runs["import_kwh"]).tolist()
    assert runs["broken"].isna().all()
    # Once for the row and once for the report of each run, also where another metric reads its figures.
    assert ended.err.count("metric broken has no value") == 4


def test_they_are_on_the_pages(done):
    folder, _ = done
    summary = (folder / "summary.md").read_text(encoding="utf-8")
    assert summary.count("imported_twice_kwh (kWh)") == summary.count("import_kwh (kWh)") == 2
    row = pd.read_parquet(folder / "runs").iloc[0]
    page = (folder / "records" / row["key"] / "report.html").read_text(encoding="utf-8")
    assert "Metrics of your own" in page
    assert "imported_twice_kwh" in page


def test_a_campaign_is_read_where_the_metric_is_not_installed(done):
    folder, _ = done
    campaign = cosim.Campaign(folder)
    assert campaign.rejected
    assert "imported_twice_kwh" in campaign.report().read_text(encoding="utf-8")


def test_a_run_that_lacks_what_is_asked_for_is_computed_again(site, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(site)
    lazy = plan_in_code(CAMPAIGN | {"metrics": [], "accept": []}, tmp_path)
    asking = plan_in_code(CAMPAIGN, tmp_path)
    assert (lazy.asked_metrics(), asking.asked_metrics()) == ((), ("imported_twice_kwh",))
    assert list(lazy.own_metrics.items()) == [("broken", ""), ("imported_twice_kwh", "kWh")]
    first, second = asking.distinct()
    store = Store(tmp_path)
    store.commit(RunRow(first, "complete", figures={"imported_twice_kwh": None}))
    store.commit(RunRow(second, "complete", figures={}, attempt=2))

    def tasks(plan):
        engine = engine_of(plan, tmp_path, PoolOptions(1, None, None), lambda _: None, lambda _: None)
        return [(task.key, task.attempt) for task in engine.tasks(plan, rows)]

    rows = store.rows(asking.distinct())
    assert tasks(lazy) == []
    assert tasks(asking) == [(second, 3)]
    rows = {first: rows[first], second: RunRow(second, "failed")}
    assert tasks(asking) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"metrics": ["import_kw"]}, "metrics.0: there is no metric import_kw; did you mean import_kwh?"),
        (
            {"accept": ["adjusted_costs <= 1"]},
            "accept.0: there is no metric adjusted_costs; did you mean adj",
        ),
        ({"accept": ["verdict <= 1"]}, "accept.0: verdict is a text, and a limit is for numbers"),
    ],
)
def test_unknown_metrics_are_named(tmp_path, changes, said):
    with pytest.raises(ScenarioError) as refused:
        plan_in_code(CAMPAIGN | {"metrics": [], "accept": []} | changes, tmp_path)
    assert said in str(refused.value)


def test_a_metric_called_like_a_column_is_refused(tmp_path, monkeypatch):
    info = tmp_path / "taken-1.0.dist-info"
    info.mkdir()
    (tmp_path / "taken.py").write_text("def seconds(run):\n    return 1.0\n", encoding="utf-8")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: taken\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("[cosim.metrics]\nseconds = taken:seconds\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ScenarioError, match="a metric of your own is called seconds"):
        plan_in_code(CAMPAIGN | {"metrics": [], "accept": []}, tmp_path)


def test_own_figures_of_a_run_without_any(done):
    folder, _ = done
    key = pd.read_parquet(folder / "runs").iloc[0]["key"]
    assert own_figures(folder / "records" / key) == {}
