"""A campaign of gap cases: what to run, one process each, kept case by case."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Annotated, Literal

import cattrs
import yaml
from pydantic import Field, PositiveFloat, ValidationError, model_validator

from cosim import plugins
from cosim.devices.kind import Config
from cosim.errors import RecordError, ScenarioError
from cosim.run.manifest import software_versions
from cosim.run.scenario import PlannerConfig
from cosim.run.shipped import shipped_feeders
from cosim.studies.gap_case import GapCase, GapRow, Penetration, stopped

ROWS = "rows.jsonl"
SMALL_BUSES = 128
STOPPED_BY_LIMIT = ("time limit", "memory limit")
OUT_OF_MEMORY = ("MemoryError", "memory allocation", "bad_alloc", "Cannot allocate memory")
"""How Python, Rust, C++ and the system say it."""

Progress = Callable[[int, int, str], None]
"""Called with the number of finished cases, of all cases, and the case that runs."""


class PenetrationConfig(Config):
    """How much PV and storage: shares of the load buses, rated power per local load."""

    pv_share: Annotated[float, Field(ge=0, le=1)]
    pv_times_load: PositiveFloat
    storage_share: Annotated[float, Field(gt=0, le=1)]
    storage_times_load: PositiveFloat


class BlockConfig(Config):
    """A full factorial of cases."""

    name: str
    buses: tuple[Annotated[int, Field(ge=2, le=20_000)], ...] = Field(
        (), description="sizes of synthetic networks"
    )
    networks: tuple[str, ...] = Field(
        (), description="shipped single-phase feeders, or masters relative to this file"
    )
    seeds: tuple[int, ...] = (1,)
    periods: tuple[Annotated[int, Field(ge=1, le=48)], ...] = Field((24,), description="hours")
    penetrations: tuple[str, ...] = ()
    bands: tuple[str, ...]
    formulations: tuple[str, ...]

    @model_validator(mode="after")
    def _something(self) -> BlockConfig:
        if not self.buses and not self.networks:
            raise ValueError("give 'buses' or 'networks'")
        if self.buses and not self.penetrations:
            raise ValueError("synthetic networks need 'penetrations'")
        return self


class CampaignConfig(Config):
    """A campaign file."""

    schema_version: Literal[1] = Field(alias="schema")
    name: str
    title: str
    seconds: PositiveFloat = Field(600.0, description="a case is stopped after this")
    memory_gib: PositiveFloat = Field(16.0, description="a case may use no more address space")
    formulations: dict[str, PlannerConfig]
    penetrations: dict[str, PenetrationConfig]
    bands: dict[str, tuple[PositiveFloat, PositiveFloat]]
    blocks: tuple[BlockConfig, ...]

    @model_validator(mode="after")
    def _makes_sense(self) -> CampaignConfig:
        for name, (low, high) in self.bands.items():
            if low >= high:
                raise ValueError(f"band {name!r}: {low:g} is not below {high:g}")
        for name, planner in self.formulations.items():
            if ":" not in planner.type and planner.type not in plugins.names("cosim.planners"):
                raise ValueError(
                    f"formulation {name!r}: no planner is called {planner.type!r}; there are "
                    f"{', '.join(plugins.names('cosim.planners'))}"
                )
        return self

    @model_validator(mode="after")
    def _names_exist(self) -> CampaignConfig:
        for block in self.blocks:
            for what, used, known in (
                ("formulation", block.formulations, self.formulations),
                ("penetration", block.penetrations, self.penetrations),
                ("band", block.bands, self.bands),
            ):
                for name in used:
                    if name not in known:
                        raise ValueError(
                            f"block {block.name!r}: no {what} is called {name!r}; there are "
                            f"{', '.join(known)}"
                        )
        return self


def load_campaign(path: Path) -> CampaignConfig:
    """Read a campaign file.

    Raises:
        ScenarioError: it cannot be read, or is wrong; all mistakes at once.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ScenarioError(str(path), [f"cannot be read: {error.strerror}"]) from error
    except yaml.YAMLError as error:
        raise ScenarioError(str(path), [str(error)]) from error
    try:
        return CampaignConfig.model_validate(data)
    except ValidationError as error:
        places = [".".join(str(part) for part in item["loc"]) for item in error.errors()]
        problems = [
            f"{place or 'campaign'}: {item['msg'].removeprefix('Value error, ')}"
            for place, item in zip(places, error.errors(), strict=True)
        ]
        raise ScenarioError(str(path), problems) from error


def cases_of(campaign: CampaignConfig, folder: Path, *, small: bool = False) -> list[GapCase]:
    """All cases, small networks first, each once.

    Args:
        campaign: what to run.
        folder: that masters are relative to.
        small: only the first block, up to 128 buses and two seeds.
    """
    cases: dict[str, GapCase] = {}
    blocks = campaign.blocks[:1] if small else campaign.blocks
    for block in blocks:
        for case in _block_cases(campaign, block, folder):
            if not small or (case.buses <= SMALL_BUSES and case.seed in block.seeds[:2]):
                cases.setdefault(case.key, case)
    return sorted(cases.values(), key=lambda case: case.buses)


def _block_cases(campaign: CampaignConfig, block: BlockConfig, folder: Path) -> Iterator[GapCase]:
    sized = product(["synthetic"], block.buses, block.seeds, block.penetrations)
    shipped_ones = ((_network(name, folder), 0, 0, "own") for name in block.networks)
    for network, buses, seed, penetration in (*sized, *shipped_ones):
        der = campaign.penetrations.get(penetration)
        for periods, band, formulation in product(block.periods, block.bands, block.formulations):
            yield GapCase(
                network=network,
                buses=buses,
                seed=seed,
                periods=periods,
                penetration=penetration,
                der=None if der is None else Penetration(**der.model_dump()),
                band=band,
                limits_pu=campaign.bands[band],
                formulation=formulation,
                planner=campaign.formulations[formulation].model_dump(mode="json"),
            )


def _network(name: str, folder: Path) -> str:
    if name in shipped_feeders():
        return name
    master = (folder / name).resolve()
    if not master.is_file():
        raise ScenarioError(
            "campaign", [f"networks: {master} does not exist; shipped are {', '.join(shipped_feeders())}"]
        )
    return str(master)


def read_rows(folder: Path) -> list[GapRow]:
    """Rows that are finished; a line cut short by a crash is left out.

    Raises:
        RecordError: the folder holds no campaign.
    """
    path = folder / ROWS
    if not path.is_file():
        raise RecordError(f"{folder} holds no campaign ({ROWS} is missing)")
    rows: dict[str, GapRow] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            row = cattrs.structure(json.loads(line), GapRow)
        except (ValueError, cattrs.BaseValidationError):
            continue
        rows[row.key] = row
    return list(rows.values())


def run_campaign(
    campaign: CampaignConfig, cases: list[GapCase], folder: Path, progress: Progress
) -> list[GapRow]:
    """Run the cases that are not finished yet; each leaves its row at once.

    A case runs in a process of its own, with one thread, so that its memory is its own, its seconds
    compare, and its end is not ours. Where a formulation hits a limit, networks of that size or larger,
    otherwise alike, are not tried. A row of an earlier run counts if the question is the same and it has
    a plan, or met the same limit.

    Returns:
        All rows, also of earlier runs.
    """
    folder.mkdir(parents=True, exist_ok=True)
    versions = json.dumps(software_versions(), indent=2)
    (folder / "versions.json").write_text(versions + "\n", encoding="utf-8")
    _end_last_line(folder / ROWS)
    done = {row.key: row for row in read_rows(folder)} if (folder / ROWS).is_file() else {}
    for count, case in enumerate(cases):
        progress(count, len(cases), case.key)
        if _counts(done.get(case.key), case, campaign):
            continue
        smaller = _smaller_that_stopped(case, cases, done)
        row = (
            _in_own_process(case, campaign)
            if smaller is None
            else stopped(case, f"not tried: {smaller.buses} buses met the {smaller.status}")
        )
        done[row.key] = row
        with (folder / ROWS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(cattrs.unstructure(row)) + "\n")
    progress(len(cases), len(cases), "")
    wanted = {case.key for case in cases}
    return [row for key, row in done.items() if key in wanted]


def _end_last_line(path: Path) -> None:
    """A line that a crash cut short must not swallow the next one."""
    if path.is_file() and not path.read_bytes().endswith(b"\n"):
        with path.open("a", encoding="utf-8") as file:
            file.write("\n")


def _smaller_that_stopped(case: GapCase, cases: list[GapCase], done: dict[str, GapRow]) -> GapRow | None:
    """A smaller or equal network, otherwise alike, on which the formulation met a limit."""
    for other in cases:
        row = done.get(other.key)
        if row is None or not row.status.startswith(STOPPED_BY_LIMIT) or other.buses > case.buses:
            continue
        if replace(other, buses=case.buses, seed=case.seed) == case:
            return row
    return None


def _in_own_process(case: GapCase, campaign: CampaignConfig) -> GapRow:
    request = {**cattrs.unstructure(case), "memory_gib": campaign.memory_gib}
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "row.json"
        try:
            ended = subprocess.run(
                [sys.executable, "-m", "cosim.studies.gap_case", str(answer)],
                input=json.dumps(request),
                capture_output=True,
                text=True,
                timeout=campaign.seconds,
                check=False,
                env={**os.environ, **threads},
            )
        except subprocess.TimeoutExpired:
            return stopped(case, _time_limit(campaign))
        if ended.returncode == 0 and answer.is_file():
            return cattrs.structure(json.loads(answer.read_text(encoding="utf-8")), GapRow)
    if any(sign in ended.stderr for sign in OUT_OF_MEMORY):
        return stopped(case, _memory_limit(campaign))
    lines = [line for line in ended.stderr.strip().splitlines() if not line.startswith(" ")]
    return stopped(case, f"failed: {lines[-1] if lines else f'exit code {ended.returncode}'}")


def _time_limit(campaign: CampaignConfig) -> str:
    return f"time limit of {campaign.seconds:g} s"


def _memory_limit(campaign: CampaignConfig) -> str:
    return f"memory limit of {campaign.memory_gib:g} GiB"


def _counts(row: GapRow | None, case: GapCase, campaign: CampaignConfig) -> bool:
    """Whether a row of an earlier run answers a case: the same question, and a plan or the same limit."""
    if row is None or row.fingerprint != case.fingerprint:
        return False
    limits = (_time_limit(campaign), _memory_limit(campaign))
    return row.claim is not None or row.status.endswith(limits)
