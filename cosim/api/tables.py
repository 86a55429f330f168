"""A record as tables indexed by time, with the units of their columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from cosim.devices.registry import device_kinds
from cosim.model.arrays import FloatArray
from cosim.model.units import unit_of
from cosim.run.record import Record

DEVICE_QUANTITIES = ("kw", "kvar", "stored_kwh", "available_kw")
SETPOINT_QUANTITIES = ("setpoint_kw", "setpoint_kvar")
PLAN_COLUMNS = ("import_kw", "import_kvar", "losses_kw", "lowest_pu", "highest_pu")


def step_table(record: Record) -> pd.DataFrame:
    """Everything of a step that is one value: import, losses, price, decision, times."""
    steps = record.steps.set_index(_times(record, "timestamp"))
    single = [name for name in steps.columns if name != "timestamp" and not _is_list(steps[name])]
    return _with_units(steps[single], {name: unit_of(name) for name in single})


def voltage_table(record: Record) -> pd.DataFrame:
    """Voltage of every node in pu at the end of each step; one column per node ``bus.phase``."""
    table = pd.DataFrame(
        record.vector("voltage_pu"), index=_times(record, "timestamp"), columns=list(record.site.nodes)
    )
    return _with_units(table, dict.fromkeys(record.site.nodes, "pu"))


def device_table(record: Record) -> pd.DataFrame:
    """What each device did: columns (device, quantity).

    ``kw`` and ``kvar`` are delivered, positive into the network; ``stored_kwh`` is at the end of the step;
    ``setpoint_kw`` and ``setpoint_kvar`` are those the plant accepted.
    """
    columns: dict[tuple[str, str], FloatArray] = {}
    for kind in device_kinds():
        names = [device.name for device in record.site.devices if device.kind == kind.name]
        wanted = [(quantity, "") for quantity in DEVICE_QUANTITIES]
        wanted += [(quantity, "accepted_") for quantity in SETPOINT_QUANTITIES]
        for quantity, prefix in wanted:
            column = prefix + kind.columns.get(quantity, "-")
            if names and column in record.steps:
                values = record.vector(column)
                columns |= {(name, quantity): values[:, i] for i, name in enumerate(names)}
    table = pd.DataFrame(columns, index=_times(record, "timestamp"))
    table.columns = pd.MultiIndex.from_tuples(list(columns) or [], names=["device", "quantity"])
    order = [device.name for device in record.site.devices]
    table = table[[name for name in order if name in table.columns.get_level_values(0)]]
    return _with_units(table, {quantity: unit_of(quantity) for _, quantity in columns})


def plan_table(record: Record) -> pd.DataFrame:
    """What each plan expected: rows (when it was made, start of the period)."""
    parts = []
    for _, row in record.steps[record.steps["plan_period_s"].notna()].iterrows():
        period_s = np.asarray(row["plan_period_s"], dtype=np.float64)
        begins = row["timestamp"] + pd.to_timedelta(
            np.concatenate([[0.0], period_s[:-1].cumsum()]), unit="s"
        )
        part = pd.DataFrame({name: np.asarray(row[f"plan_{name}"]) for name in PLAN_COLUMNS})
        part.index = pd.MultiIndex.from_product(
            [[row["timestamp"]], begins], names=["made_at", "period_start"]
        )
        parts.append(part)
    empty = pd.DataFrame(columns=list(PLAN_COLUMNS), dtype=float)
    table = pd.concat(parts) if parts else empty
    return _with_units(table, {name: unit_of(name) for name in PLAN_COLUMNS})


def controller_table(record: Record) -> pd.DataFrame:
    """What each of several controllers decided: rows (start of the step, controller); empty for one."""
    prefix = "controller_"
    names = [name for name in record.steps.columns if name.startswith(prefix)]
    if not names:
        return pd.DataFrame()
    times = _times(record, "timestamp")
    everybody = list(record.steps["controller"].iloc[0])
    index = pd.MultiIndex.from_product([times, everybody], names=["step_start", "controller"])
    columns = {name.removeprefix(prefix): np.concatenate(record.steps[name].tolist()) for name in names}
    table = pd.DataFrame(columns, index=index)
    return _with_units(table, {name: unit_of(name) for name in columns})


def _times(record: Record, column: str) -> pd.Index[Any]:
    return pd.DatetimeIndex(record.steps[column], name="step_start")


def _is_list(values: pd.Series[Any]) -> bool:
    return bool(values.map(lambda value: isinstance(value, list | np.ndarray)).any())


def _with_units(table: pd.DataFrame, units: dict[str, str]) -> pd.DataFrame:
    table.attrs["units"] = units
    return table
