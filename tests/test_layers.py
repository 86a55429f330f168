"""The architecture, held by import-linter."""

from __future__ import annotations

from importlinter.cli import lint_imports

from tests.conftest import ROOT


def test_imports_point_down_and_engines_stay_in_their_folders(monkeypatch):
    monkeypatch.chdir(ROOT)
    assert lint_imports(config_filename="pyproject.toml", no_cache=True) == 0
