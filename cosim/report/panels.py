"""The figures and tables of a run's report, in sections, with a sentence on how to read each."""

from __future__ import annotations

from collections.abc import Iterator

from cosim.experiments.control_metrics import ControlMetrics
from cosim.experiments.metrics import Report
from cosim.report import device_charts, figures
from cosim.report.device_figures import device_figures
from cosim.report.feeder_map import feeder_map, frame_steps
from cosim.report.lists import controllers_listing, cuts, meters_listing, skill_of_forecasts
from cosim.report.page import Card, Listing, Note, Panel, Section
from cosim.run.record import Record

FIRST_HEIGHT = 320


def sections(report: Report, record: Record, baseline: Record | None) -> Iterator[Section]:
    """All sections below the key figures, apart from the events."""
    control = report.control
    if control is not None:
        yield Section("Did the controller keep its promises?", _promises(control, record, baseline))
    yield Section("The feeder", _feeder(record, baseline))
    devices = _other_devices(record, baseline)
    if devices:
        yield Section("Flexible and network devices", devices)
    meters = meters_listing(record, baseline)
    if meters is not None:
        yield Section("Meters", (meters,))
    several = controllers_listing(record)
    if several is not None:
        yield Section("The controllers", (several,))
    if control is not None:
        yield Section("The controller", _control(control, record))
    if report.forecast_skill:
        yield Section("Forecasts", (skill_of_forecasts(report.forecast_skill),))


def first_picture(report: Report, record: Record, baseline: Record | None) -> Panel:
    """The small figure beside the verdict: the quantity that broke its limit worst, else the voltage."""
    broken = [limit for limit in report.verdict.limits if not limit.kept]
    worst = max(broken, key=lambda limit: abs(limit.worst / limit.limit - 1.0), default=None)
    if worst is not None and worst.quantity == "line loading":
        title, figure = "Highest line loading", figures.line_loading(record, baseline)
        caption = "Blue with control, grey without; above the dashed line a rating is exceeded."
    else:
        title, figure = "Voltage of all nodes", figures.voltage_envelope(record, baseline, mean=False)
        caption = "The blue band is the run; grey lines are the extremes without control; dashed: limits."
    figure.update_layout(
        height=FIRST_HEIGHT,
        margin={"l": 40, "r": 8, "t": 14, "b": 32},
        font={"size": 11},
        showlegend=False,
    )
    return Panel(title, caption, figure.update_yaxes(title_standoff=2))


def _promises(control: ControlMetrics, record: Record, baseline: Record | None) -> list[Card]:
    """Plans against what happened."""
    if not control.plans:
        return [Note("", "No plan was made in this run.")]
    return [
        Panel(
            "Plan against outcome, by lead time",
            "How far off the plans were, by how far ahead they looked: low and flat lines mean that "
            "plans can be trusted. Errors grow with the lead time because every later plan may change "
            "its mind; the first point is the promise for the step about to begin.",
            figures.lead_time_errors(control.lead_errors) if control.lead_errors else None,
        ),
        Panel(
            "Import, planned and actual",
            "Dark dots are what each plan said about its first period and should lie on the blue line; "
            "faint lines are whole plans, which later ones replaced.",
            figures.planned_import(record),
        ),
        Panel(
            "Stored energy, planned and actual",
            "Faint lines that leave the blue line show plans that were not carried out; choose a "
            "single battery in the menu.",
            device_charts.stored_energy(record, baseline),
        ),
    ]


def _feeder(record: Record, baseline: Record | None) -> list[Card]:
    return [
        Panel(
            "Import and price",
            "Import below the grey line while the shaded price is high is what saves money; negative "
            "import is export.",
            figures.import_and_price(record, baseline),
        ),
        Panel(
            "Voltage of all nodes",
            "The blue band spans the lowest and highest node, and must stay between the dashed limits; "
            "grey lines are the same extremes without control.",
            figures.voltage_envelope(record, baseline),
        ),
        Panel(
            "Nodes outside the voltage limits",
            f"The worst nodes, at most {figures.NODES_SHOWN}, with the hours they spent outside; "
            "no blue bar means that control removed the violation.",
            figures.violating_nodes(record, baseline),
        ),
        Panel("Map", _map_caption(record), feeder_map(record)),
        Panel(
            "Photovoltaics",
            "A gap between the shaded area and the blue line is curtailed energy; the dashed line is the "
            "limit that curtails it.",
            device_charts.photovoltaics(record),
        ),
        Panel(
            "Regulator taps",
            "The tap counts steps of 0.625 % from neutral, and every jump is wear; a panel with more blue "
            "jumps than grey ones belongs to a regulator that control made work harder.",
            figures.tap_positions(record, baseline),
        ),
        Panel(
            "Losses",
            "Losses grow with the square of the current, so flattening peaks lowers them.",
            figures.losses(record, baseline),
        ),
        Panel(
            "Line loading",
            "The most loaded line of each step; above the dashed line its rating is exceeded.",
            figures.line_loading(record, baseline),
        ),
    ]


def _map_caption(record: Record) -> str:
    shown, steps = len(frame_steps(record)), len(record.steps)
    extent = f"all {steps} steps" if shown == steps else f"{shown} of {steps} steps"
    return (
        "Colour is the voltage of the bus's node farthest from 1 pu: pale is the middle of the band, "
        "full red or blue is outside the limits. It opens at the step with the voltage farthest from "
        f"the middle; the slider holds {extent}."
    )


def _other_devices(record: Record, baseline: Record | None) -> list[Card]:
    """What kinds beside batteries and PV systems did."""
    found = device_figures(record, baseline)
    if not found:
        return []
    rows = [
        (item.kind, item.label, f"{item.run:,.2f}", _or_dash(item.baseline), item.unit) for item in found
    ]
    heads = ("kind", "", "run", "without control", "unit")
    listing = Listing("Figures", "By the laws of each kind.", heads, rows, numbers=range(2, 4))
    panel = Panel(
        "Power of flexible devices",
        "Positive is power given to the network: load that is left out, or discharge.",
        device_charts.device_power(record, baseline),
    )
    positions = Panel(
        "Positions of network devices",
        "Set by the controller; without control by the feeder's own controls.",
        device_charts.device_positions(record, baseline),
    )
    shown = [item for item in (panel, positions) if item.figure is not None]
    return [*shown, listing]


def _or_dash(value: float | None) -> str:
    return "-" if value is None else f"{value:,.2f}"


def _control(control: ControlMetrics, record: Record) -> list[Card]:
    found: list[Card] = [
        Panel(
            "Battery set-points, requested, accepted and delivered",
            "The three lines lie on each other when the plant could do everything it was asked to.",
            device_charts.storage_setpoints(record),
        ),
        cuts(control, record),
    ]
    if control.plans:
        found.append(
            Panel(
                "Time per decision",
                "Dots must stay far below the dashed line, or the set-points would come too late.",
                figures.decision_time(record),
            )
        )
    return found
