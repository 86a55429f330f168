"""The rows of a campaign as tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

Row = dict[str, Any]
HOURS = 24
HEAD = (
    "| feeder | nodes | DER | T | planner | cold, CPU s | warm median / p95, CPU s | peak, MB | "
    "live cost | gap, % | live violation, pu | held violation, pu | model error held, pu / kW |\n"
    "|---|---|---|---|---|---|---|---|---|---|---|---|---|\n"
)
INTRO = """# Optimal power flow: planners side by side

Every row is one process on one core. *Cold* is the first plan, *warm* one control step of {steps}, CPU
seconds of `plan` alone. Costs are those of the first plan, carried out in OpenDSS: energy at its price
and the small charges for throughput and reactive power, violations not included. *Live*: regulators
and capacitors act from the measured start. *Held*: they stand where the plan expects them. *Gap*: live cost
above that of planner tangent in the same case; distopf solves another problem. A gap only says something
where violations are alike.

"""
PLANT_HEAD = (
    "| feeder | DER | planner | energy cost, less what was stored | voltage outside, pu h | at most, pu |\n"
    "|---|---|---|---|---|---|\n"
)
PLANT_INTRO = """
## A day in the plant

Horizons of 24 hours in steps of one, {steps} steps after the first, the plant with its regulators and
capacitors answering each. Energy at its price, less what was only put into the batteries at the mean price.

"""
EXACT_HEAD = (
    "| feeder | DER | T | IPOPT status | iterations | build + solve, CPU s | cost | tangent's cost | "
    "tangent over it, % | violations paid, % | model error, pu |\n"
    "|---|---|---|---|---|---|---|---|---|---|---|\n"
)
EXACT_INTRO = """
## Against the exact program

The nonlinear program of the same unbalanced network by IPOPT, on the taps of the tangent plan. Both costs
are OpenDSS's, at those taps.

"""


def planner_name(row: Row) -> str:
    """Planner and route."""
    return row["planner"] if row["solver"] == "auto" else f"{row['planner']} {row['solver']}"


def case_key(row: Row) -> tuple[Any, ...]:
    """What rows of one case have in common."""
    return tuple(
        row[name]
        for name in (
            *("feeder", "der", "periods", "seed", "load_high", "pv_times_load", "vreg"),
            *("voltage_min_pu", "voltage_max_pu"),
        )
    )


def cost_gap(row: Row, rows: list[Row]) -> float | None:
    """Live cost above that of planner tangent in the same case, as a part of it.

    None where there is nothing to compare with; distopf solves another problem.
    """
    if row["planner"] == "distopf":
        return None
    for other in rows:
        same = case_key(other) == case_key(row) and other["planner"] == "tangent"
        if same and other["solver"] == "auto" and "live" in other and "live" in row:
            cost = float(other["live"]["cost"])
            return (float(row["live"]["cost"]) - cost) / abs(cost)
    return None


def write_summary(rows: list[Row], path: Path) -> None:
    """Write the tables as Markdown."""
    good = [row for row in rows if not row["error"]]
    steps = max((row.get("warm_steps", 0) for row in good), default=0)
    text = INTRO.format(steps=steps) + HEAD
    text += "".join(_line(row, good) for row in sorted(good, key=_order) if "live" in row)
    day = [row for row in good if row.get("warm_steps") == steps and row["periods"] == HOURS]
    if day:
        text += PLANT_INTRO.format(steps=steps) + PLANT_HEAD
        text += "".join(map(_plant_line, sorted(day, key=_order)))
    exact = [row for row in good if row["planner"] == "nlp" and "tangent" in row]
    if exact:
        text += EXACT_INTRO + EXACT_HEAD + "".join(map(_exact_line, sorted(exact, key=_order)))
    peers = [row for row in rows if row["planner"] == "distopf"]
    if peers:
        text += "\n## distopf\n\n" + "".join(f"- {row['key']}: {_peer(row)}\n" for row in peers)
    wrong = [row for row in rows if row["error"] and row["planner"] != "distopf"]
    if wrong:
        text += "\n## Rows that failed\n\n" + "".join(f"- {row['key']}: {row['error']}\n" for row in wrong)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _order(row: Row) -> tuple[Any, ...]:
    return (row.get("nodes", 0), row["feeder"], row["der"], row["periods"], row["planner"], row["solver"])


def _plant_line(row: Row) -> str:
    return (
        f"| {row['feeder']} | {row['der']} | {planner_name(row)} | {row['plant_cost']:.2f} | "
        f"{row['plant_violation_pu_h']:.4f} | {row['plant_violation_max_pu']:.5f} |\n"
    )


def _line(row: Row, rows: list[Row]) -> str:
    live, held, gap = row["live"], row["held"], cost_gap(row, rows)
    warm = "-"
    if "warm_cpu_median_s" in row:
        warm = f"{row['warm_cpu_median_s']:.3g} / {row['warm_cpu_p95_s']:.3g}"
    if row.get("warm_without_plan"):
        warm += f" ({row['warm_without_plan']} without plan)"
    cells = (
        *(row["feeder"], row["nodes"], row["der"], row["periods"], planner_name(row)),
        *(f"{row['cold_cpu_s']:.3g}", warm, f"{row['peak_mb']:.0f}", f"{live['cost']:.2f}"),
        "-" if gap is None else f"{100 * gap:+.3f}",
        *(f"{live['violation_pu']:.5f}", f"{held['violation_pu']:.5f}"),
        f"{held['voltage_error_pu']:.1e} / {held['import_error_kw']:.2g}",
    )
    return "| " + " | ".join(str(cell) for cell in cells) + " |\n"


def _exact_line(row: Row) -> str:
    cells = (
        *(row["feeder"], row["der"], row["periods"], row["status"], row["cold_programs"]),
        f"{row['setup_cpu_s']:.1f} + {row['cold_cpu_s']:.1f}",
        *(f"{row['held']['cost']:.3f}", f"{row['tangent']['cost']:.3f}"),
        *(f"{100 * row['tangent_cost_over_nlp']:+.4f}", f"{100 * row['tangent_over_nlp']:+.4f}"),
        f"{row['held']['voltage_error_pu']:.1e}",
    )
    return "| " + " | ".join(str(cell) for cell in cells) + " |\n"


def _peer(row: Row) -> str:
    return str(row["error"] or row.get("notes") or "")
