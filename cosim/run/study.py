"""A scenario together with the file it came from and the feeder it names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cosim.errors import ScenarioError
from cosim.model.timegrid import Horizon, TimeGrid
from cosim.run.feedback import Feedback
from cosim.run.scenario import ControlConfig, Scenario, line_of, load_scenario
from cosim.run.shipped import shipped, shipped_feeders


@dataclass(frozen=True)
class Study:
    """A scenario with the file it came from.

    Attributes:
        path: the scenario file.
        scenario: its content.
        master: the OpenDSS master file.
        port: of the HELICS broker; None lets the launcher find a free one.
    """

    path: Path
    scenario: Scenario
    master: Path
    port: int | None = None

    @property
    def grid(self) -> TimeGrid:
        """The steps of the run."""
        time = self.scenario.time
        return TimeGrid(time.start, time.step_s, time.steps)

    @property
    def horizon(self) -> Horizon:
        """The periods of each plan."""
        return Horizon(self.scenario.period_s())

    @property
    def feedback(self) -> Feedback:
        """When decisions act."""
        return Feedback(self.scenario.delay_s(), self.scenario.setpoint_ttl_s)


def open_study(
    path: Path, *, steps: int | None = None, master: Path | None = None, idle: bool = False
) -> Study:
    """Read a scenario and find its feeder.

    Args:
        path: scenario file.
        steps: shortens or lengthens the run.
        master: replaces the scenario's feeder.
        idle: replaces the controller by none, for the baseline.

    Raises:
        ScenarioError: the file is wrong or the feeder does not exist.
    """
    scenario = load_scenario(path)
    if steps is not None:
        time = scenario.time.model_copy(update={"steps": steps})
        scenario = scenario.model_copy(update={"time": time})
    if idle:
        scenario = scenario.model_copy(update={"control": ControlConfig(type="idle")})
    return Study(path, scenario, _find_master(path, scenario) if master is None else _given(master))


def _given(master: Path) -> Path:
    if not master.is_file():
        raise ScenarioError("--master", [f"{master} does not exist"])
    return master.resolve()


def _find_master(path: Path, scenario: Scenario) -> Path:
    feeder = scenario.feeder
    if feeder.model is not None:
        master = shipped("dss_models") / feeder.model / "master.dss"
        hint = f"no shipped feeder is called {feeder.model!r}; there are {', '.join(shipped_feeders())}"
        key: tuple[str, ...] = ("feeder", "model")
    else:
        master = (path.parent / str(feeder.master)).resolve()
        hint = f"{master} does not exist; the path is relative to the scenario file"
        key = ("feeder", "master")
    if not master.is_file():
        raise ScenarioError(str(path), [f"{line_of(path, key)}{'.'.join(key)}: {hint}"])
    return master
