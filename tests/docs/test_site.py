"""The site builds without a warning and needs no network; generated pages and tables are up to date."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from dataclasses import fields
from functools import cache
from pathlib import Path

import nbformat
import pytest
import yaml
from nbclient import NotebookClient

import cosim
from cosim.experiments.control_metrics import ControlMetrics
from cosim.experiments.forecast_skill import ForecastSkill
from cosim.experiments.lead_errors import LeadError
from cosim.experiments.metric_table import BuiltInMetrics
from cosim.experiments.run_metrics import RunMetrics
from cosim.experiments.score import Score
from cosim.model.units import unit_of

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
ELSEWHERE = re.compile(r"""<(?:script|link|img|iframe)[^>]*(?:src|href)=["']?(?:https?:)?//[^"' >]+""")


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The site, built without network: a proxy that does not exist answers every request."""
    folder = tmp_path_factory.mktemp("site")
    command = [
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        "--strict",
        "-q",
        "-f",
        str(DOCS / "mkdocs.yml"),
        "-d",
        str(folder),
    ]
    nowhere = dict.fromkeys(
        ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9"
    )
    environment = os.environ | nowhere | {"NO_MKDOCS_2_WARNING": "1", "DISABLE_MKDOCS_2_WARNING": "true"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_the_site_builds_without_a_warning_and_can_be_searched(site):
    assert (site / "index.html").is_file()
    found = json.loads((site / "search" / "search_index.json").read_text(encoding="utf-8"))
    assert {"howto/data.html", "reference/record.html", "tutorial/first_day.html"} <= {
        entry["location"].partition("#")[0] for entry in found["docs"]
    }


def test_no_page_loads_anything_from_the_network(site):
    loads = {
        page.relative_to(site).as_posix(): found
        for page in site.rglob("*.html")
        if (
            found := [
                link
                for link in ELSEWHERE.findall(page.read_text(encoding="utf-8"))
                if "canonical" not in link
            ]
        )
    }
    assert loads == {}


def test_links_of_the_readme_lead_somewhere():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]
    assert links
    assert [link for link in links if link and not (ROOT / link).exists()] == []


def test_generated_pages_are_those_of_the_program():
    code = "import generate, json, sys; json.dump(generate.pages(), sys.stdout)"
    out = subprocess.run(
        [sys.executable, "-c", code], cwd=DOCS, capture_output=True, text=True, check=True
    ).stdout
    stale = [
        name
        for name, text in json.loads(out).items()
        if (DOCS / "reference" / name).read_text(encoding="utf-8") != text
    ]
    assert stale == [], "run: python docs/generate.py"


def test_the_citation_has_the_version_of_the_package():
    citation = yaml.safe_load((DOCS / "CITATION.cff").read_text(encoding="utf-8"))
    assert f'version = "{citation["version"]}"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


@pytest.mark.timeout(600)
def test_the_tutorial_runs(tmp_path):
    notebook = nbformat.read(DOCS / "tutorial" / "first_day.ipynb", as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    last = [cell for cell in notebook.cells if cell.cell_type == "code"][-1]
    assert "Peak import" in last.outputs[0]["data"]["text/plain"]


# --- tables of the reference ----------------------------------------------------------------------


def rows(page: str) -> list[list[str]]:
    """Cells of all table rows of a page whose first cell is code."""
    lines = (DOCS / page).read_text(encoding="utf-8").splitlines()
    split = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines if line.startswith("| `")]
    return [[cell.strip() for cell in row] for row in split]


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    """A record with every kind of device, with forecasts and with a meter."""
    study = cosim.load("ieee123_flexible", steps=1).without_baseline()
    data = study.inner.scenario.model_dump(mode="json", by_alias=True)
    data["devices"] = [
        {"kind": "tap_changer", "name": "t", "transformer": "reg4_a"},
        {"kind": "capacitor_bank", "name": "c", "capacitor": "c83"},
    ]
    data["control"]["planner"] = {"type": "lindistflow"}
    data["record"]["forecasts"] = True
    data["metrics"]["meters"] = [{"name": "m", "element": "line.l149_1"}]
    return cosim.load(data, folder=study.inner.folder).run(tmp_path_factory.mktemp("record") / "run").record


def expanded(column: str) -> set[str]:
    """The columns that a line of the table stands for."""
    found = {column}
    for word, kinds in (
        ("NETKIND", ("tap_changer", "capacitor_bank")),
        ("KIND", ("curtailable_load", "shiftable_load", "ev_charger")),
    ):
        found = {name.replace(word, kind) for name in found for kind in (kinds if word in name else ("",))}
    return found


def test_the_table_of_columns_is_that_of_a_record(record):
    described = set().union(
        *(expanded(row[0].strip("`")) for row in rows("reference/record.md") if len(row) == 5)
    )
    # Only runs of several controllers have the others.
    of_each_controller = {name for name in described if name.startswith("controller")}
    assert described - of_each_controller == set(record.steps.columns)


def test_columns_have_the_units_of_their_names():
    wrong = [
        row[:2]
        for row in rows("reference/record.md")
        if (unit := unit_of(row[0].strip("`"))) and row[1] != unit
    ]
    assert wrong == []


def test_columns_with_one_value_per_step_are_numbers_or_texts(record):
    per_step = {
        row[0].strip("`") for row in rows("reference/record.md") if len(row) == 5 and row[3] == "step"
    }
    assert [
        name
        for name in sorted(per_step)
        if isinstance(record.steps[name].iloc[0], list)
        or (hasattr(record.steps[name].iloc[0], "shape") and record.steps[name].iloc[0].shape)
    ] == []


def test_the_table_of_metrics_is_that_of_the_program():
    kinds = (RunMetrics, ControlMetrics, LeadError, ForecastSkill, Score)
    named = {part.name for kind in kinds for part in fields(kind)}
    named |= {metric.name for metric in BuiltInMetrics.metrics}
    assert {row[0].strip("`") for row in rows("reference/metrics.md")} == named


def test_every_figure_of_a_run_and_its_controller_is_a_metric_unless_it_is_no_number():
    no_numbers = {"highest_loading_line", "decisions", "lead_errors", "fallback_cause"}
    figures = {part.name for kind in (RunMetrics, ControlMetrics) for part in fields(kind)}
    names = [metric.name for metric in BuiltInMetrics.metrics]
    assert figures - no_numbers <= set(names)
    assert len(names) == len(set(names))


@cache
def messages() -> str:
    """All texts of the program, with … for what is filled in."""
    found: list[str] = []
    for path in [*ROOT.glob("cosim/**/*.py"), *ROOT.glob("federates/**/*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                found.append(
                    "".join(part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
                )
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return "\n".join(found)


def test_messages_of_the_troubleshooting_page_are_those_of_the_program():
    text = (DOCS / "troubleshooting.md").read_text(encoding="utf-8").partition("## The run is complete")[0]
    quoted = [
        part
        for line in text.splitlines()
        if line.startswith("| ")
        for part in re.findall(r"`([^`]+)`", line.split("|")[1])
    ]
    pieces = [piece.strip(" ;:,'()") for part in quoted for piece in part.split("…")]
    assert [piece for piece in pieces if len(piece) > 3 and piece not in messages()] == []
