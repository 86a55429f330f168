"""What the figures of an optimality-gap campaign show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from cosim.report.gap.charts import OTHERS, STYLES, Chart, Curve, Level, Published, Sheet, Style
from cosim.report.gap.tables import ORDER, SETTING, at_setting, in_order, main_setting

GAP_FLOOR_PERCENT = 1e-6
"""Solvers stop at a tolerance, so smaller gaps say nothing."""
VIOLATION_FLOOR_PU = 1e-6
ERROR_FLOOR_PU = 1e-12
TIME_FLOOR_S = 1e-4
MEMORY_FLOOR_MIB = 1.0
TIME_LIMIT_S = 600.0
NEAR = 0.05

GAP, GAP_TITLE = "realised_gap_percent", "realised gap (%)"
GAP_LEVEL = Level(GAP_FLOOR_PERCENT, f"below solver tolerance, {GAP_FLOOR_PERCENT:g} %")
LIMIT_LEVEL = Level(TIME_LIMIT_S, "10 minutes")
KEPT_LEVEL = Level(VIOLATION_FLOOR_PU, f"limits kept to {VIOLATION_FLOOR_PU:g} pu")
HELD = {"buses": "{} buses", "periods": "{} h", "penetration": "penetration {}", "band": "band {}"}
KNOBS = {
    "periods": ("Horizon", "horizon (h)"),
    "penetration": ("Penetration", "penetration of PV and storage (name)"),
    "band": ("Voltage band", "voltage band (name)"),
}

# Jha et al.: single-phase branch flow as a second-order cone program, on other computers.
PUBLISHED_S = (
    Published(128, 3.06, "3.06 s", "right"),
    Published(2522, 66.8, "66.8 s", "right"),
    Published(2522, 27.2, "27.2 s", "right"),
    Published(10321, 209.0, "209 s, 12 h", "left"),
)

GAP_CAPTION = (
    "Realised cost in OpenDSS above that of the reference, the plan of branch_flow_soc where it is proven "
    "optimal, else of branch_flow_nl; so the reference itself lies on the floor. Lines are medians, "
    "whiskers reach from the lowest to the highest seed; formulations of one size are set apart sideways. "
    f"Gaps below {GAP_FLOOR_PERCENT:g} %, zero and negative ones included, are drawn hollow on the floor. "
    "A red edge means that voltage leaves its limits in OpenDSS: a cost that is not for the same service."
)
FIRST_CAPTION = (
    "Seconds to write the numbers and solve with everything new; a cross on the limit is a case that was "
    "stopped there. Stars are published times (MultiPeriodDistOPF project) of IPOPT, at 27.2 s of a "
    "commercial solver, for a single-phase second-order cone program on other computers, 24 h unless they "
    "say otherwise."
)
SECOND_CAPTION = "Seconds to plan again with other prices and loads, as in every step of a closed loop."
MEMORY_CAPTION = "Highest memory of the process that made and replayed the plan."
ERROR_CAPTION = "Largest distance between a voltage in OpenDSS and in the plan's own model."
VIOLATION_CAPTION = (
    "Voltage in OpenDSS farthest outside the limits; hollow markers on the floor are plans that keep them."
)


def sheets(table: pd.DataFrame) -> list[Sheet]:
    """All figures of a campaign for which there are rows.

    Args:
        table: from :func:`cosim.report.gap.tables.gap_table`.

    Returns:
        No figure where no case knows the size of its network.
    """
    # A network that was never read has no size, so it has no place on the axis of sizes.
    table = table[table["buses"] > 0]
    if table.empty:
        return []
    setting = main_setting(table)
    sized = at_setting(table, setting)
    styles = _styles(in_order(table["formulation"]))
    held = f"{setting['periods']} h, penetration {setting['penetration']}, band {setting['band']}"
    found = [
        Sheet("gap", f"Realised optimality gap ({held})", (_gap(sized, styles),)),
        Sheet("seconds", f"Time to plan ({held})", _seconds(sized, styles)),
        Sheet("memory", f"Memory ({held})", (_memory(sized, styles),)),
        Sheet("voltage", f"Voltage in OpenDSS ({held})", _voltage(sized, styles)),
    ]
    knobs = tuple(chart for knob in KNOBS if (chart := _knob(table, knob, setting, styles)) is not None)
    if knobs:
        found.append(Sheet("settings", "Realised optimality gap in other settings", knobs))
    return found


def _styles(formulations: Sequence[str]) -> dict[str, Style]:
    unknown = [name for name in formulations if name not in ORDER]
    return STYLES | {name: OTHERS[i % len(OTHERS)] for i, name in enumerate(unknown)}


# --- against size ---------------------------------------------------------------------------------


def _curves(
    cases: pd.DataFrame, x: str, y: str, styles: dict[str, Style], *, floor: float, order: Sequence[object]
) -> tuple[Curve, ...]:
    """One curve for each formulation that has figures, over the seeds."""
    curves = []
    for formulation in in_order(cases["formulation"]):
        theirs = cases[(cases["formulation"] == formulation) & cases[y].notna()]
        if theirs.empty:
            continue
        spread = theirs.groupby(x)[y].agg(["median", "min", "max"])
        spread = spread.loc[[place for place in order if place in spread.index]]
        raised = spread.clip(lower=floor)
        violation = theirs.groupby(x)["worst_violation_pu"].median().loc[spread.index]
        outside = (violation > VIOLATION_FLOOR_PU) & (y == GAP)
        curves.append(
            Curve(
                formulation=formulation,
                style=styles[formulation],
                x=tuple(spread.index.tolist()),
                median=raised["median"].to_numpy(np.float64),
                low=raised["min"].to_numpy(np.float64),
                high=raised["max"].to_numpy(np.float64),
                at_floor=tuple((spread["median"] < floor).tolist()),
                outside=tuple(outside.tolist()),
            )
        )
    return tuple(curves)


def _over_buses(
    cases: pd.DataFrame, column: str, styles: dict[str, Style], *, floor: float, texts: tuple[str, str, str]
) -> Chart:
    """A column against size; the texts are title, caption and title of the y axis."""
    sizes = tuple(sorted(set(cases["buses"].tolist())))
    curves = _curves(cases, "buses", column, styles, floor=floor, order=sizes)
    title, caption, y_title = texts
    return Chart(title, caption, "buses", y_title, sizes, log_x=True, curves=curves)


def _gap(cases: pd.DataFrame, styles: dict[str, Style]) -> Chart:
    texts = ("Realised optimality gap", f"{GAP_CAPTION} {_on_the_floor(cases)} {_proven(cases)}", GAP_TITLE)
    chart = _over_buses(cases, GAP, styles, floor=GAP_FLOOR_PERCENT, texts=texts)
    return replace(chart, levels=(GAP_LEVEL,))


def _on_the_floor(cases: pd.DataFrame) -> str:
    """How many gaps are hidden by the floor, and whether any of them is a plan that cheats."""
    gap = cases[GAP]
    cheaper = cases[gap < -GAP_FLOOR_PERCENT]
    outside = int((cheaper["worst_violation_pu"] > VIOLATION_FLOOR_PU).sum())
    low, known = int((gap < GAP_FLOOR_PERCENT).sum()), int(gap.notna().sum())
    if cheaper.empty:
        return f"{low} of {known} cases lie on the floor, none of them really cheaper than the reference."
    return (
        f"{low} of {known} cases lie on the floor; {len(cheaper)} of them cost less than the reference, by "
        f"up to {-gap.min():.2g} %, and {outside} of these leave the voltage limits."
    )


def _proven(cases: pd.DataFrame) -> str:
    proven = cases.loc[cases["certified"], "optimality_gap"].max()
    if pd.isna(proven):
        return "No plan here is proven optimal."
    return f"No certified plan is more than {100 * proven:.1e} % above its proven bound."


def _seconds(cases: pd.DataFrame, styles: dict[str, Style]) -> tuple[Chart, ...]:
    texts = ("First plan", FIRST_CAPTION, "first plan (s)")
    first = _over_buses(cases, "first_s", styles, floor=TIME_FLOOR_S, texts=texts)
    texts = ("Second plan", SECOND_CAPTION, "second plan (s)")
    second = _over_buses(cases, "second_s", styles, floor=TIME_FLOOR_S, texts=texts)
    met = cases[cases["status"].str.startswith("time limit")]
    places = met[["formulation", "buses"]].drop_duplicates()
    stopped = tuple(
        (styles[str(name)], float(buses)) for name, buses in places.itertuples(index=False, name=None)
    )
    sizes = {int(tick) for tick in first.ticks}
    # A published size gets a number of its own unless one of ours stands there.
    sizes |= {round(p.x) for p in PUBLISHED_S if all(abs(p.x / size - 1.0) > NEAR for size in sizes)}
    ticks = tuple(sorted(sizes))
    first = replace(first, ticks=ticks, levels=(LIMIT_LEVEL,), published=PUBLISHED_S, stopped=stopped)
    return first, replace(second, levels=(LIMIT_LEVEL,))


def _memory(cases: pd.DataFrame, styles: dict[str, Style]) -> Chart:
    texts = ("Peak memory", MEMORY_CAPTION, "peak memory (MiB)")
    return _over_buses(cases, "peak_mb", styles, floor=MEMORY_FLOOR_MIB, texts=texts)


def _voltage(cases: pd.DataFrame, styles: dict[str, Style]) -> tuple[Chart, ...]:
    texts = ("Error of voltage", ERROR_CAPTION, "largest error of voltage (pu)")
    error = _over_buses(cases, "max_voltage_error_pu", styles, floor=ERROR_FLOOR_PU, texts=texts)
    texts = ("Violation of the voltage limits", VIOLATION_CAPTION, "worst violation (pu)")
    violation = _over_buses(cases, "worst_violation_pu", styles, floor=VIOLATION_FLOOR_PU, texts=texts)
    return error, replace(violation, levels=(KEPT_LEVEL,))


# --- against the setting --------------------------------------------------------------------------


def _knob(
    table: pd.DataFrame, knob: str, usual: dict[str, object], styles: dict[str, Style]
) -> Chart | None:
    """The gap against one column of the setting, where most of its values were tried."""
    held = [column for column in (*SETTING, "buses") if column != knob]
    known = table[table[GAP].notna()]
    values = known.groupby(held)[knob].nunique().rename("values").reset_index()
    if values.empty or values["values"].max() < 2:
        return None
    # Of places with as many values, the most usual one, and then the largest network.
    values["usual"] = sum((values[column] == usual[column]).astype(int) for column in held[:-1])
    place = values.sort_values(["values", "usual", "buses"], kind="stable").iloc[-1]
    cases = known[np.logical_and.reduce([known[column] == place[column] for column in held])]
    # A seed that lacks a value would look like an effect of that value.
    complete = cases.groupby("seed")[knob].nunique() == place["values"]
    if complete.any():
        cases = cases[cases["seed"].isin(complete[complete].index)]
    found = cases[knob].drop_duplicates().tolist()
    # Numbers by size; of names, the usual one first.
    order = sorted(found) if knob == "periods" else sorted(found, key=lambda name: name != usual[knob])
    seeds = cases["seed"].nunique()
    title, x_title = KNOBS[knob]
    others = [HELD[column].format(place[column]) for column in HELD if column != knob]
    return Chart(
        f"{title} ({', '.join(others)})",
        f"Median of {seeds} seed{'s' if seeds > 1 else ''}, {place['family']} networks. "
        f"{_on_the_floor(cases)}",
        x_title,
        GAP_TITLE,
        tuple(order),
        log_x=False,
        curves=_curves(cases, knob, GAP, styles, floor=GAP_FLOOR_PERCENT, order=order),
        levels=(GAP_LEVEL,),
    )
