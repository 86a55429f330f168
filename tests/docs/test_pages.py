"""Every code block of README and of the pages works, unless the page says why it is left out."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import SkipTest

import pytest
import yaml
from sybil import Document, Example, Sybil
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser, SkipParser

import cosim

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
RUN = ("python", "sh", "yaml")
READ_ONLY = ("text", "toml", "console", "")
"""Languages of blocks that are only read."""
SHELL_S = 280
BASE = {
    "schema": 1,
    "name": "page",
    "feeder": {"model": "ieee123"},
    "time": {"start": "2024-06-21T00:00:00-07:00", "step_s": 900, "steps": 4},
}


def run_shell(example: Example) -> None:
    """Run a block by the shell, with the commands of this environment."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", example.parsed],
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=SHELL_S,
    )
    assert done.returncode == 0, f"{example.parsed}\n{done.stdout}\n{done.stderr}"


def read_yaml(example: Example) -> None:
    """Read a block as a scenario, or as a part of one."""
    written = yaml.safe_load(example.parsed)
    assert isinstance(written, dict), example.parsed
    planner = {"control": {"planner": written["planner"]}} if set(written) == {"planner"} else written
    cosim.load(BASE | planner)


SYBIL = Sybil(
    parsers=[
        PythonCodeBlockParser(),
        CodeBlockParser(language="sh", evaluator=run_shell),
        CodeBlockParser(language="yaml", evaluator=read_yaml),
        SkipParser(),
    ]
)


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def fences(page: Path) -> list[str]:
    """Languages of the code blocks of a page."""
    lines = [line.strip() for line in page.read_text(encoding="utf-8").splitlines()]
    marks = [line for line in lines if line.startswith("```")]
    return [mark.removeprefix("```") for mark in marks[::2]]


def parsed(page: Path) -> Document:
    return SYBIL.parse(page)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_code_block_has_a_known_language(page):
    assert set(fences(page)) <= {*RUN, *READ_ONLY}


@pytest.mark.parametrize("page", [page for page in PAGES if set(fences(page)) & set(RUN)], ids=name_of)
def test_the_code_blocks_of_a_page_work_in_order(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    # Python keeps which folder "." was for an earlier page.
    sys.path_importer_cache.pop(".", None)
    before = set(sys.modules)
    try:
        for example in parsed(page).examples():
            try:
                example.evaluate()
            except SkipTest as skipped:
                reason = str(skipped)
                assert reason, f"{page} line {example.line}: say why the block is left out"
    finally:
        for name in set(sys.modules) - before:
            # Modules that the page wrote: another page may write one of the same name.
            if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
                del sys.modules[name]


def test_the_job_of_the_slurm_recipe_is_the_one_that_the_page_shows():
    """The recipe is not run, for want of a cluster; what it would submit is."""
    page = DOCS / "howto" / "campaign.md"
    text = page.read_text(encoding="utf-8")
    recipe = next(block for block in text.split("```python\n")[1:] if "def slurm_cluster" in block)
    shown = text.split("```text\n")[1].partition("```")[0].splitlines()
    names: dict[str, Any] = {}
    exec(compile(recipe.partition("```")[0], str(page), "exec"), names)  # noqa: S102 - a block of our own page
    with names["slurm_cluster"]() as cluster:
        job = cluster.job_script().splitlines()
    assert [line for line in shown if line not in job] == []
    (command,) = [line for line in job if "distributed.cli.dask_worker" in line]
    assert "--nthreads 1 " in command
    assert "--nworkers 16 " in command
