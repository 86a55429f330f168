"""From a campaign file to its runs: combinations, filters, seeds, keys, baselines."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cosim.errors import CosimError, ScenarioError
from cosim.experiments.campaign.attribution import Ingredient
from cosim.experiments.campaign.config import (
    MOST_RUNS,
    CampaignFile,
    campaign_file_of,
    load_campaign_file,
)
from cosim.experiments.campaign.keys import Keys
from cosim.experiments.campaign.points import (
    ORIGIN,
    Label,
    Labels,
    Point,
    columns_of,
    combinations,
    keys_of,
)
from cosim.experiments.campaign.regret_split import RegretChain
from cosim.experiments.campaign.row import COLUMNS, RESERVED, TEXTS
from cosim.run.metric_names import own_metrics
from cosim.run.settings import changed_study
from cosim.run.shipped import find_scenario
from cosim.run.study import MADE_IN_CODE, Study, open_study

MOST_PROBLEMS = 20


@dataclass(frozen=True)
class PlannedRun:
    """A run of a campaign.

    Attributes:
        key: of its content; runs of two variants may have the same one, and are computed once.
        labels: of its variant.
        seed: None where the campaign has no seeds.
        study: without a baseline of its own.
    """

    key: str
    labels: Labels
    seed: int | None
    study: Study

    @property
    def variant(self) -> str:
        """Name of its variant."""
        return variant_name(self.labels)

    @property
    def name(self) -> str:
        """What a user calls it, see :func:`run_name`."""
        return run_name(self.variant, self.seed)


@dataclass(frozen=True)
class CampaignPlan:
    """All runs of a campaign.

    Attributes:
        file: what was asked for.
        runs: in the order of the axes, seeds fastest.
        own_metrics: units of the metrics of users that are installed, by name; columns of the table.
    """

    file: CampaignFile
    runs: tuple[PlannedRun, ...]
    own_metrics: dict[str, str]

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that tell variants apart."""
        return tuple(name for axis in self.file.axes for name in columns_of(axis))

    def asked_metrics(self) -> tuple[str, ...]:
        """The metrics of users that the campaign asks for, without which a run is not finished."""
        asked = {*self.file.metrics, *(limit.figure for limit in self.file.accept)}
        return tuple(name for name in self.own_metrics if name in asked)

    def distinct(self) -> dict[str, PlannedRun]:
        """One run of each key."""
        return {run.key: run for run in reversed(self.runs)}

    def counterparts(self) -> dict[str, str]:
        """The baseline of each variant that has one, by names of variants.

        It is the variant that differs only by what the campaign's ``baseline`` sets.
        """
        return self._alike_but(self.file.baseline)

    def bounds(self) -> dict[str, str]:
        """The bound of each variant, likewise; where there is only one, it is that of all."""
        wanted = self.file.bound
        found = self._alike_but(wanted)
        such = {run.variant for run in self.runs if wanted and wanted.items() <= run.labels.items()}
        if len(such) == 1:
            (only,) = such
            found |= {run.variant: only for run in self.runs if run.variant not in (only, *found)}
        return found

    def ingredients(self) -> tuple[Ingredient, ...]:
        """What the campaign's ``attribution`` compares."""
        asked = self.file.attribution
        if asked is None:
            return ()
        labels = {run.variant: run.labels for run in self.runs}
        whole = {name: mine for name, mine in labels.items() if asked.reference.items() <= mine.items()}
        pairs = (
            Ingredient(ingredient, variant_name(mine | lacking), name)
            for ingredient, lacking in asked.without.items()
            for name, mine in whole.items()
        )
        return tuple(pair for pair in pairs if pair.without in labels)

    def regret_chains(self) -> tuple[RegretChain, ...]:
        """From each reference of the campaign's ``attribution`` by its causes to its bound."""
        asked = self.file.attribution
        if asked is None or not asked.causes:
            return ()
        labels, bounds, chains = {run.variant: run.labels for run in self.runs}, self.bounds(), []
        for name, mine in labels.items():
            if not asked.reference.items() <= mine.items() or name not in bounds:
                continue
            without, left = [], dict(mine)
            for taken_away in asked.causes.values():
                left |= taken_away
                without.append(variant_name(left))
            if all(variant in labels for variant in without):
                chains.append(RegretChain(name, tuple(asked.causes), tuple(without), bounds[name]))
        return tuple(chains)

    def _alike_but(self, wanted: dict[str, Any]) -> dict[str, str]:
        """For each variant the one that differs only by some labels, if there is one."""
        if not wanted:
            return {}
        labels = {run.variant: run.labels for run in self.runs}
        found = {name: variant_name(mine | wanted) for name, mine in labels.items()}
        return {name: other for name, other in found.items() if other in labels and other != name}


def variant_name(labels: Labels) -> str:
    """Texts as they are, numbers with their key: ``tangent, time.step_s 900``."""
    parts = [value if isinstance(value, str) else f"{key} {_short(value)}" for key, value in labels.items()]
    return ", ".join(parts) or "as the scenario says"


def run_name(variant: str, seed: int | None) -> str:
    """A run by its variant and seed: ``tangent, time.step_s 900, seed 3``."""
    return variant if seed is None else f"{variant}, seed {seed}"


def _short(value: Label) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value).lower()


def plan_campaign(path: Path, *, trusted: bool = False) -> CampaignPlan:
    """All runs of a campaign file.

    Args:
        path: of the file.
        trusted: modules beside the scenario, and native code of the master, may be executed.

    Raises:
        ScenarioError: the file is wrong, or some of its runs would be; all mistakes at once.
    """
    return _planned(load_campaign_file(path), path, trusted=trusted)


def plan_in_code(data: object, folder: Path, *, trusted: bool = False) -> CampaignPlan:
    """All runs of a campaign that no file holds; see :func:`plan_campaign`."""
    path = folder / MADE_IN_CODE
    return _planned(campaign_file_of(data, MADE_IN_CODE), path, trusted=trusted)


def _planned(file: CampaignFile, path: Path, *, trusted: bool) -> CampaignPlan:
    own = {metric.name: metric.unit for metric in own_metrics()}
    problems = [*_problems(file), *_metric_problems(file, own)]
    if problems:
        raise ScenarioError(str(path), problems)
    base = _base(file, path, trusted=trusted)
    chosen, unused = _kept_points(file)
    problems += [f"drop.{number}: no combination is like that" for number in unused]
    count = len(chosen) * (1 if file.seeds is None else len(file.seeds.values))
    if count > MOST_RUNS:
        problems.append(f"axes: {count} runs are more than {MOST_RUNS}")
    if not chosen:
        problems.append("drop: nothing is left")
    if problems:
        raise ScenarioError(str(path), problems)
    keys, runs = Keys(file.over), []
    for point, seed in _with_seeds(file, chosen):
        try:
            study = _study(base, file, point)
            runs.append(PlannedRun(keys.key(study), point.labels, seed, study))
        except ScenarioError as error:
            problems += [f"{variant_name(point.labels)}: {problem}" for problem in error.problems]
        except CosimError as error:
            problems.append(f"{variant_name(point.labels)}: {error}")
    if problems:
        shown, more = problems[:MOST_PROBLEMS], len(problems) - MOST_PROBLEMS
        raise ScenarioError(str(path), shown + ([f"and {more} more; mend these first"] if more > 0 else []))
    plan = CampaignPlan(file, tuple(runs), own)
    if file.attribution is not None and file.attribution.causes and not plan.regret_chains():
        missing = "for no reference there are all variants without the causes, and a bound"
        raise ScenarioError(str(path), [f"attribution.causes: {missing}; compare drop and bound"])
    return plan


def _base(file: CampaignFile, path: Path, *, trusted: bool) -> Study:
    """The scenario that runs start from; a path is relative to the campaign file."""
    beside = path.parent / file.scenario
    found = beside if beside.is_file() else find_scenario(file.scenario)
    return replace(open_study(found, steps=file.steps), trusted=trusted)


def _study(base: Study, file: CampaignFile, point: Point) -> Study:
    settings = one_feeder({**file.settings, **point.settings})
    # Variants are compared with each other, and limits are those that the campaign itself gives.
    return changed_study(base, {"accept": [], **settings, "baseline": False})


def one_feeder(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings in which a feeder's name replaces a master, and the other way round."""
    for key, other in (("feeder.model", "feeder.master"), ("feeder.master", "feeder.model")):
        if settings.get(key) is not None and other not in settings:
            return {**settings, other: None}
    return settings


def _with_seeds(file: CampaignFile, points: Sequence[Point]) -> Iterator[tuple[Point, int | None]]:
    for point in points:
        if file.seeds is None:
            yield point, None
            continue
        for seed in file.seeds.values:
            settings = point.settings | file.seeds.settings(seed)
            yield replace(point, settings=settings), seed


# --- filters --------------------------------------------------------------------------------------


def _kept_points(file: CampaignFile) -> tuple[list[Point], list[int]]:
    """Combinations that are not dropped, and numbers of the filters that dropped none."""
    unused = set(range(len(file.drop)))
    kept = []
    for point in combinations(file.axes) if file.axes else [ORIGIN]:
        hit = {number for number, like in enumerate(file.drop) if _is_like(point.labels, like)}
        unused -= hit
        if not hit:
            kept.append(point)
    return kept, sorted(unused)


def _is_like(labels: Labels, like: dict[str, Any]) -> bool:
    accepted = {name: value if isinstance(value, list) else [value] for name, value in like.items()}
    return all(labels[name] in values for name, values in accepted.items())


def _problems(file: CampaignFile) -> Iterator[str]:
    """What does not fit together in a campaign file."""
    columns = [name for axis in file.axes for name in columns_of(axis)]
    keys = [key for axis in file.axes for key in sorted(keys_of(axis))]
    keys += [] if file.seeds is None else list(file.seeds.settings(0))
    for name in sorted({name for name in columns if columns.count(name) > 1}):
        yield f"axes: two axes have a column {name}"
    for key in sorted({key for key in keys if keys.count(key) > 1}):
        yield f"axes: {key} is set twice, by axes or by seeds"
    for name in columns:
        if name in RESERVED:
            yield f"axes: a column of the table is called {name} already; take another name"
    named = _named_variants(file)
    for place, conditions in (("drop", file.drop), *((place, (labels,)) for place, labels in named)):
        for name in sorted({name for condition in conditions for name in condition}):
            if name not in columns:
                yield f"{place}: there is no column {name}; there are {', '.join(columns) or 'none'}"
    yield from _value_problems(file, columns, named)


def _metric_problems(file: CampaignFile, own: Collection[str]) -> Iterator[str]:
    """Metrics that are not known, and names of users' metrics that are columns already."""
    places = [(f"metrics.{number}", name) for number, name in enumerate(file.metrics)]
    places += [(f"accept.{number}", limit.figure) for number, limit in enumerate(file.accept)]
    known = {*COLUMNS, *own}
    for place, name in places:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            yield f"{place}: there is no metric {name}" + (f"; did you mean {near[0]}?" if near else "")
        elif place.startswith("accept") and COLUMNS.get(name) in TEXTS:
            yield f"{place}: {name} is a text, and a limit is for numbers; limit another metric"
    taken = {*RESERVED, *COLUMNS, *(name for axis in file.axes for name in columns_of(axis))}
    for name in sorted(taken.intersection(own)):
        yield f"a metric of your own is called {name}, like a column of the table; give it another name"


def _named_variants(file: CampaignFile) -> list[tuple[str, dict[str, Any]]]:
    """Places of the file that name a variant by some of its labels, with these."""
    named = [("baseline", file.baseline), ("bound", file.bound)]
    if file.attribution is not None:
        named.append(("attribution.reference", file.attribution.reference))
        named += [(f"attribution.without.{name}", one) for name, one in file.attribution.without.items()]
        named += [(f"attribution.causes.{name}", one) for name, one in file.attribution.causes.items()]
    return named


def _value_problems(
    file: CampaignFile, columns: list[str], named: Sequence[tuple[str, dict[str, Any]]]
) -> Iterator[str]:
    values: dict[str, list[Label]] = {name: [] for name in columns}
    for point in combinations(file.axes):
        for name, value in point.labels.items():
            values[name].append(value)
    for place, labels in named:
        for name, value in labels.items():
            if name in values and value not in values[name]:
                known = ", ".join(dict.fromkeys(str(one) for one in values[name]))
                yield f"{place}: {name} is never {value}; it is {known}"
