"""``cosim plan`` and ``cosim replay``: a whole day decided at once, and held against the grid."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import typer
from rich.markup import escape
from rich.table import Table

from cosim.commands.console import FAILED, err, out
from cosim.experiments.open_loop import OpenLoopPlan, plan_day, read_plan
from cosim.experiments.replay import Replay, replay
from cosim.model.state import NoPlan
from cosim.report.replay.page import write_replay_page
from cosim.run.shipped import find_scenario
from cosim.run.study import Study, open_study


def plan(scenario: str, file: Path, planner: str | None, master: Path | None, *, trust: bool) -> None:
    """Plan the first horizon of a scenario once and write the plan."""
    study = replace(open_study(find_scenario(scenario), master=master), trusted=trust)
    if planner is not None:
        study = study.with_planner(study.scenario.control.planner.of_type(planner))
    made = plan_day(study)
    if isinstance(made, NoPlan):
        err.print(f"[red]no plan:[/red] {escape(made.reason)} (status {escape(made.status)})")
        raise typer.Exit(FAILED)
    made.write(file)
    out.print(_certificate(made))
    out.print(f"Plan: {escape(str(file))}. Hold it against the grid with: cosim replay {escape(str(file))}")


def _certificate(made: OpenLoopPlan) -> Table:
    proof = made.plan.certificate
    table = Table(title=f"Plan of {proof.planner}", show_header=False, title_justify="left")
    rows = [
        ("claim", proof.claim),
        ("energy cost it expects", f"{made.energy_cost:.3f}"),
        ("objective, penalties included", f"{proof.objective:.3f}"),
        ("import, losses", f"{made.import_kw @ made.hours:.1f} kWh, {made.losses_kw @ made.hours:.1f} kWh"),
        ("voltages", f"{made.voltage_pu.min():.4f} .. {made.voltage_pu.max():.4f} pu"),
        ("largest violation of a constraint", f"{proof.primal_residual:.1e}"),
        ("limits exceeded on purpose", f"{proof.slack_pu:.2e} pu, {proof.over_kw:.2g} kW"),
        ("charged and discharged at once", f"{proof.simultaneous_kw:.4f} kW"),
        ("solver", f"{proof.status}, {proof.iterations} iterations, {proof.solve_s:.2f} s"),
    ]
    if proof.optimality_gap is not None:
        rows.append(("above the proven bound", f"{100 * proof.optimality_gap:.2e} %"))
    if proof.relaxation_gap_kva is not None:
        rows.append(("largest loss the relaxation invents", f"{proof.relaxation_gap_kva:.2e} kVA"))
    for name, text in rows:
        table.add_row(name, text)
    return table


def replay_plan(file: Path, scenario: str | None, page: Path | None, numbers: Path | None) -> None:
    """Run a plan open loop through OpenDSS and compare."""
    planned = read_plan(file)
    other: Study | None = open_study(find_scenario(scenario)) if scenario is not None else None
    result = replay(planned, other)
    out.print(_comparison(result))
    for sentence in result.realised.cut[:3]:
        err.print(f"[yellow]cut:[/yellow] {escape(sentence)}")
    if numbers is not None:
        numbers.write_text(json.dumps(result.figures(), indent=2) + "\n", encoding="utf-8")
    if page is not None:
        write_replay_page(result, page)
        out.print(f"Page: {escape(str(page))}")


def _comparison(result: Replay) -> Table:
    f = result.figures()
    planner = result.planned.plan.certificate.planner
    table = Table(title=f"Plan of {planner}, in OpenDSS", title_justify="left")
    for heading in ("", "plan", "OpenDSS", "unit"):
        table.add_column(heading, justify="left" if heading in ("", "unit") else "right")
    for label, stem, unit in (
        ("Energy cost", "cost", ""),
        ("Import", "import_kwh", "kWh"),
        ("Reactive import", "import_kvarh", "kvarh"),
        ("Losses", "losses_kwh", "kWh"),
    ):
        table.add_row(label, f"{f['planned_' + stem]:.3f}", f"{f['realised_' + stem]:.3f}", unit)
    low, high = result.planned.voltage_pu.min(), result.planned.voltage_pu.max()
    table.add_row("Lowest voltage", f"{low:.5f}", f"{f['lowest_voltage_pu']:.5f}", "pu")
    table.add_row("Highest voltage", f"{high:.5f}", f"{f['highest_voltage_pu']:.5f}", "pu")
    for label, name, unit in (
        ("Largest error of import", "max_import_error_kw", "kW"),
        ("Largest error of reactive import", "max_import_error_kvar", "kvar"),
        ("Largest error of voltage", "max_voltage_error_pu", "pu"),
        ("Mean error of voltage", "mean_voltage_error_pu", "pu"),
        ("Largest violation of a voltage limit", "worst_violation_pu", "pu"),
        ("Error of stored energy at the end", "max_stored_error_kwh", "kWh"),
        ("Set-points cut by the plant", "cut_setpoints", ""),
    ):
        table.add_row(label, "", f"{f[name]:.3g}", unit)
    return table
