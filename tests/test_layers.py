"""The architecture, held by import-linter, and by a look at comparisons."""

from __future__ import annotations

import ast
from typing import get_args

from importlinter.cli import lint_imports

from cosim import plugins
from tests.conftest import ROOT


def test_imports_point_down_and_engines_stay_in_their_folders(monkeypatch):
    monkeypatch.chdir(ROOT)
    # The linter sets up logging for itself, which switches every logger of ours off.
    monkeypatch.setattr("logging.config.dictConfig", lambda _config: None)
    assert lint_imports(config_filename="pyproject.toml", no_cache=True) == 0


STUDIES_OF_NAMED_FORMULATIONS = {
    "cosim/experiments/reference.py",
    "cosim/experiments/complementarity.py",
    "cosim/report/gap/tables.py",
}
"""They set formulations beside each other whose names are the question."""


def test_no_name_of_a_plugin_is_compared():
    """What a plug-in is stands on the plug-in, see cosim.plugins.Declaration."""
    groups = get_args(plugins.Group)
    names = {name for group in groups for name in plugins.names(group)}
    assert len(names) >= 10
    files = [path for top in ("cosim", "federates") for path in (ROOT / top).rglob("*.py")]
    compared = {
        str(path.relative_to(ROOT))
        for path in files
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Compare | ast.match_case)
        for part in ast.walk(node if isinstance(node, ast.Compare) else node.pattern)
        if isinstance(part, ast.Constant) and part.value in names
    }
    assert compared == STUDIES_OF_NAMED_FORMULATIONS
