"""The section ``federates`` of a scenario: the processes of a run over HELICS."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field, PositiveFloat

from cosim.devices.kind import Name
from cosim.run.lean import Lean

FederateRole = Literal["feeder", "controller", "recorder", "area", "observer", "forecast"]
OWN_ROLES: tuple[FederateRole, ...] = ("feeder", "controller", "recorder")
"""There is one of each in every run, and the project has a process for it."""
FOREIGN_ROLES: tuple[FederateRole, ...] = ("observer", "forecast")
"""The project has no process for these."""


class FederateConfig(Lean):
    """A process of the federation over HELICS."""

    later: ClassVar[frozenset[str]] = frozenset({"stand_in"})

    role: FederateRole = Field(
        description="areas belong to a planner with areas, in their order; observers only listen; a "
        "forecast publishes what forecaster federate reads; the broker waits for all of them"
    )
    name: Name = Field(description="of the federate; its topics are NAME/quantity")
    command: tuple[str, ...] | None = Field(
        None,
        description="starts it instead of the project's own; {port}, {key}, {core}, {name} and {study} are "
        "filled in; an empty list: somebody else starts it",
    )
    join_limit_s: PositiveFloat | None = Field(
        None,
        description="the run ends if it has not joined by then; default 60 s, 15 minutes where somebody "
        "else starts it",
    )
    stand_in: Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")] | None = Field(
        None,
        description="of a forecast: module:function that gives the values of a step where the run is in "
        "one process",
    )


OWN_FEDERATES = tuple(FederateConfig(role=role, name=role) for role in OWN_ROLES)


def federates_of(controllers: Sequence[str]) -> list[dict[str, str]]:
    """The project's own federates, with one for each of several controllers, as plain values."""
    return [
        {"role": role, "name": name}
        for role in OWN_ROLES
        for name in (controllers if role == "controller" else (role,))
    ]


def federate_problems(
    federates: Sequence[FederateConfig], controllers: Collection[str] | None = None
) -> Iterator[str]:
    """What is wrong with a list of federates.

    Args:
        federates: of a scenario.
        controllers: names of several controllers, each with a federate of its name; None for one, whose
            federate has any name.
    """
    roles = [federate.role for federate in federates]
    for role in OWN_ROLES:
        if roles.count(role) != 1 and (controllers is None or role != "controller"):
            yield f"federates: there must be one {role}, not {roles.count(role)}"
    if controllers is not None:
        found = {federate.name for federate in federates if federate.role == "controller"}
        for name in sorted(found.symmetric_difference(controllers)):
            lacks = "'controllers' has no section of this name" if name in found else "it has no federate"
            yield f"federates: controller {name}: {lacks}; both must have the same names"
    if roles.count("forecast") > 1:
        yield f"federates: there may be one forecast, not {roles.count('forecast')}"
    names = [federate.name for federate in federates]
    double = sorted({name for name in names if names.count(name) > 1})
    if double:
        yield f"federates: names must differ; {', '.join(double)} is used twice"
    for federate in federates:
        if federate.role in FOREIGN_ROLES and federate.command is None:
            yield f"federates: {federate.role} {federate.name} needs a command; the project has none"
        if federate.stand_in is not None and federate.role != "forecast":
            yield f"federates: {federate.role} {federate.name} takes no stand_in; a forecast does"
