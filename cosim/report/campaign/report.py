"""The page of a campaign: one file that needs no network."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from cosim.experiments.campaign.attribution import Ingredient
from cosim.experiments.campaign.courses import read_courses
from cosim.experiments.campaign.limits import LimitOutcome
from cosim.experiments.campaign.regret_split import RegretChain
from cosim.experiments.campaign.table import MANIFEST, read_runs
from cosim.experiments.campaign.verdicts import VerdictRow
from cosim.report.campaign.courses import course_panels
from cosim.report.campaign.distributions import spread_panel
from cosim.report.campaign.figures import pareto_panel
from cosim.report.campaign.over_axis import over_axis_panels
from cosim.report.campaign.runs import failed_listing, runs_listing
from cosim.report.campaign.skill import skill_card
from cosim.report.campaign.statements import banner_of, statement_cards
from cosim.report.campaign.summary import summary
from cosim.report.campaign.tables import (
    asked_figures,
    differences_listing,
    regret_split_listing,
    regrets_listing,
    variants_listing,
    worths_listing,
)
from cosim.report.page import Card, Note, Section, render


def write_campaign_report(
    folder: Path, verdicts: Sequence[VerdictRow], outcomes: Sequence[LimitOutcome] = ()
) -> None:
    """Write ``index.html``, and its tables as ``summary.md``.

    Args:
        folder: of the campaign.
        verdicts: shown first.
        outcomes: of the limits under ``accept``.

    Raises:
        RecordError: the folder holds no campaign, or no finished run.
    """
    table = read_runs(folder)
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    asked, counterparts = manifest["campaign"], dict(manifest["baseline_of"])
    sections = [Section("Statements", tuple(statement_cards(verdicts, outcomes)))]
    if (table["status"] == "complete").any():
        more = asked_figures(asked.get("metrics", ()), manifest.get("own_metrics", {}))
        against = differences_listing(table, counterparts, more) if counterparts else NO_BASELINE
        baselines = frozenset(counterparts.values())
        sections.append(Section("Comparison", (variants_listing(table, more), against)))
        sections += _credit(table, manifest, more)
        spread = spread_panel(table, baselines)
        spreads = () if spread is None else (spread,)
        over = over_axis_panels(table, manifest["columns"])
        sections.append(Section("Trade-off", (pareto_panel(table, baselines), *spreads, *over)))
        skill = skill_card(table)
        sections += [Section("Forecasts", (skill,))] if skill is not None else []
        courses = tuple(course_panels(read_courses(table, folder)))
        sections += [Section("Over time", courses)] if courses else []
    tables = tuple(sections)
    failed = failed_listing(table)
    runs: list[Card] = [runs_listing(table, folder), Note("Versions", _versions(table))]
    sections.append(Section("Runs", runs if failed is None else [failed, *runs]))
    content = {"banner": banner_of(verdicts), "sections": sections}
    title, facts = asked["title"] or asked["name"], _facts(manifest, table)
    page = render("sections.html.j2", title, facts, content)
    (folder / "index.html").write_text(page, encoding="utf-8")
    (folder / "summary.md").write_text(summary(title, facts, tables), encoding="utf-8")


def _credit(table: pd.DataFrame, manifest: dict[str, Any], more: Mapping[str, str]) -> list[Section]:
    """Regret to the bound and the worth of ingredients, where the campaign asks for them."""
    cards: list[Card] = []
    bound_of = dict(manifest.get("bound_of", {}))
    if bound_of:
        cards.append(regrets_listing(table, bound_of, dict(manifest["baseline_of"])))
    chains = [RegretChain(**one) for one in manifest.get("regret_chains", ())]
    if chains:
        cards.append(regret_split_listing(table, chains))
    ingredients = [Ingredient(**one) for one in manifest.get("ingredients", ())]
    if ingredients:
        cards.append(worths_listing(table, ingredients, more))
    return [Section("Regret and worth", tuple(cards))] if cards else []


NO_BASELINE = Note(
    "Differences from the baseline", "The campaign names no baseline, so variants are not compared."
)


def _facts(manifest: dict[str, Any], table: pd.DataFrame) -> str:
    asked = manifest["campaign"]
    seeds = table["seed"].nunique()
    repeated = f" with {seeds} seeds" if seeds else ""
    axes = ", ".join(manifest["columns"]) or "nothing"
    return (
        f"{len(manifest['runs'])} runs of scenario {asked['scenario']}: "
        f"{table['variant'].nunique()} variants{repeated}; varied: {axes}; driver {asked['over']}"
    )


def _versions(table: pd.DataFrame) -> str:
    """Versions of the packages, and whether all runs have the same."""
    found = list(dict.fromkeys(table["versions"]))
    told = "; ".join(f"{name} {version}" for name, version in json.loads(found[-1]).items())
    if len(found) == 1:
        return told
    return (
        f"The runs were made with {len(found)} sets of package versions, so their last digits may differ; "
        f"the last set: {told}"
    )
