"""Which planners would take a feeder, found out by making them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cosim import plugins
from cosim.errors import CosimError
from cosim.feeder.compiled import FeederModel
from cosim.plugins import Need
from cosim.run.assembly import Assembly
from cosim.run.first_scenario import START, STEP_S, STEPS
from cosim.run.knowledge import Knowledge
from cosim.run.policy import make_planner, needs_of_study
from cosim.run.study import Study, study_in_code

SITED = ("storage", "pv")


@dataclass(frozen=True)
class Verdict:
    """Whether a planner would take a feeder, and why not, or how exact its model is."""

    planner: str
    accepts: bool
    detail: str = ""


@dataclass(frozen=True)
class Asked:
    """The feeder that planners are asked about.

    Attributes:
        master: OpenDSS file.
        sited: kinds of devices that are placed at a load bus, because the master defines none.
        discover: whether the devices of the master are controlled.
        trusted: the master may name native code, which the engine executes.
    """

    master: Path
    sited: tuple[str, ...]
    discover: bool
    trusted: bool

    def scenario(self, planner: str) -> dict[str, Any]:
        """A small scenario with a planner."""
        rule = {"share_of_load_buses": 1.0, "at_most": 1, "times_local_load": 0.5, "seed": 1}
        return {
            "schema": 1,
            "name": "inspected",
            "feeder": {"master": str(self.master.resolve()), "discover": self.discover},
            "time": {"start": START, "step_s": STEP_S, "steps": STEPS},
            "inputs": {"irradiance": {"constant": 0.5}},
            "siting": [{"kind": kind, **rule} for kind in self.sited],
            "control": {"horizon_s": 4 * STEP_S, "planner": {"type": planner}},
        }


def asked_about(model: FeederModel, *, discover: bool, trusted: bool) -> Asked:
    """The feeder as it is, with a battery and a PV system where the master has none to control."""
    there = {device.kind for device in model.found}
    sited = tuple(kind for kind in SITED if kind not in there)
    return Asked(model.master, sited, discover, trusted)


def verdicts(asked: Asked) -> list[Verdict]:
    """Ask every installed planner."""
    known: dict[frozenset[Need], Knowledge | str] = {}
    return [_verdict(name, asked, known) for name in plugins.names("cosim.planners")]


def _verdict(planner: str, asked: Asked, known: dict[frozenset[Need], Knowledge | str]) -> Verdict:
    try:
        study = study_in_code(asked.scenario(planner), asked.master.parent)
        study = replace(study, trusted=asked.trusted)
        needs = needs_of_study(study)
        if needs not in known:
            known[needs] = _knowledge(study, needs)
        knowledge = known[needs]
        if isinstance(knowledge, str):
            return Verdict(planner, False, knowledge)
        make_planner(study, knowledge)
    except CosimError as error:
        return Verdict(planner, False, _first_line(error))
    apart_pu = None if knowledge.twin is None else knowledge.twin.apart_pu
    detail = "" if apart_pu is None else f"its model differs from the feeder by {apart_pu:.1e} pu"
    return Verdict(planner, True, detail)


def _knowledge(study: Study, needs: frozenset[Need]) -> Knowledge | str:
    """What the planners with these needs may know, or why that cannot be had."""
    try:
        with Assembly(study, needs) as assembly:
            return assembly.knowledge
    except CosimError as error:
        return _first_line(error)


def _first_line(error: CosimError) -> str:
    """The reason without the name of a scenario that nobody wrote."""
    lines = [line.strip() for line in str(error).splitlines()]
    return lines[1] if len(lines) > 1 and lines[0].endswith(("problem", "problems")) else lines[0]
