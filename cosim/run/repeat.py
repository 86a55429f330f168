"""From a record back to its study: the same scenario, from files that are still the same."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

from cosim.errors import ScenarioError
from cosim.run.manifest import MANIFEST, SCENARIO, read_manifest, software_versions
from cosim.run.scenario_file import load_scenario
from cosim.run.sources import Hashes, feeder_hashes, hash_of, input_files
from cosim.run.study import Study

log = logging.getLogger(__name__)


def is_record(folder: Path) -> bool:
    """Whether a folder holds the record of a run."""
    return (folder / MANIFEST).is_file()


def open_recorded(folder: Path) -> Study:
    """The study that a record was made of.

    The same packages give the same numbers, to the last bit; a plan that ``solver_seconds`` stopped is the
    exception. Other versions of packages are named in a warning.

    Raises:
        ScenarioError: the record does not hold its study, or a file it was made of is gone or has
            changed; every one is named.
    """
    manifest = read_manifest(folder)
    sha256, origin = manifest["sha256"], manifest["study"]
    home, master = Path(origin["folder"]), Path(origin["master"])
    feeder = list(_changes("feeder file", master.parent, sha256["feeder_files"]))
    problems = [
        *_changes("scenario", folder, {SCENARIO: sha256["scenario"]}),
        *(feeder or _additions(master, sha256["feeder_files"])),
        *_changes("input file", home, sha256["inputs"]),
        *_changes("module of a plug-in", home, sha256["code"]),
    ]
    if problems:
        raise ScenarioError(str(folder), problems)
    _warn_of_versions(folder, manifest["versions"])
    path = folder / SCENARIO
    modules = None if origin.get("modules") is None else Path(origin["modules"])
    study = Study(path, load_scenario(path), master, home=home, modules=modules)
    if new := list(_new_inputs(study, sha256["inputs"])):
        raise ScenarioError(str(folder), new)
    return study


def _changes(what: str, folder: Path, recorded: Hashes) -> Iterator[str]:
    """A sentence for each file that is not as it was recorded."""
    for name, digest in recorded.items():
        path = (folder / name).resolve()
        if not path.is_file():
            yield f"{what} {path} is missing; restore it, or run the scenario as it is now"
        elif hash_of(path) != digest:
            yield (
                f"{what} {path} has changed since the run: sha256 {hash_of(path)[:12]}, was {digest[:12]}; "
                "restore it, or run the scenario as it is now"
            )


def _additions(master: Path, recorded: Hashes) -> Iterator[str]:
    """A sentence for each file of the feeder that was not there when the run was made."""
    for name in feeder_hashes(master):
        if name not in recorded:
            path = (master.parent / name).resolve()
            yield f"feeder file {path} was not there when the run was made; take it away"


def _new_inputs(study: Study, recorded: Hashes) -> Iterator[str]:
    """A sentence for each file that a glob finds only now."""
    there = {(study.folder / name).resolve() for name in recorded}
    for path in input_files(study):
        if path not in there:
            yield f"input file {path} was not there when the run was made; take it away"


def _warn_of_versions(folder: Path, recorded: dict[str, str]) -> None:
    now = software_versions()
    other = [
        f"{name} {recorded.get(name, 'absent')} (now {now.get(name, 'absent')})"
        for name in sorted({*recorded, *now})
        if recorded.get(name) != now.get(name)
    ]
    if other:
        log.warning(
            "%s was made with %s: results may differ in their last digits", folder, ", ".join(other)
        )
