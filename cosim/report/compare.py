"""The page that shows a few runs side by side."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from cosim.experiments.campaign.courses import courses_of, steps_of
from cosim.report.campaign.courses import course_panels
from cosim.report.campaign.tables import number
from cosim.report.page import Cell, Link, Listing, Section, render
from cosim.run.record import Record


def write_comparison(file: Path, figures: pd.DataFrame, records: Mapping[str, Record]) -> None:
    """Write key figures and courses of some runs as one page that needs no network.

    Args:
        file: the page; its folder is made where it is missing.
        figures: a column per run, and ``unit``; see :meth:`cosim.api.run.Run.compare`.
        records: of the runs, by the names of their columns.
    """
    courses = courses_of({name: [steps_of(record)] for name, record in records.items()})
    panels = tuple(course_panels(courses, several=False))
    sections = [
        Section("Runs", (_runs(file, records),)),
        Section("Key figures", (_figures(figures, tuple(records)),)),
    ]
    sections += [Section("Over time", panels)] if panels else []
    facts = f"{len(records)} runs: {', '.join(records)}"
    page = render("sections.html.j2", "Comparison of runs", facts, {"banner": None, "sections": sections})
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(page, encoding="utf-8")


def _runs(file: Path, records: Mapping[str, Record]) -> Listing:
    rows: list[list[Cell]] = []
    for name, record in records.items():
        report, place = record.folder / "report.html", str(record.folder)
        path = os.path.relpath(report.resolve(), file.parent.resolve())
        rows.append(
            [
                name,
                str(record.manifest["status"]),
                Link(place, Path(path).as_posix()) if report.is_file() else place,
            ]
        )
    return Listing(
        "",
        "Sums of a run that is not complete cover less time. The folder leads to the report of the run.",
        ("run", "status", "folder"),
        rows,
    )


def _figures(figures: pd.DataFrame, names: tuple[str, ...]) -> Listing:
    return Listing(
        "",
        "The figures of the reports. A dash: the run has no such figure.",
        ("figure", *names, "unit"),
        [
            [str(label), *(number(float(row[name])) for name in names), str(row["unit"])]
            for label, row in figures.iterrows()
        ],
        numbers=range(1, len(names) + 1),
    )
