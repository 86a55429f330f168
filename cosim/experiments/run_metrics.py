"""What a run cost and what it did to the feeder: pure functions of a record.

Energy is power times the length of a step, because power is constant within a step. Limits are
taken from the manifest and compared without any tolerance: a node at 1.0500001 of 1.05 violates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cosim.devices.storage import StorageRating
from cosim.experiments.settlement import energy_cost
from cosim.model.arrays import FloatArray
from cosim.model.voltage_band import outside_band_pu
from cosim.run.record import Record
from cosim.run.tariff import DemandWindow

STANDBY_KW = 1e-3
"""A terminal this near to the standby power of its battery neither charges nor discharges."""


@dataclass(frozen=True)
class RunMetrics:
    """What a run cost and what it did to the feeder.

    Costs are in the currency of the price series.

    Attributes:
        steps, hours: how much was simulated.
        energy_cost: import times price; export earns the same price, or that of the tariff for export.
        import_kwh, export_kwh: energy over the substation, each at least 0.
        peak_import_kw: largest mean import of a step.
        losses_kwh: in lines, transformers, regulators and shunt elements.
        lowest_pu, highest_pu: over all nodes and steps.
        undervoltage_node_h, overvoltage_node_h, violation_node_h: hours outside the limits, added up
            over the nodes.
        worst_excess_pu: farthest that any node was outside the limits.
        nodes_in_violation: how many nodes were outside at least once.
        tap_operations: taps passed through; tap_changes: regulator-steps with any change. Changes
            within a step and before the first step are not recorded.
        storage_throughput_kwh: charged plus discharged energy at the terminals, standby not counted.
        stored_change_kwh: stored at the end minus stored at the start.
        stored_change_value: the same at the mean price of the run.
        adjusted_cost: ``energy_cost`` without what was only put into, or taken from, the batteries.
        pv_available_kwh: energy the sun offered; pv_curtailed_kwh: not produced of it.
        highest_loading: current over rating of the worst line, and ``highest_loading_line``.
        overloaded_h: hours with any line above its rating.
    """

    steps: int
    hours: float
    energy_cost: float
    adjusted_cost: float
    import_kwh: float
    export_kwh: float
    peak_import_kw: float
    losses_kwh: float
    lowest_pu: float
    highest_pu: float
    undervoltage_node_h: float
    overvoltage_node_h: float
    violation_node_h: float
    worst_excess_pu: float
    nodes_in_violation: int
    tap_operations: int
    tap_changes: int
    storage_throughput_kwh: float
    stored_change_kwh: float
    stored_change_value: float
    pv_available_kwh: float
    pv_curtailed_kwh: float
    highest_loading: float
    highest_loading_line: str
    overloaded_h: float
    demand_windows_charge: float = 0.0


def run_metrics(record: Record) -> RunMetrics:
    """What a run cost and what it did to the feeder."""
    steps, step_h = record.steps, record.step_h
    import_kw, price = column(record, "import_kw"), column(record, "price_per_kwh")
    voltage_pu, loading = record.vector("voltage_pu"), column(record, "loading")
    under_h, over_h = violation_hours(record)
    excess_pu = outside_band_pu(voltage_pu, *voltage_limits(record))
    tap_steps = np.rint(np.abs(np.diff(record.vector("tap"), axis=0)) / record.site.tap_step)
    available_kw, pv_kw = record.vector("pv_available_kw"), record.vector("pv_kw")
    cost = energy_cost(record)
    change_kwh = stored_kwh(record)[-1] - stored_kwh(record)[0]
    change_value = float(change_kwh * price.mean())
    worst = int(np.argmax(loading))
    return RunMetrics(
        steps=len(steps),
        hours=len(steps) * step_h,
        energy_cost=cost,
        adjusted_cost=cost - change_value,
        import_kwh=float(np.maximum(import_kw, 0.0).sum()) * step_h,
        export_kwh=float(np.maximum(-import_kw, 0.0).sum()) * step_h,
        peak_import_kw=float(import_kw.max()),
        losses_kwh=float(column(record, "losses_kw").sum()) * step_h,
        lowest_pu=float(voltage_pu.min()),
        highest_pu=float(voltage_pu.max()),
        undervoltage_node_h=float(under_h.sum()),
        overvoltage_node_h=float(over_h.sum()),
        violation_node_h=float(under_h.sum() + over_h.sum()),
        worst_excess_pu=float(excess_pu.max()),
        nodes_in_violation=int(np.count_nonzero(under_h + over_h)),
        tap_operations=int(tap_steps.sum()),
        tap_changes=int(np.count_nonzero(tap_steps)),
        storage_throughput_kwh=float(np.abs(_moved_kw(record)).sum()) * step_h,
        stored_change_kwh=float(change_kwh),
        stored_change_value=change_value,
        pv_available_kwh=float(available_kw.sum()) * step_h,
        pv_curtailed_kwh=float(np.maximum(available_kw - pv_kw, 0.0).sum()) * step_h,
        highest_loading=float(loading[worst]),
        highest_loading_line=str(steps["loading_line"].iloc[worst]),
        overloaded_h=float(np.count_nonzero(loading > 1.0)) * step_h,
        demand_windows_charge=_demand_windows_charge(record, import_kw),
    )


def _demand_windows_charge(record: Record, import_kw: FloatArray) -> float:
    """Highest imports within the scenario's demand windows, by calendar month, times their charges."""
    windows = record.manifest.get("metrics", {}).get("demand_windows", ())
    if not windows:
        return 0.0
    grid = record.site.grid
    times = [grid.timestamp(int(step)) for step in record.steps["step"]]
    charges = 0.0
    for told in windows:
        window = DemandWindow.model_validate(told)
        charges += window.per_kw * sum(window.peaks_kw(times, import_kw).values())
    return charges


def _moved_kw(record: Record) -> FloatArray:
    """Power that batteries charge or discharge with, shape (step, battery); standby is none.

    Without set-points, where controls of the engine act on them, it is what their terminals show.
    """
    if not record.manifest.get("engine_led", False):
        return record.vector("accepted_storage_kw")
    delivered = record.vector("storage_kw")
    idling = np.array([one.idling_kw for one in record.site.devices if isinstance(one, StorageRating)])
    return np.where(np.abs(delivered + idling) > STANDBY_KW, delivered, 0.0)


def column(record: Record, name: str) -> FloatArray:
    """A scalar column as an array, shape (step,)."""
    return record.steps[name].to_numpy(dtype=np.float64)


def stored_kwh(record: Record) -> FloatArray:
    """Energy in all batteries at the start and after each step, shape (step + 1,)."""
    first = float(np.sum(record.steps["measured_stored_kwh"].iloc[0]))
    return np.concatenate([[first], record.vector("stored_kwh").sum(axis=1)])


def voltage_limits(record: Record) -> tuple[float, float]:
    """Lowest and highest voltage allowed, per unit."""
    limits = record.manifest["limits"]
    return float(limits["voltage_min_pu"]), float(limits["voltage_max_pu"])


def violation_hours(record: Record) -> tuple[FloatArray, FloatArray]:
    """Hours below and hours above the limits, each of shape (node,)."""
    low, high = voltage_limits(record)
    voltage_pu = record.vector("voltage_pu")
    return (
        (voltage_pu < low).sum(axis=0) * record.step_h,
        (voltage_pu > high).sum(axis=0) * record.step_h,
    )
