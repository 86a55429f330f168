"""What a run is: a hash of everything that its results depend on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cosim.run.manifest import PACKAGE, effective_values
from cosim.run.sources import code_files, feeder_hashes, hash_of, hash_of_feeder, input_files
from cosim.run.study import Study

NAMES = ("name", "title")
"""Keys of a scenario that results do not depend on."""


class Keys:
    """Makes keys of runs; a file that many of them read is read once.

    Two studies have the same key where their effective scenarios, the contents of their feeders, series and
    modules, the driver and the version of this package are the same.

    Args:
        over: name of the driver.
    """

    def __init__(self, over: str) -> None:
        self._over = over
        self._feeders: dict[Path, str] = {}
        self._files: dict[Path, str] = {}

    def key(self, study: Study) -> str:
        """The key of a run, 20 hexadecimal digits.

        Raises:
            FeederError: the master cannot be read.
            UnknownPlugin: a controller, a forecaster or a planner cannot be imported.
        """
        asked: dict[str, Any] = {
            "scenario": {k: v for k, v in effective_values(study).items() if k not in NAMES},
            "feeder": self._feeder(study.master),
            "inputs": self._contents(input_files(study)),
            "code": self._contents(code_files(study)),
            "over": self._over,
            "version": version(PACKAGE),
        }
        text = json.dumps(asked, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:20]

    def _feeder(self, master: Path) -> str:
        if master not in self._feeders:
            self._feeders[master] = hash_of_feeder(feeder_hashes(master))
        return self._feeders[master]

    def _contents(self, paths: Iterable[Path]) -> list[str]:
        """Hashes of files in the order of their paths; names do not count, the scenario has them."""
        found = []
        for path in paths:
            if path not in self._files:
                self._files[path] = hash_of(path)
            found.append(self._files[path])
        return found
