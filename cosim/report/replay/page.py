"""A plan beside what became of it, as one page that needs no network."""

from __future__ import annotations

from pathlib import Path

from cosim.devices.registry import counted
from cosim.experiments.replay import Replay
from cosim.report.key_figures import ABSENT, MINUS, KeyFigure
from cosim.report.page import Banner, Listing, Panel, Section, render
from cosim.report.replay import figures
from cosim.run.study import Study

VIOLATION_PU = 1e-6
"""A voltage this near its limit keeps it: plans may lie on a limit, and solvers stop at a tolerance."""
COST_PERCENT = 0.1
"""A cost farther from the promise than this is something to explain."""


def write_replay_page(result: Replay, path: Path) -> None:
    """Write the comparison as a page.

    Args:
        result: the plan and what the grid did.
        path: of the HTML file; its folder is made.
    """
    planned = result.planned
    grid = Section("What the grid did", [panel for panel in _panels(result) if panel.figure is not None])
    sections = [Section("Figures", (_promised(result), _errors(result))), grid]
    if planned.branches:
        sections.append(Section("Is the relaxation exact?", (_relaxation(result),)))
    content = {"banner": verdict(result), "sections": sections}
    path.parent.mkdir(parents=True, exist_ok=True)
    text = render("sections.html.j2", _title(result), _facts(result), content)
    path.write_text(text, encoding="utf-8")


def verdict(result: Replay) -> Banner:
    """Fail if voltage leaves its limits, a note for a broken promise of another kind, else pass."""
    f = result.figures()
    cost = (
        f"cost {f['realised_cost']:.2f} against {f['planned_cost']:.2f} promised "
        f"({_signed(f['cost_error_percent'])} %), worst voltage error {f['max_voltage_error_pu']:.1e} pu"
    )
    details = [f"The certificate says: {_claim(result)}."]
    if result.realised.cut:
        details.append(
            f"The plant cut {len(result.realised.cut)} set-points; the first: {result.realised.cut[0]}."
        )
    if f["worst_violation_pu"] > VIOLATION_PU:
        outside = f"voltage leaves its limits by up to {f['worst_violation_pu']:.2g} pu"
        details.append(f"Summed over nodes and hours, that is {f['violation_pu_h']:.2g} pu·h.")
        return Banner("fail", "FAIL", f"The plan does not survive: {outside}; {cost}", tuple(details))
    if result.realised.cut or abs(f["cost_error_percent"]) > COST_PERCENT:
        return Banner("note", "NOTE", f"The plan keeps the limits, not its word: {cost}", tuple(details))
    return Banner("pass", "PASS", f"The plan survives: {cost}, no limit violated", tuple(details))


def _signed(percent: float) -> str:
    return f"{percent:+.2g}".replace("-", MINUS, 1) if percent < 0 else f"{percent:+.2g}"


def _claim(result: Replay) -> str:
    """The certificate's claim with the proof behind it."""
    proof = result.planned.plan.certificate
    if proof.optimality_gap is None:
        return f"{proof.claim} ({proof.planner})"
    gap = f"exact cost at most {100 * proof.optimality_gap:.1e} % above a proven bound"
    return f"{proof.claim}: {gap} ({proof.planner})"


def _title(result: Replay) -> str:
    return f"{Study.from_json(result.planned.study).scenario.name}: plan and grid"


def _facts(result: Replay) -> str:
    planned = result.planned
    proof, start = planned.plan.certificate, Study.from_json(planned.study).grid.start
    return (
        f"{planned.hours.sum():g} h from {start:%d %B %Y %H:%M %z}, planned at once by {proof.planner} and "
        f"replayed in OpenDSS in {len(result.period_of)} steps; {len(planned.nodes)} nodes, "
        f"{counted(planned.kinds)}; solver {proof.status} after "
        f"{proof.iterations} iterations and {proof.solve_s:.2f} s"
    )


def _promised(result: Replay) -> Listing:
    f, planned = result.figures(), result.planned

    def row(label: str, unit: str, name: str, digits: int) -> KeyFigure:
        ours, theirs = f[f"realised_{name}"], f[f"planned_{name}"]
        return KeyFigure(label, unit, ours, theirs, digits, "neither")

    rows = [
        row("Energy cost", "currency", "cost", 3),
        row("Imported energy", "kWh", "import_kwh", 2),
        row("Imported reactive energy", "kvarh", "import_kvarh", 2),
        row("Losses", "kWh", "losses_kwh", 3),
    ]
    for label, ours, theirs in (
        ("Lowest voltage", f["lowest_voltage_pu"], float(planned.voltage_pu.min())),
        ("Highest voltage", f["highest_voltage_pu"], float(planned.voltage_pu.max())),
    ):
        rows.append(KeyFigure(label, "pu", ours, theirs, 5, "neither"))
    here = planned.of_kind("storage")
    if here:
        ours = result.realised.stored_kwh[-1, here].sum()
        theirs = planned.plan.stored_kwh[-1, here].sum()
        rows.append(KeyFigure("Stored at the end", "kWh", float(ours), float(theirs), 3, "neither"))
    return Listing(
        "",
        "What the plan's own model expects, and what OpenDSS says of the same set-points.",
        ("", "planned", "realised", "difference", "unit"),
        [(row.label, row.baseline_text, row.run_text, row.difference_text, row.unit) for row in rows],
        numbers=range(1, 4),
    )


def _errors(result: Replay) -> Listing:
    f, proof = result.figures(), result.planned.plan.certificate
    rows: list[tuple[str, float | None, str]] = [
        ("Largest error of a voltage", f["max_voltage_error_pu"], "pu"),
        ("Mean error of all voltages", f["mean_voltage_error_pu"], "pu"),
        ("Largest error of import", f["max_import_error_kw"], "kW"),
        ("Largest error of reactive import", f["max_import_error_kvar"], "kvar"),
        ("Largest error of stored energy at the end", f["max_stored_error_kwh"], "kWh"),
        ("Farthest outside the voltage limits", f["worst_violation_pu"], "pu"),
        ("Voltage outside the limits, nodes and hours summed", f["violation_pu_h"], "pu·h"),
        ("Set-points cut by the plant", f["cut_setpoints"], ""),
        ("Largest loss the relaxation invents", proof.relaxation_gap_kva, "kVA"),
        ("Charged and discharged at once", proof.simultaneous_kw, "kW"),
        ("Voltage violation the plan itself expects", max(proof.slack_pu, 0.0), "pu"),
    ]
    return Listing(
        "",
        "Realised minus planned at its worst, and what the certificate admits; limits are counted without "
        "any tolerance.",
        ("", "value", "unit"),
        [(label, ABSENT if value is None else f"{value:.3g}", unit) for label, value, unit in rows],
        numbers=(1,),
    )


def _panels(result: Replay) -> list[Panel]:
    return [
        Panel(
            "Import and price",
            "Where the blue line leaves the dotted one, the plan's model of the network was wrong.",
            figures.import_and_price(result),
        ),
        Panel(
            "Voltage of all nodes",
            "The blue band spans the lowest and highest node in OpenDSS; the dotted lines are what the "
            "plan expected of them.",
            figures.voltage_band(result),
        ),
        Panel(
            "Error of voltage",
            "Distance between the voltage in OpenDSS and the plan's, worst node and mean of all.",
            figures.voltage_error(result),
        ),
        Panel(
            "Stored energy",
            "All batteries together; the lines part where the plant could not do what was planned.",
            figures.stored_energy(result),
        ),
        Panel(
            "Set-points",
            "All batteries and all PV systems together; discharging and injecting are positive.",
            figures.setpoints(result),
        ),
    ]


def _relaxation(result: Replay) -> Panel:
    return Panel(
        "Losses that the relaxation invents",
        f"The worst branches, at most {figures.BRANCHES_SHOWN}: apparent power that the relaxed equation "
        "loses beyond what the current explains. Zero up to the solver's tolerance means that the plan "
        "is a power flow.",
        figures.relaxation_gap(result),
    )
