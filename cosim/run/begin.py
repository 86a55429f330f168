"""``cosim init``: from a feeder somebody brings to a scenario that runs."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

from cosim.errors import FeederError
from cosim.feeder.compiled import FeederModel
from cosim.run.accepted import Asked, asked_about, verdicts
from cosim.run.first_scenario import FirstScenario, write_first
from cosim.run.heard import heard
from cosim.run.shipped import find_master, shipped_feeders

BEST_FIRST = ("tangent", "lindistflow")
"""Planners a first scenario may use; the first that takes the feeder is used."""
TEMPLATE = "ieee13"


def begin(name_or_master: Path | None, file: Path | None, *, trusted: bool = False) -> tuple[Path, Path]:
    """Write a scenario for a feeder, or a template.

    Args:
        name_or_master: a shipped feeder, an OpenDSS file; None: a template with a shipped feeder.
        file: to write; None: named after the feeder, in the working directory.
        trusted: the master may name native code, which the engine executes.

    Returns:
        The scenario and the series beside it.

    Raises:
        FeederError: the feeder cannot be compiled or solved.
        RecordError: a file is there already.
    """
    if name_or_master is None:
        target = file or Path("my_scenario.yaml")
        series = f"{target.stem}_series.csv"
        return write_first(FirstScenario(f"model: {TEMPLATE}", _name(target.stem), series), target)
    name = str(name_or_master)
    is_shipped = name in shipped_feeders()
    master = find_master(name_or_master)
    if not is_shipped and not master.is_file():
        raise FeederError(f"{name} is neither a file nor a shipped feeder ({', '.join(shipped_feeders())})")
    label = name if is_shipped else _name(_label(master))
    target = file or Path(f"my_{label}.yaml")
    feeder = f"model: {name}" if is_shipped else f"master: {_quoted(_relative(master, target.parent))}"
    asked, facts, reasons = _look(master, trusted=trusted)
    with heard():  # it has been said when the feeder was looked at
        found = {verdict.planner: verdict for verdict in verdicts(asked)}
    planner = next((name for name in BEST_FIRST if name in found and found[name].accepts), None)
    before = BEST_FIRST[: BEST_FIRST.index(planner)] if planner else BEST_FIRST
    refusals = (
        f"Planner {name} does not take it: {found[name].detail}" for name in before if name in found
    )
    scenario = replace(
        facts,
        feeder=feeder,
        name=_name(target.stem),
        series=f"{target.stem}_series.csv",
        planner=planner,
        reasons=(*reasons, *refusals),
    )
    return write_first(scenario, target)


def _look(master: Path, *, trusted: bool) -> tuple[Asked, FirstScenario, tuple[str, ...]]:
    """What planners are asked about, what the scenario says of the feeder, and why not more.

    Raises:
        FeederError: it cannot be compiled or solved, also without controlling its own devices.
    """
    reasons: tuple[str, ...] = ()
    try:
        model, discover = FeederModel(master, trusted=trusted), True
    except FeederError as error:
        model, discover = FeederModel(master, discover=False, trusted=trusted), False
        reasons = (f"The devices of the master are not controlled: {error}",)
    try:
        asked = asked_about(model, discover=discover, trusted=trusted)
        live = any(
            kw > 0 and model.nodes[load.legs[0][0]] in model.live_nodes
            for load, kw in zip(model.loads.connected, model.loads.kw, strict=True)
        )
        facts = FirstScenario(
            "",
            "",
            "",
            own_shapes=any(model.loads.shapes),
            has_loads=live,
            sited=asked.sited,
            discover=discover,
        )
    finally:
        model.close()
    return asked, facts, reasons


def _label(master: Path) -> str:
    """A file called master says less than its folder."""
    stem = master.stem
    return master.resolve().parent.name if stem.lower() in {"master", "main", "m"} else stem


def _name(text: str) -> str:
    """A name that a scenario may have."""
    cleaned = re.sub(r"[^A-Za-z0-9_\-]+", "_", text).strip("_")
    return cleaned if cleaned[:1].isalpha() else f"feeder_{cleaned}"


def _relative(master: Path, folder: Path) -> str:
    return Path(os.path.relpath(master.resolve(), folder.resolve())).as_posix()


def _quoted(path: str) -> str:
    """As a string of YAML."""
    return "'" + path.replace("'", "''") + "'"
