"""Commands that look at what is there: feeder, machine, record, scenarios, plug-ins, schema."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from cosim import plugins
from cosim.commands.console import FAILED, FINE, out
from cosim.run.begin import begin
from cosim.run.doctor import checks
from cosim.run.examine import examine
from cosim.run.inspect import inspect_feeder, inspect_scenario
from cosim.run.schema import scenario_schema
from cosim.run.shipped import find_scenario, named_scenario, shipped_scenarios
from cosim.run.study import open_study


def inspect(looked_at: Path, *, trust: bool, as_json: bool, ask_planners: bool, areas: int | None) -> int:
    """Show what is in a feeder, or in that of a scenario; the exit code."""
    scenario = named_scenario(looked_at)
    look, file = (inspect_feeder, looked_at) if scenario is None else (inspect_scenario, scenario)
    found = look(file, trusted=trust, ask_planners=ask_planners, areas=areas)
    if as_json:
        sys.stdout.write(json.dumps(found.to_json(), indent=2) + "\n")
    else:
        out.print(found.table())
    return FINE if found.solved else FAILED


def init(master: Path | None, file: Path | None, *, trust: bool) -> None:
    """Write a scenario to begin with.

    Raises:
        FeederError: the feeder cannot be compiled or solved.
        RecordError: the file is there already.
    """
    made, series = begin(master, file, trusted=trust)
    out.print(f"Wrote {escape(str(made))} and {escape(str(series))}.")
    out.print(f"Next: cosim check {escape(str(made))}; cosim run {escape(str(made))}", soft_wrap=True)


def doctor(folder: Path | None) -> int:
    """Check this machine, or the record in a folder; the exit code."""
    bad = 0
    for name, fine, detail in checks() if folder is None else examine(folder):
        out.print(f"{'[green]ok  [/green]' if fine else '[red]FAIL[/red]'} {name}: {escape(detail)}")
        bad += not fine
    return FAILED if bad else FINE


def schema() -> None:
    """Print the JSON schema of scenario files."""
    sys.stdout.write(json.dumps(scenario_schema(), indent=2) + "\n")


def scenarios() -> None:
    """List the scenarios that ship."""
    table = Table(title="Scenarios: cosim run NAME", title_justify="left")
    for heading in ("name", "what it is", "controller", "file"):
        table.add_column(heading)
    for name in shipped_scenarios():
        path = find_scenario(name)
        study = open_study(path)
        own = [(each.scenario.control, each.plans) for each in study.each_controller]
        who = ", ".join(control.planner.type if plans else control.type for control, plans in own)
        table.add_row(name, escape(study.scenario.title), who, escape(str(path)))
    out.print(table)


def list_plugins() -> None:
    """List the plug-ins that are installed."""
    table = Table(title="Plug-ins, as a scenario names them", title_justify="left")
    for heading in ("kind", "name", "from", "what it is"):
        table.add_column(heading)
    for group in plugins.GROUPS:
        for point in plugins.installed(group):
            says = (getattr(point.load(), "__doc__", None) or "").strip().partition("\n")[0]
            table.add_row(plugins.kind(group), point.name, point.value.partition(":")[0], escape(says))
    out.print(table)
