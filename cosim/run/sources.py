"""The files that a run reads, and their hashes."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cosim.errors import CosimError
from cosim.feeder.script.reader import read_script
from cosim.plugins import load
from cosim.run.choice import choices_of
from cosim.run.series_file import paths_of
from cosim.run.study import Study

Hashes = dict[str, str]
"""sha256 by the name of a file."""


@dataclass(frozen=True)
class Sources:
    """What a run reads.

    Attributes:
        feeder: the master and every file it leads to; names are relative to the folder of the master.
        inputs: series and files of devices; names are relative to the folder of the study.
        code: modules of a controller, a forecaster or a planner named ``module:Class``; names are absolute.
    """

    feeder: Hashes
    inputs: Hashes
    code: Hashes


def sources_of(study: Study) -> Sources:
    """Hashes of all files a study reads, as they are now.

    Raises:
        UnknownPlugin: a controller, a forecaster or a planner cannot be imported.
    """
    return Sources(
        feeder=feeder_hashes(study.master),
        inputs=_hashes(input_files(study), study.folder),
        code={str(path): hash_of(path) for path in code_files(study)},
    )


def feeder_hashes(master: Path) -> Hashes:
    """Hashes of the master and of every file it leads to, by names relative to the master's folder.

    Raises:
        FeederError: the master cannot be read.
    """
    return _hashes(feeder_files(master), master.parent)


def hash_of_feeder(feeder: Hashes) -> str:
    """One hash over the names and contents of the master and every file it leads to."""
    digest = hashlib.sha256()
    for name, content in feeder.items():
        digest.update(f"{Path(name).name} {content}\n".encode())
    return digest.hexdigest()


def hash_of(path: Path) -> str:
    """The sha256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def feeder_files(master: Path) -> tuple[Path, ...]:
    """The master and all files that it names, native code too, in reading order.

    Raises:
        FeederError: the master cannot be read.
    """
    # Nothing is executed here, so the libraries that a master names may be listed.
    return read_script(master, trusted=True).files


def input_files(study: Study) -> list[Path]:
    """Files of series, of devices, e.g. charging sessions, and of tariffs that a scenario refers to."""
    scenario = study.scenario
    sections = [scenario.inputs, scenario.metrics, *scenario.devices]
    named = [path for section in sections for path in _paths(section.model_dump())]
    return sorted(path for path in set(paths_of(study.folder, named)) if path.is_file())


def _paths(value: object) -> Iterator[Path]:
    if isinstance(value, Path):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from _paths(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _paths(part)


def code_files(study: Study) -> list[Path]:
    """Sources of the modules that are named ``module:Class``, and of those that define these classes.

    Raises:
        UnknownPlugin: one cannot be imported.
    """
    modules: set[str] = set()
    for choice in choices_of(study):
        if choice.module is not None:
            modules |= {choice.module, choice.plugin.__module__}
    if any("published" in choice.declared.needs for choice in choices_of(study)):
        modules |= _stand_in_module(study)
    files = [getattr(sys.modules.get(name), "__file__", None) for name in modules]
    return sorted({Path(file).resolve() for file in files if file is not None})


def _stand_in_module(study: Study) -> set[str]:
    """The module that stands in for a federate; none where it cannot be imported, as over HELICS."""
    publisher = study.scenario.publisher
    if publisher is None or publisher.stand_in is None:
        return set()
    try:
        load("cosim.forecasters", publisher.stand_in, study.plugin_folder, trusted=study.trusted)
    except CosimError:
        return set()
    return {publisher.stand_in.partition(":")[0]}


def _hashes(paths: Iterable[Path], folder: Path) -> Hashes:
    base = folder.resolve()
    return {Path(os.path.relpath(path, base)).as_posix(): hash_of(path) for path in paths}
