"""The manifest of a run: what the run is made of, and how it went.

Beside it lies the effective scenario, with steps, feeder and controller as they really ran.
"""

from __future__ import annotations

import hashlib
import json
import platform
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution, requires, version
from pathlib import Path
from typing import Any, Literal, cast

import yaml

from cosim.bounded import Unreadable, bounded_text
from cosim.errors import ScenarioError
from cosim.plugins import Group
from cosim.run.accept import plain
from cosim.run.bounded import MOST_JSON_BYTES, json_of
from cosim.run.choice import PLANNERS, choices_of
from cosim.run.policy import needs_of_study
from cosim.run.record import last_step
from cosim.run.run_folder import write_last_words
from cosim.run.scenario import Scenario
from cosim.run.sources import hash_of_feeder, sources_of
from cosim.run.study import Study

Status = Literal["running", "complete", "aborted"]
CONTROLLERS: Group = "cosim.controllers"
MANIFEST, SCENARIO = "manifest.json", "scenario.yaml"
PACKAGE = "cosim-opf"
SOLVERS = "nlp"
"""The extra whose packages are solvers; their versions count where they are installed."""
ENGINES = ("dss-python", "dss_python_backend")
"""What ``opendssdirect.py`` requires and what computes the power flows."""
REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9._-]+)[^;]*(?:;(?P<marker>.*))?")


# --- versions and seeds ---------------------------------------------------------------------------


def required_packages() -> tuple[str, ...]:
    """Names of this package, of all it requires at run time, and of the engines behind them.

    Raises:
        PackageNotFoundError: this package is not installed.
    """
    names = [name for name, marker in _requirements() if "extra" not in marker]
    return (PACKAGE, *names, *ENGINES)


def software_versions() -> dict[str, str]:
    """Versions of Python and of the packages that results depend on; of solvers only if installed."""
    return dict(_versions())


@cache
def _versions() -> dict[str, str]:
    """Read once: what a process has imported does not change, and reading takes a tenth of a short run."""
    solvers = {
        name for name, marker in _requirements() if re.search(rf"extra\s*==\s*['\"]{SOLVERS}['\"]", marker)
    }
    found = {"python": platform.python_version()}
    for name in (*required_packages(), *sorted(solvers)):
        try:
            package = distribution(name)
        except PackageNotFoundError:
            if name in solvers:
                continue
            raise
        found[str(package.metadata["Name"])] = package.version
    return found


def _requirements() -> Iterator[tuple[str, str]]:
    """Name and environment marker of every requirement of the installed package."""
    for text in requires(PACKAGE) or ():
        match = REQUIREMENT.match(text)
        if match:
            yield match["name"], match["marker"] or ""


def seeds_of(scenario: Scenario) -> dict[str, int]:
    """Every field called ``seed``, by its dotted path, e.g. ``siting[0].seed``."""
    return dict(_seeds("", scenario.model_dump(by_alias=True)))


def _seeds(path: str, value: Any) -> Iterator[tuple[str, int]]:
    if isinstance(value, dict):
        for key, part in value.items():
            inner = f"{path}.{key}" if path else str(key)
            if key == "seed" and isinstance(part, int):
                yield inner, int(part)
            else:
                yield from _seeds(inner, part)
    elif isinstance(value, list | tuple):
        for i, part in enumerate(value):
            yield from _seeds(f"{path}[{i}]", part)


# --- the manifest ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Provenance:
    """What a run is made of, taken before anything is written.

    Attributes:
        scenario_text: the effective scenario as YAML.
        facts: of the manifest, status and progress apart.
    """

    scenario_text: str
    facts: dict[str, Any]

    def with_facts(self, **facts: Any) -> Provenance:
        """The same with other facts."""
        return replace(self, facts=self.facts | facts)


def provenance_of(study: Study, *, over: str) -> Provenance:
    """Effective scenario, versions, seeds and hashes of a study.

    Raises:
        UnknownPlugin: a controller, a forecaster or a planner cannot be imported.
    """
    scenario, sources = study.scenario, sources_of(study)
    text = effective_scenario(study)
    choices = choices_of(study)
    declared = [choice.declared for choice in choices if choice.group == CONTROLLERS]
    controllers = [choice.name for choice in choices if choice.group == CONTROLLERS]
    planners = [choice.name for choice in choices if choice.group == PLANNERS]
    return Provenance(
        text,
        {
            "steps": scenario.time.steps,
            "title": scenario.title,
            "feeder": scenario.feeder.model or study.master.name,
            "over": over,
            "trusted": study.trusted,
            "controller": ", ".join(controllers),
            "planner": ", ".join(planners) or None,
            "commanded": study.operated,
            "engine_led": any(one.engine_led for one in declared),
            "bound": any(one.bound for one in declared),
            "study": {
                "scenario": str(study.path.resolve()),
                "folder": str(study.folder.resolve()),
                "master": str(study.master.resolve()),
                "modules": None if study.modules is None else str(study.modules.resolve()),
            },
            "seeds": seeds_of(scenario),
            "sha256": {
                "scenario": hashlib.sha256(text.encode()).hexdigest(),
                "feeder": hash_of_feeder(sources.feeder),
                "feeder_files": sources.feeder,
                "inputs": sources.inputs,
                "code": sources.code,
            },
            "versions": software_versions(),
            "limits": scenario.limits.model_dump(),
            "accept": plain(scenario.accept),
            "metrics": scenario.metrics.model_dump(mode="json"),
            **_export_tariff(study),
            **_meter_tariffs(study),
            "feedback_delay_s": scenario.delay_s(),
            "setpoint_ttl_s": scenario.setpoint_ttl_s,
        },
    )


def _export_tariff(study: Study) -> dict[str, Any]:
    """The tariff, where energy that is sent back has a price of its own: settlement needs it."""
    price = study.scenario.inputs.price
    tariff = price.read_tariff(study.folder)
    if tariff is None or not tariff.has_export_price:
        return {}
    return {"export_tariff": tariff.scaled(price.scale).model_dump(mode="json")}


def _meter_tariffs(study: Study) -> dict[str, Any]:
    """The tariff of each meter, null for the price of the run; nothing without meters."""
    tariffs = [meter.settled_by(study.folder) for meter in study.scenario.metrics.meters]
    told = [None if tariff is None else tariff.model_dump(mode="json") for tariff in tariffs]
    return {"meter_tariffs": told} if told else {}


def effective_scenario(study: Study) -> str:
    """The scenario as YAML, with the changes of the command line.

    Every default is written out, so that other defaults of a later release change nothing. Where nobody
    plans, what only a planner reads is left out.
    """
    data = effective_values(study)
    head = (
        f"# The scenario as it was run by {PACKAGE} {version(PACKAGE)}: changes of the command line are in "
        "it, every default\n"
        f"# is written out. Relative paths start from {study.folder.resolve()}\n"
        "# 'cosim run' with the folder of this file repeats the run.\n"
    )
    return head + str(yaml.safe_dump(data, sort_keys=False, allow_unicode=True))


def effective_values(study: Study) -> dict[str, Any]:
    """The scenario as plain values, every default written out; what nobody reads is left out."""
    data: dict[str, Any] = study.scenario.model_dump(mode="json", by_alias=True)
    for own in study.each_controller:
        section = data
        for key in own.control_place:
            section = section[key]
        twin_is_read = "twin" in needs_of_study(own) | own.scenario.sensing.needs
        unread = {"planner", "forecast"} | (set() if twin_is_read else {"twin"})
        for key in set() if own.plans else unread:
            del section[key]
    return data


def write_manifest(
    folder: Path,
    study: Study,
    provenance: Provenance,
    *,
    status: Status,
    reason: str = "",
    wall_s: float | None = None,
) -> None:
    """Write or renew ``manifest.json`` and the effective scenario."""
    write_last_words(folder / SCENARIO, provenance.scenario_text)
    manifest = {
        "name": study.scenario.name,
        "status": status,
        "reason": reason,
        "last_step": last_step(folder),
        "written_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "wall_s": wall_s,
        **provenance.facts,
    }
    write_last_words(folder / MANIFEST, json.dumps(manifest, indent=2) + "\n")


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a record.

    Raises:
        ScenarioError: it cannot be read, or does not tell the study.
    """
    path = folder / MANIFEST
    try:
        manifest = json_of(bounded_text(path, MOST_JSON_BYTES))
    except Unreadable as error:
        raise ScenarioError(str(path), [str(error)]) from error
    if not isinstance(manifest, dict) or not _tells_its_study(manifest):
        raise ScenarioError(
            str(path), ["does not tell the study: an earlier release wrote it; run the scenario itself"]
        )
    return manifest


def _tells_its_study(manifest: dict[str, Any]) -> bool:
    """Whether what is needed to find the study again is there, and of the right form."""
    sha256, study, versions = (manifest.get(key) for key in ("sha256", "study", "versions"))
    if not (isinstance(sha256, dict) and isinstance(study, dict) and isinstance(versions, dict)):
        return False
    tables = [sha256.get(part) for part in ("feeder_files", "inputs", "code")]
    texts = [sha256.get("scenario"), study.get("folder"), study.get("master"), manifest.get("status")]
    return (
        all(isinstance(table, dict) for table in tables)
        and all(isinstance(text, str) and "\0" not in text for text in texts)
        and all(
            isinstance(digest, str) and "\0" not in name
            for table in tables
            for name, digest in cast("dict[str, Any]", table).items()
        )
    )
