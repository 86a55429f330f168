"""``cosim study``: campaigns that answer one question."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import typer
from rich.box import SIMPLE
from rich.markup import escape
from rich.table import Table

from cosim.api.progress import bar
from cosim.commands.console import FAILED, err, out
from cosim.experiments.campaign.pool import PoolOptions
from cosim.experiments.complementarity import Outcome, complementarity_outcomes
from cosim.experiments.gap_campaign import (
    CampaignConfig,
    cases_of,
    load_campaign,
    read_rows,
    run_campaign,
)
from cosim.experiments.gap_case import GapRow
from cosim.experiments.gap_instance import GapCase
from cosim.experiments.reference import SYSTEMS, Line, reference_lines, worst
from cosim.report.gap.report import write_gap_report
from cosim.report.methods.report import write_methods_report
from cosim.run.shipped import shipped

OUTCOME_COLUMNS = (
    ("price", "price"),
    ("cure", "cure"),
    ("planned", "planned_cost"),
    ("OpenDSS", "realised_cost"),
    ("kW", "simultaneous_kw"),
    ("bat.-h", "simultaneous_h"),
    ("cut", "cut_setpoints"),
    ("s", "solve_s"),
)


def reference(systems: list[str] | None, file: Path | None) -> None:
    """Compute the published single-phase systems and compare with the published figures."""
    lines: list[Line] = []
    with err.status("...") as status:
        lines.extend(reference_lines(lambda what: status.update(escape(what)), systems or SYSTEMS))
    for system in dict.fromkeys(line.system for line in lines):
        out.print(_reference_table(system, [line for line in lines if line.system == system]))
    if file is not None:
        text = json.dumps([line.as_dict() for line in lines], indent=2)
        file.write_text(text + "\n", encoding="utf-8")
    if worst(lines):
        raise typer.Exit(FAILED)


def _reference_table(system: str, lines: list[Line]) -> Table:
    table = Table(title=f"{system}, computed from scratch", title_justify="left", box=SIMPLE)
    table.add_column("")
    for heading in ("value", "should be"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for line in lines:
        should = ""
        if line.published is not None:
            should = f"{line.published.value:.3f} ± {line.published.within:g}"
        elif line.limit is not None:
            should = f"<= {line.limit:g}"
        value = escape(line.value) if isinstance(line.value, str) else f"{line.value:.8g}"
        colour = {"ok": "[green]ok[/green]", "differs": "[red]differs[/red]"}.get(line.verdict, "")
        table.add_row(escape(line.what), value, should, colour)
    return table


def complementarity(system: list[str] | None, file: Path | None) -> None:
    """Show charging and discharging at once under a negative price, and what cures it."""
    outcomes: list[Outcome] = []
    with err.status("...") as status:
        found = complementarity_outcomes(
            tuple(system or ("ads10_1ph", "ieee123_1ph")), lambda what: status.update(escape(what))
        )
        outcomes.extend(found)
    for group in dict.fromkeys((outcome.system, outcome.planner) for outcome in outcomes):
        same = [outcome for outcome in outcomes if (outcome.system, outcome.planner) == group]
        out.print(_outcome_table(*group, same))
        for claim in dict.fromkeys(outcome.claim for outcome in same):
            cures = {f"{outcome.price}: {outcome.cure}" for outcome in same if outcome.claim == claim}
            out.print(f"  {escape(claim)} [dim]({escape('; '.join(sorted(cures)))})[/dim]")
    if file is not None:
        text = json.dumps([asdict(outcome) for outcome in outcomes], indent=2)
        file.write_text(text + "\n", encoding="utf-8")


def _outcome_table(system: str, planner: str, outcomes: list[Outcome]) -> Table:
    table = Table(title=f"{system}, {planner}", title_justify="left", box=SIMPLE, padding=(0, 1, 0, 0))
    for heading, name in OUTCOME_COLUMNS:
        table.add_column(heading, justify="left" if name in ("price", "cure") else "right", no_wrap=True)
    for outcome in outcomes:
        table.add_row(*(escape(_cell(getattr(outcome, name))) for _, name in OUTCOME_COLUMNS))
    return table


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.2f}" if abs(value) >= 10 else f"{value:.3f}"
    return str(value)


def optimality_gap(
    file: Path | None,
    folder: Path,
    *,
    small: bool,
    redraw: bool,
    workers: int | None,
    scheduler: str | None,
) -> None:
    """Run the campaign on optimality gaps, or only draw what is there."""
    path = file or shipped("configs") / "studies" / "optimality_gap.yaml"
    campaign = load_campaign(path)
    cases = cases_of(campaign, path.parent, small=small)
    rows = _rows(campaign, cases, folder, redraw=redraw, pool=_pool(workers, scheduler))
    write_gap_report(rows, folder, campaign.title)
    _conclude(rows, folder / "index.html")


def methods(
    file: Path | None,
    folder: Path,
    *,
    small: bool,
    redraw: bool,
    workers: int | None,
    scheduler: str | None,
) -> None:
    """Run the comparison of methods, or only draw what is there."""
    name = "methods_small.yaml" if small else "methods.yaml"
    path = file or shipped("configs") / "studies" / name
    campaign = load_campaign(path)
    cases = cases_of(campaign, path.parent)
    rows = _rows(campaign, cases, folder, redraw=redraw, pool=_pool(workers, scheduler))
    write_methods_report(rows, folder, campaign)
    _conclude(rows, folder / "summary.md")


def _pool(workers: int | None, scheduler: str | None) -> PoolOptions | None:
    together = workers is not None or scheduler is not None
    return PoolOptions(workers, scheduler=scheduler) if together else None


def _rows(
    campaign: CampaignConfig, cases: list[GapCase], folder: Path, *, redraw: bool, pool: PoolOptions | None
) -> list[GapRow]:
    """Rows of a campaign: run what is not finished, or read what is there."""
    if redraw:
        return read_rows(folder)
    with bar("cases") as progress:
        task = progress.add_task(campaign.name, total=len(cases))
        return run_campaign(
            campaign,
            cases,
            folder,
            lambda done, _total, key: progress.update(
                task, completed=done, description=escape(key or campaign.name)
            ),
            pool,
        )


def _conclude(rows: list[GapRow], page: Path) -> None:
    """Say what came of a campaign; exit code 1 if a case failed, or none has a plan."""
    stopped = [row for row in rows if row.claim is None]
    out.print(f"{len(rows)} cases, {len(stopped)} without a plan. See {escape(str(page))}")
    failed = [row for row in stopped if row.status.startswith("failed")]
    for row in failed[:3]:
        err.print(f"[red]{escape(row.key)}[/red]: {escape(row.status)}")
    if failed or len(stopped) == len(rows):
        raise typer.Exit(FAILED)
