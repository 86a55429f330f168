"""The processes of a federation, and what they said."""

from __future__ import annotations

import queue
import subprocess
from dataclasses import dataclass, field
from typing import IO, Any

from cosim.run.federate_config import FederateConfig, FederateRole
from cosim.run.study import Study
from federates.events import Listener

DECIDED = "decided"
"""What one of several controllers says when its decision is out."""
ECHOES = ("HelicsException", "the federation ended early", "was not told")
"""What the error of a federate says that suffers from the end of another."""


@dataclass
class Child:
    """A process of the federation.

    Attributes:
        name: of the federate, or ``broker``.
        role: what it is for.
        process: the process.
        step: last step it spoke of.
        doing: last thing it said it does.
        error: what it said before it died.
    """

    name: str
    role: str
    process: subprocess.Popen[str]
    step: int | None = None
    doing: str = "start"
    error: str = ""

    @property
    def is_own_death(self) -> bool:
        """Whether it ended of itself, and not because HELICS told it that another had."""
        return self.process.returncode not in {None, 0} and not any(sign in self.error for sign in ECHOES)

    def state(self) -> str:
        """Where it is, for a message."""
        return f"{self.name} ({self.doing}{'' if self.step is None else f', step {self.step}'})"


@dataclass
class Federation:
    """The processes and what they said.

    Attributes:
        children: by name.
        listeners: on their pipes, by name.
        events: what they said, with the sender.
        logs: open log files.
        joined: federates that the broker knows.
        study: whose federates they are.
        key: of the broker.
        may_lose_areas: whether the run goes on where an area dies after its first plan has begun.
        lost: areas that died, and how.
    """

    study: Study
    key: str

    children: dict[str, Child] = field(default_factory=dict)
    listeners: dict[str, Listener] = field(default_factory=dict)
    events: queue.Queue[tuple[str, dict[str, Any]]] = field(default_factory=queue.Queue)
    logs: list[IO[str]] = field(default_factory=list)
    joined: set[str] = field(default_factory=set)
    may_lose_areas: bool = False
    lost: dict[str, str] = field(default_factory=dict)

    def federates(self) -> list[Child]:
        """All but the broker."""
        return [child for child in self.children.values() if child.role != "broker"]

    def absent(self) -> list[FederateConfig]:
        """Federates of the scenario that have not joined yet."""
        everybody = self.study.scenario.federates
        # One that uses another name is there all the same.
        if len(self.joined) >= len(everybody):
            return []
        return [one for one in everybody if one.name not in self.joined]

    def of_role(self, role: FederateRole) -> Child:
        """The process that has a role."""
        return self.children[self.study.scenario.federate(role)]

    def doing(self, role: FederateRole) -> str:
        """What the federate of a role last said that it does; nothing where somebody else started it."""
        child = self.children.get(self.study.scenario.federate(role))
        return "" if child is None else child.doing

    def controllers_doing(self) -> dict[str, str]:
        """What each controller last said that it does."""
        found = {name: self.children.get(name) for name in self.study.scenario.controller_names}
        return {name: "" if child is None else child.doing for name, child in found.items()}

    def late_controller(self) -> str:
        """The first controller that has not said that it has decided; one of several says so."""
        doing = self.controllers_doing()
        return next((name for name, word in doing.items() if word != DECIDED), next(iter(doing)))

    def read_events(self, *, timeout_s: float) -> bool:
        """Take in what the children said; waits for the first word only."""
        heard = False
        wait = timeout_s
        while True:
            try:
                name, event = self.events.get(timeout=wait) if wait else self.events.get_nowait()
            except queue.Empty:
                return heard
            heard, wait = True, 0.0
            child = self.children[name]
            child.step = event.get("kept", event.get("step", child.step))
            child.doing = event.get("doing", "serve" if "broker" in event else child.doing)
            child.error = event.get("error", child.error)
            if child.role == "broker" and "joined" in event:
                self.joined.add(event["joined"])
