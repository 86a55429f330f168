"""Feeders and scenarios that ship with the package, in a checkout and in an installed wheel."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from cosim.errors import ScenarioError

Kind = Literal["configs", "dss_models"]


def shipped(kind: Kind) -> Path:
    """Folder of shipped files: inside the wheel if installed, beside the package in a checkout."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "shipped" / kind
    return installed if installed.is_dir() else package.parent / kind


def shipped_feeders() -> tuple[str, ...]:
    """Names of the feeders that ship."""
    return tuple(sorted(path.parent.name for path in shipped("dss_models").glob("*/master.dss")))


def shipped_scenarios() -> tuple[str, ...]:
    """Names of the scenarios that ship."""
    return tuple(sorted(path.stem for path in shipped("configs").glob("*.yaml")))


def find_scenario(name_or_path: str) -> Path:
    """A path as it is, or the shipped scenario of that name."""
    path = Path(name_or_path)
    if path.suffix in (".yaml", ".yml") or path.is_file():
        return path
    candidate = shipped("configs") / f"{name_or_path}.yaml"
    if not candidate.is_file():
        known = ", ".join(shipped_scenarios())
        raise ScenarioError(name_or_path, [f"neither a file nor a shipped scenario; there are {known}"])
    return candidate


def named_scenario(name_or_path: Path) -> Path | None:
    """The scenario that a name or path means, None where it means a feeder; a feeder has the name first."""
    name = str(name_or_path)
    if name_or_path.suffix in (".yaml", ".yml"):
        return name_or_path
    return find_scenario(name) if name in shipped_scenarios() and name not in shipped_feeders() else None


def find_master(name_or_path: Path) -> Path:
    """An OpenDSS master as it is, or that of the shipped feeder of that name."""
    if str(name_or_path) in shipped_feeders():
        return shipped("dss_models") / str(name_or_path) / "master.dss"
    return name_or_path
