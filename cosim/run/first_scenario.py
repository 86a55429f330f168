"""A scenario to begin with: for a feeder somebody brings, or as a template."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from cosim.errors import RecordError
from cosim.run.shipped import shipped

SERIES = "summer_days.csv"
"""Two summer days that ship with the package: load, sun, price every quarter of an hour."""
START, STEP_S, STEPS = "2024-06-21T00:00:00-07:00", 3600, 24
MOST_DEVICES = 8
RULES = {"storage": "times_local_load: 0.5, hours: 4, seed: 2", "pv": "times_local_load: 0.8, seed: 1"}


@dataclass(frozen=True)
class FirstScenario:
    """What the first scenario of a feeder says.

    Attributes:
        feeder: a line of YAML: ``model: NAME`` or ``master: PATH``.
        name: of the scenario.
        series: path of the series, as the scenario names it.
        planner: that accepts the feeder; None where none does.
        own_shapes: the loads of the master bring shapes along.
        has_loads: there is somewhere to place devices.
        sited: kinds of devices that are placed, because the master defines none.
        discover: whether the devices of the master are controlled.
        reasons: why other planners do not accept it.
    """

    feeder: str
    name: str
    series: str
    planner: str | None = "tangent"
    own_shapes: bool = False
    has_loads: bool = True
    sited: tuple[str, ...] = ("storage", "pv")
    discover: bool = True
    reasons: tuple[str, ...] = ()

    def text(self) -> str:
        """The scenario as commented YAML."""
        return "\n".join(
            [*self._head(), *self._inputs(), *self._devices(), *self._limits(), *self._control()]
        )

    def _head(self) -> list[str]:
        return [
            "# Check it: cosim check FILE. Run it: cosim run FILE. All keys: cosim schema.",
            "schema: 1",
            f"name: {self.name}",
            f"title: {self.name}, a day in hours",
            "",
            "# The OpenDSS model; a path is relative to this file.",
            f"feeder: {{{self.feeder}{'' if self.discover else ', discover: false'}}}",
            "",
            "time:",
            f"  start: {START}  # with the offset from UTC",
            f"  step_s: {STEP_S}",
            f"  steps: {STEPS}",
        ]

    def _inputs(self) -> list[str]:
        load = f"{{multiplier: {{file: {self.series}, column: load_pu}}}}  # times the nominal load"
        shapes = "{feeder_shapes: true}  # the shapes of the master"
        first, other = (shapes, load) if self.own_shapes else (load, shapes)
        return [
            "",
            "# What the world does. Two summer days that ship with the package; put your own data here.",
            "inputs:",
            f"  load: {first}",
            *([f"  # load: {other}"] if self.own_shapes else []),
            f"  irradiance: {{file: {self.series}, column: irradiance_kw_per_m2}}",
            f"  price: {{file: {self.series}, column: price_per_kwh}}  # currency per kWh",
            "  resample: mean  # the rows are quarters of an hour, the steps are hours",
        ]

    def _devices(self) -> list[str]:
        if not self.sited:
            return ["", "# The batteries and PV systems of the master are controlled (feeder.discover)."]
        if not self.has_loads:
            return ["", "# The feeder has no load with voltage, so that no device is placed."]
        share = f"share_of_load_buses: 0.3, at_most: {MOST_DEVICES}"
        return [
            "",
            "# Devices at load buses that the seed chooses, connected as the largest load there; or list",
            "# them: storages: [{name: b1, bus: '675.1.2.3', kw: 100, kwh: 400}]",
            "siting:",
            *(f"  - {{kind: {kind}, {share}, {RULES[kind]}}}" for kind in self.sited),
        ]

    def _limits(self) -> list[str]:
        return [
            "",
            "limits: {voltage_min_pu: 0.95, voltage_max_pu: 1.05}  # per unit",
        ]

    def _control(self) -> list[str]:
        why = [f"# {reason}" for reason in self.reasons]
        if self.planner is None or (self.sited and not self.has_loads):
            return ["", "# Nothing is controlled.", *why, "control: {type: idle, horizon_s: 28800}", ""]
        return [
            "",
            *why,
            "control:",
            "  horizon_s: 28800  # each plan looks 8 h ahead",
            "  forecast: persistence",
            "  planner:",
            f"    type: {self.planner}",
            "    terminal: {type: value, per_kwh: 0.15}  # of energy left at the end of the horizon",
            "",
        ]


def write_first(scenario: FirstScenario, file: Path) -> tuple[Path, Path]:
    """Write a scenario and, beside it, the series that it names.

    Returns:
        Both files.

    Raises:
        RecordError: one of them is there already, or the folder is not.
    """
    series = file.parent / scenario.series
    if file.exists():
        raise RecordError(f"{file} is there already; choose another name with --out")
    if not file.parent.is_dir():
        raise RecordError(f"{file.parent} is no folder; make it first")
    source = shipped("configs") / "series" / SERIES
    if series.exists() and series.read_bytes() != source.read_bytes():
        raise RecordError(f"{series} is there already, with other content; choose another name with --out")
    shutil.copyfile(source, series)
    file.write_text(scenario.text(), encoding="utf-8")
    return file, series
