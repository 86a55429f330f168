"""The campaign files of the studies of plans (optimality gap, methods), and their cases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import Field, PositiveFloat, ValidationError, model_validator

from cosim import plugins
from cosim.devices.kind import Config
from cosim.errors import ScenarioError
from cosim.experiments.campaign.pool import PoolOptions
from cosim.experiments.executor import Budget, Progress
from cosim.experiments.gap_case import OPTIMALITY_GAP, GapRow
from cosim.experiments.gap_instance import GapCase, Penetration
from cosim.run.planner_config import PlannerConfig
from cosim.run.shipped import find_scenario, shipped_feeders

SMALL_BUSES = 128


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
    scenarios: tuple[str, ...] = Field(
        (), description="shipped scenarios, with their devices, network devices and series"
    )
    seeds: tuple[int, ...] = Field((1,), description="of synthetic networks")
    planner_seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        (0,), description="of planners with random numbers; others run once"
    )
    periods: tuple[Annotated[int, Field(ge=1, le=48)], ...] = Field((24,), description="hours")
    penetrations: tuple[str, ...] = ()
    bands: tuple[str, ...]
    formulations: tuple[str, ...]

    @model_validator(mode="after")
    def _something(self) -> BlockConfig:
        if not self.buses and not self.networks and not self.scenarios:
            raise ValueError("give 'buses', 'networks' or 'scenarios'")
        if self.buses and not self.penetrations:
            raise ValueError("synthetic networks need 'penetrations'")
        return self


class MethodConfig(Config):
    """What a formulation is and needs, for the tables of a comparison of methods."""

    title: str
    problem: str = Field(description="class of the optimisation problem, and whether it is convex")
    model: str = Field(description="what it knows of the network")
    samples: str = Field("none", description="data that it learns from")
    answer: str = Field(description="what its plan proves")
    page: str = Field(description="page of docs/formulations, without .md")


class CampaignConfig(Config):
    """A campaign file."""

    schema_version: Literal[1] = Field(alias="schema")
    name: str
    title: str
    seconds: PositiveFloat = Field(600.0, description="a case is stopped after this")
    memory_gib: PositiveFloat = Field(16.0, description="a case may use no more address space")
    twice: bool = Field(True, description="plan again with other prices, for the seconds of it")
    formulations: dict[str, PlannerConfig]
    methods: dict[str, MethodConfig] = Field({}, description="by name of a formulation")
    against: str = Field("", description="formulation that searches are shown beside")
    penetrations: dict[str, PenetrationConfig] = Field({}, description="of synthetic networks")
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
        for name in (*self.methods, *filter(None, [self.against])):
            if name not in self.formulations:
                raise ValueError(f"methods, against: no formulation is called {name!r}")
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
    for network in _networks_of(block, folder):
        der = campaign.penetrations.get(network.penetration)
        for periods, band, formulation in product(block.periods, block.bands, block.formulations):
            planner = campaign.formulations[formulation]
            for planner_seed in _planner_seeds(block, planner, folder):
                yield GapCase(
                    network=network.name,
                    buses=network.buses,
                    seed=network.seed,
                    periods=periods,
                    penetration=network.penetration,
                    der=None if der is None else Penetration(**der.model_dump()),
                    band=band,
                    limits_pu=campaign.bands[band],
                    formulation=formulation,
                    planner=planner.model_dump(mode="json"),
                    scenario=network.scenario,
                    planner_seed=planner_seed,
                    twice=campaign.twice,
                )


@dataclass(frozen=True)
class _Network:
    """One network of a block; see :class:`GapCase`."""

    name: str
    buses: int = 0
    seed: int = 0
    penetration: str = "own"
    scenario: bool = False


def _networks_of(block: BlockConfig, folder: Path) -> Iterator[_Network]:
    for buses, seed, penetration in product(block.buses, block.seeds, block.penetrations):
        yield _Network("synthetic", buses, seed, penetration)
    for name in block.networks:
        yield _Network(_network(name, folder))
    for name in block.scenarios:
        find_scenario(name)
        yield _Network(name, penetration="scenario", scenario=True)


def _planner_seeds(block: BlockConfig, planner: PlannerConfig, folder: Path) -> tuple[int, ...]:
    """Seeds of a planner; the first one where it has no random numbers."""
    if len(block.planner_seeds) == 1:
        return block.planner_seeds
    seeded = plugins.declared(plugins.load("cosim.planners", planner.type, folder)).seeded
    return block.planner_seeds if seeded else block.planner_seeds[:1]


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
    """Rows that are finished.

    Raises:
        RecordError: the folder holds no campaign.
    """
    return list(OPTIMALITY_GAP.rows(folder).values())


def run_campaign(
    campaign: CampaignConfig,
    cases: list[GapCase],
    folder: Path,
    progress: Progress,
    pool: PoolOptions | None = None,
) -> list[GapRow]:
    """Run the cases that are not finished yet, each in a process of its own.

    Args:
        campaign: with the budget of each case.
        cases: of it.
        folder: of the rows.
        progress: told before each case, and at the end.
        pool: see :meth:`Experiment.campaign`.

    Returns:
        All rows, also of earlier runs.
    """
    budget = Budget(campaign.seconds, campaign.memory_gib)
    return list(OPTIMALITY_GAP.campaign(cases, folder, budget, progress, pool).values())
