"""The campaign file: a base scenario and what is varied in it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, PositiveFloat, PositiveInt, ValidationError, model_validator

from cosim import plugins
from cosim.bounded import Unreadable, bounded_text
from cosim.devices.kind import Config, Name
from cosim.errors import ScenarioError
from cosim.experiments.campaign.attribution import AttributionConfig
from cosim.experiments.campaign.limits import CampaignLimit
from cosim.run.bounded import MOST_SCENARIO_BYTES, yaml_of
from cosim.run.scenario_file import message_of
from cosim.run.shipped import shipped

Key = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*$")]
"""A key of a scenario by dotted path; numbers count items of a list: ``siting.0.seed``."""
Settings = dict[Key, Any]
MOST_RUNS = 100_000


class Range(Config):
    """Where a number is drawn from; both ends belong to it."""

    low: float
    high: float
    log: bool = Field(False, description="uniform in the logarithm")
    whole: bool = Field(False, description="whole numbers only")

    @model_validator(mode="after")
    def _is_a_range(self) -> Range:
        if self.low >= self.high:
            raise ValueError(f"low {self.low:g} is not below high {self.high:g}")
        if self.log and self.low <= 0:
            raise ValueError(f"a logarithmic range begins above 0, not at {self.low:g}")
        return self


class GridAxis(Config):
    """All combinations of the values of some keys."""

    kind: Literal["grid"]
    keys: dict[Key, Annotated[tuple[Any, ...], Field(min_length=1)]] = Field(min_length=1)


class ZipAxis(Config):
    """The values of some keys side by side: the first of each, the second of each ..."""

    kind: Literal["zip"]
    keys: dict[Key, Annotated[tuple[Any, ...], Field(min_length=1)]] = Field(min_length=1)

    @model_validator(mode="after")
    def _same_length(self) -> ZipAxis:
        lengths = {key: len(values) for key, values in self.keys.items()}
        if len(set(lengths.values())) > 1:
            told = ", ".join(f"{key} {count}" for key, count in lengths.items())
            raise ValueError(f"lists of a zip have one length, not {told}")
        return self


class VariantsAxis(Config):
    """Named sets of settings."""

    kind: Literal["variants"]
    name: Name = Field(description="of the column")
    variants: dict[str, Settings] = Field(min_length=1)


class SampleAxis(Config):
    """Points in a box of numbers."""

    kind: Literal["random", "latin_hypercube", "sobol"]
    ranges: dict[Key, Range] = Field(min_length=1)
    count: PositiveInt
    seed: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _balanced(self) -> SampleAxis:
        if self.kind == "sobol" and self.count & (self.count - 1):
            raise ValueError(f"a Sobol sequence is balanced at powers of two; count is {self.count}")
        return self


Axis = Annotated[GridAxis | ZipAxis | VariantsAxis | SampleAxis, Field(discriminator="kind")]


class SeedsConfig(Config):
    """Repetitions that differ by chance alone; differences between variants are taken seed by seed."""

    key: Key | tuple[Key, ...] | dict[Key, Annotated[int, Field(ge=0)]] = Field(
        description="of the scenario; each of them gets the seed, or by key a number that is added to it"
    )
    values: tuple[Annotated[int, Field(ge=0)], ...] = Field(min_length=1)

    def settings(self, seed: int) -> dict[Key, int]:
        """What every key gets in the repetition with a seed."""
        if isinstance(self.key, dict):
            return {key: seed + added for key, added in self.key.items()}
        return dict.fromkeys((self.key,) if isinstance(self.key, str) else self.key, seed)


def _installed(name: str) -> str:
    known = plugins.names("cosim.runners")
    if name not in known:
        raise ValueError(f"no driver is called {name!r}; there are {', '.join(known)}")
    return name


class CampaignFile(Config):
    """A campaign: many runs of one scenario with changes."""

    schema_version: Literal[1] = Field(alias="schema")
    name: Name
    title: str = ""
    scenario: str = Field(description="name of a shipped scenario, or a path relative to this file")
    steps: PositiveInt | None = Field(None, description="of each run; default: the scenario's")
    over: Annotated[str, AfterValidator(_installed)] = Field("local", description="the driver")
    seconds: PositiveFloat = Field(7200.0, description="a run that takes longer is stopped, and has failed")
    settings: Settings = Field({}, description="of all runs, by dotted key")
    axes: tuple[Axis, ...] = Field((), description="every combination of their points is a variant")
    drop: tuple[dict[str, Any], ...] = Field(
        (), description="combinations that are left out; a list of values means any of them"
    )
    seeds: SeedsConfig | None = None
    baseline: dict[str, Any] = Field(
        {}, description="what makes a variant the baseline of the others, e.g. {planner: idle}"
    )
    bound: dict[str, Any] = Field(
        {},
        description="what makes a variant the bound of the others, e.g. {planner: oracle}: regret, score",
    )
    attribution: AttributionConfig | None = Field(
        None, description="what each ingredient of a controller is worth"
    )
    accept: tuple[CampaignLimit, ...] = Field(
        (), description="limits that a share of the seeds of every variant must keep; exit code 3 if not"
    )
    metrics: tuple[str, ...] = Field(
        (), description="metrics or columns that the page shows beside the usual ones, also those of users"
    )
    keep: tuple[Literal["steps", "records"], ...] = Field(
        (), description="steps: one row per step; records: the whole record of each run, with its report"
    )


def find_campaign(name_or_path: str) -> Path:
    """A path as it is, or the shipped campaign of that name.

    Raises:
        ScenarioError: it is neither.
    """
    path = Path(name_or_path)
    if path.suffix in (".yaml", ".yml") or path.is_file():
        return path
    candidate = shipped("configs") / "campaigns" / f"{name_or_path}.yaml"
    if not candidate.is_file():
        known = ", ".join(shipped_campaigns())
        raise ScenarioError(name_or_path, [f"neither a file nor a shipped campaign; there are {known}"])
    return candidate


def shipped_campaigns() -> tuple[str, ...]:
    """Names of the campaigns that ship."""
    return tuple(sorted(path.stem for path in (shipped("configs") / "campaigns").glob("*.yaml")))


def load_campaign_file(path: Path) -> CampaignFile:
    """Read and check a campaign file.

    Raises:
        ScenarioError: it cannot be read, or is wrong; all mistakes at once.
    """
    try:
        data, _ = yaml_of(bounded_text(path, MOST_SCENARIO_BYTES))
    except Unreadable as error:
        raise ScenarioError(str(path), [str(error)]) from error
    return campaign_file_of(data, str(path))


def campaign_file_of(data: object, source: str) -> CampaignFile:
    """Check the content of a campaign file.

    Args:
        data: plain values, as in a file.
        source: the file, or a name for a campaign that has none.

    Raises:
        ScenarioError: everything that is wrong.
    """
    if not isinstance(data, dict):
        raise ScenarioError(source, ["is empty or no mapping; see docs/howto/campaign.md"])
    try:
        return CampaignFile.model_validate(data)
    except ValidationError as error:
        problems = [
            f"{'.'.join(str(part) for part in item['loc']) or 'campaign'}: {message_of(dict(item))}"
            for item in error.errors()
        ]
        raise ScenarioError(source, problems) from None
