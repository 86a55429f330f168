"""A study with other settings, by dotted keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from cosim.errors import ScenarioError
from cosim.run.scenario_file import scenario_of
from cosim.run.study import Study, study_in_code


def changed_study(study: Study, settings: Mapping[str, Any]) -> Study:
    """A study with other settings, checked as a scenario file is.

    Args:
        study: stays as it is.
        settings: by dotted key; numbers count items of a list, e.g. ``storages.0.kw``.

    Raises:
        ScenarioError: a key does not exist, or a value does not fit.
    """
    data = study.scenario.model_dump(mode="json", by_alias=True)
    for key, value in settings.items():
        put(data, key, value)
    scenario = scenario_of(data, str(study.path))
    changed = replace(study, scenario=scenario)
    if any(key.partition(".")[0] == "feeder" for key in settings):
        found = study_in_code(data, study.folder)
        changed = replace(changed, master=found.master)
    return changed


def put(data: Any, key: str, value: Any) -> None:
    """Set a dotted key of plain values; numbers count items of a list.

    Raises:
        ScenarioError: there is no such place.
    """
    parts = key.split(".")
    for done, part in enumerate(parts[:-1]):
        try:
            data = data[int(part)] if isinstance(data, list) else data[part]
        except (KeyError, IndexError, ValueError, TypeError) as error:
            raise ScenarioError(key, [f"there is no {'.'.join(parts[: done + 1])!r}"]) from error
    last = parts[-1]
    try:
        data[int(last) if isinstance(data, list) else last] = value
    except (TypeError, IndexError, ValueError) as error:
        raise ScenarioError(key, [f"{'.'.join(parts[:-1])!r} has no {last!r}"]) from error
