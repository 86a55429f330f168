"""Where the time of one run of a campaign goes: what could be kept from run to run, and what could not.

    python -m benchmarks.run_shares [planners_ieee123] --variant NAME [--variant NAME ...]
        [--out docs/results/run_shares.json]

One run of each variant is computed in this process by the function that a worker of the pool calls, under
cProfile. Before it, the same variant runs for two steps, so that imports and compiled kernels do not count,
as in all but the first run of a worker. cProfile slows Python down more than libraries, so shares of what
is done in Python are too large rather than too small. Other processes lengthen all parts. Variants that
are in the file already stay. A table is written beside the file.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import pstats
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cosim.api.campaign import engine_of, planned
from cosim.experiments.campaign.config import find_campaign
from cosim.experiments.campaign.pool import PoolOptions
from cosim.experiments.campaign.work import run_task, tidy

HEAD = """# Where the time of a run goes

Parts of one run of campaign `planners_ieee123` (48 steps) by variant, in a warm process, as
`python -m benchmarks.run_shares` finds them. The profiler makes parts in Python too large rather than too
small.

"""
WARM_STEPS = 2
REST, ALL = "rest", "all"
Place = tuple[str, str]
"""End of the path of a file, and the name of a function in it."""


@dataclass(frozen=True)
class Part:
    """A part of a run.

    Attributes:
        name: in the table.
        of: functions whose time it is, with all that they call.
        less: functions below these whose time belongs to another part.
        repeated: whether runs of one feeder do the same again.
    """

    name: str
    of: tuple[Place, ...]
    less: tuple[Place, ...] = ()
    repeated: bool = False


COMPILED = ("cosim/run/inputs.py", "compile_feeder")
TWIN = (("cosim/feeder/plant.py", "twin_model"), ("cosim/run/knowledge.py", "open_twin"))
PROGRAM = ("cvxpy/reductions/chain.py", "apply")
FREED = ("cosim/experiments/campaign/work.py", "tidy")
WHOLE = (("cosim/experiments/campaign/work.py", "run_task"), FREED)
PARTS = (
    Part(
        "hashes of files, versions of packages",
        (("cosim/run/sources.py", "sources_of"), ("cosim/run/manifest.py", "software_versions")),
        repeated=True,
    ),
    Part("feeder compiled by the simulator", (COMPILED,), repeated=True),
    Part("devices, series, first power flow", (("cosim/run/assembly.py", "__init__"),), (COMPILED,)),
    Part("twin read and factored", TWIN, repeated=True),
    Part("controller and forecaster made", (("cosim/run/assembly.py", "controllers"),), TWIN),
    Part("program compiled by cvxpy", (PROGRAM,), repeated=True),
    Part("decisions", (("cosim/run/loop.py", "answer_of"),), (PROGRAM,)),
    Part("power flows", (("cosim/run/loop.py", "measure"), ("cosim/run/loop.py", "act"))),
    Part(
        "record written",
        (
            ("cosim/run/record.py", "__init__"),
            ("cosim/run/execute.py", "keep"),
            ("cosim/run/record.py", "close"),
        ),
    ),
    Part(
        "record read, metrics",
        (("cosim/run/record.py", "read_record"), ("cosim/experiments/campaign/row.py", "figures_of")),
    ),
    Part("memory freed", (FREED,)),
)


def seconds_of(part: Part, profile: Mapping[Any, Any]) -> float:
    """Seconds of a part.

    Args:
        part: of a run.
        profile: ``stats`` of :class:`pstats.Stats`.
    """
    return _cumulated(part.of, profile) - _cumulated(part.less, profile)


def _cumulated(places: tuple[Place, ...], profile: Mapping[Any, Any]) -> float:
    return sum(
        float(entry[3])
        for (file, _line, function), entry in profile.items()
        for end, name in places
        if function == name and file.endswith(end)
    )


def measured(campaign: str, variant: str, folder: Path) -> dict[str, float]:
    """Seconds of a run by part.

    Args:
        campaign: name or path of its file.
        variant: whose first run is computed.
        folder: for what the run leaves.
    """
    asked = yaml.safe_load(find_campaign(campaign).read_text(encoding="utf-8"))
    warm, full = (
        _tasks(asked | {"steps": WARM_STEPS}, variant, folder / "warm"),
        _tasks(asked, variant, folder),
    )
    run_task(next(warm), folder)
    tidy()
    profile = cProfile.Profile()
    profile.enable()
    run_task(next(full), folder)
    tidy()
    profile.disable()
    calls = pstats.Stats(profile).stats  # type: ignore[attr-defined]
    found = {part.name: seconds_of(part, calls) for part in PARTS}
    total = _cumulated(WHOLE, calls)
    found |= {REST: total - sum(found.values()), ALL: total}
    return {name: round(seconds, 3) for name, seconds in found.items()}


def _tasks(asked: dict[str, Any], variant: str, folder: Path) -> Iterator[Any]:
    plan = planned(asked)
    keys = {run.key for run in plan.runs if run.variant == variant}
    if not keys:
        raise SystemExit(f"no variant is called {variant!r}; see cosim campaign --dry-run")
    engine = engine_of(plan, folder, PoolOptions(), lambda _tally: None, lambda _text: None)
    return (task for task in engine.tasks(plan, {}) if task.key in keys)


def table_of(found: Mapping[str, Mapping[str, float]]) -> str:
    """Shares of all variants as Markdown; parts that are the same in runs of one feeder are marked."""
    lines = [f"| % of the time | {' | '.join(found)} |", "|---" * (len(found) + 1) + "|"]
    marks = {part.name: " *" if part.repeated else "" for part in PARTS} | {REST: ""}
    for name, mark in marks.items():
        shares = [f"{100 * run[name] / run[ALL]:.1f}" for run in found.values()]
        lines.append(f"| {name}{mark} | {' | '.join(shares)} |")
    kept = [sum(run[name] for name, mark in marks.items() if mark) / run[ALL] for run in found.values()]
    lines.append(f"| all with * | {' | '.join(f'{100 * share:.1f}' for share in kept)} |")
    note = "\\* the same in every run with the same feeder and controller, so that a cache could save it"
    return HEAD + "\n".join([*lines, "", note + "."]) + "\n"


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("campaign", nargs="?", default="planners_ieee123")
    parser.add_argument("--variant", action="append", default=[])
    parser.add_argument("--out", type=Path, default=Path("docs/results/run_shares.json"))
    asked = parser.parse_args()
    found = json.loads(asked.out.read_text(encoding="utf-8")) if asked.out.is_file() else {}
    for variant in asked.variant:
        with tempfile.TemporaryDirectory() as folder:
            found[variant] = measured(asked.campaign, variant, Path(folder))
        asked.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    asked.out.with_suffix(".md").write_text(table_of(found), encoding="utf-8")
    print(table_of(found))


if __name__ == "__main__":
    main()
