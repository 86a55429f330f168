"""Plans against what happened, by how far ahead they looked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from cosim.model.arrays import FloatArray, IntArray
from cosim.run.record import Record

EDGE_S = 1e-6
"""Two moments closer than this are the same."""


@dataclass(frozen=True)
class LeadError:
    """Error of all plan periods that start equally long after their plan; plan minus outcome.

    Attributes:
        lead_s: start of the period after the start of the plan.
        periods: how many periods were compared.
        import_mean_abs_kw, import_max_abs_kw: mean import of the period.
        stored_mean_abs_kwh, stored_max_abs_kwh: energy in all batteries at the end of the period.
        lowest_mean_abs_pu, lowest_max_abs_pu: lowest voltage of any node within the period.
        highest_mean_abs_pu, highest_max_abs_pu: highest voltage of any node within the period.
        node_mean_abs_pu, node_max_abs_pu: voltage of every node, mean over the period; None where plans
            keep none.
    """

    lead_s: float
    periods: int
    import_mean_abs_kw: float
    import_max_abs_kw: float
    stored_mean_abs_kwh: float
    stored_max_abs_kwh: float
    lowest_mean_abs_pu: float
    lowest_max_abs_pu: float
    highest_mean_abs_pu: float
    highest_max_abs_pu: float
    node_mean_abs_pu: float | None = None
    node_max_abs_pu: float | None = None


@dataclass(frozen=True)
class Periods:
    """Periods of many plans, or what happened in them, one after the other.

    Attributes:
        lead_s: start of a period after the start of its plan, shape (period,).
        start_s, end_s: start and end of a period after the start of the run, shape (period,).
        import_kw: mean over the period.
        stored_kwh: energy in all batteries at the end of the period.
        lowest_pu, highest_pu: over all nodes within the period.
    """

    lead_s: FloatArray
    start_s: FloatArray
    end_s: FloatArray
    import_kw: FloatArray
    stored_kwh: FloatArray
    lowest_pu: FloatArray
    highest_pu: FloatArray


def lead_errors(record: Record) -> tuple[LeadError, ...]:
    """Errors by lead time, without periods beyond the end of the run or with a step without power flow."""
    planned = planned_periods(record)
    end_s = float(record.steps["time_s"].iloc[-1]) + record.site.grid.step_s
    planned = _select(planned, np.flatnonzero(planned.end_s <= end_s + EDGE_S))
    planned = _select(planned, np.flatnonzero(_unsolved_within(record, planned) == 0))
    if not planned.lead_s.size:
        return ()
    realised = _realised(record, planned)
    leads, group = np.unique(planned.lead_s, return_inverse=True)
    count = np.bincount(group)
    import_kw = _by_lead(planned.import_kw - realised.import_kw, group, count)
    stored_kwh = _by_lead(planned.stored_kwh - realised.stored_kwh, group, count)
    lowest_pu = _by_lead(planned.lowest_pu - realised.lowest_pu, group, count)
    highest_pu = _by_lead(planned.highest_pu - realised.highest_pu, group, count)
    nodes = _node_errors(record)
    return tuple(
        LeadError(
            float(lead_s),
            int(count[i]),
            *import_kw[i],
            *stored_kwh[i],
            *lowest_pu[i],
            *highest_pu[i],
            *nodes.get(float(lead_s), (None, None)),
        )
        for i, lead_s in enumerate(leads)
    )


def _node_errors(record: Record) -> dict[float, tuple[float, float]]:
    """Mean and largest absolute error of node voltages by lead time, over the plans that keep them."""
    step_s = float(record.site.grid.step_s)
    first = int(record.steps["step"].iloc[0])
    voltage_pu, solved = record.vector("voltage_pu"), record.solved()
    summed = np.vstack([np.zeros(voltage_pu.shape[1]), np.cumsum(voltage_pu, axis=0)])
    total: dict[float, list[float]] = {}
    plans = record.steps[record.steps["plan_period_s"].notna()]
    for step, lengths in zip(plans["step"], plans["plan_period_s"], strict=True):
        expected = record.planned_voltage_pu(int(step))
        if expected is None:
            continue
        lead_s = 0.0
        for row, length_s in zip(expected, lengths, strict=True):
            begin = int(step) - first + int(lead_s // step_s)
            end = begin + max(int(length_s // step_s), 1)
            if end > len(voltage_pu):
                break
            lead_s += float(length_s)
            if not solved[begin:end].all():
                continue
            error = np.abs(row - (summed[end] - summed[begin]) / (end - begin))
            found = total.setdefault(lead_s - float(length_s), [0.0, 0.0, 0.0])
            found[0] += float(error.mean())
            found[1] = max(found[1], float(error.max()))
            found[2] += 1.0
    return {lead: (found[0] / found[2], found[1]) for lead, found in total.items()}


def _unsolved_within(record: Record, periods: Periods) -> IntArray:
    """How many steps without power flow each period touches."""
    step_s = float(record.site.grid.step_s)
    first_s = float(record.steps["time_s"].iloc[0])
    before = np.concatenate([[0], np.cumsum(~record.solved())])
    begins = np.floor((periods.start_s - first_s) / step_s + EDGE_S).astype(np.int64)
    ends = np.ceil((periods.end_s - first_s) / step_s - EDGE_S).astype(np.int64)
    return np.asarray(before[ends] - before[begins])


def planned_periods(record: Record) -> Periods:
    """Every period of every plan of a run, in the order of the plans."""
    plans = record.steps[record.steps["plan_period_s"].notna()]
    period_s = [np.asarray(lengths, dtype=np.float64) for lengths in plans["plan_period_s"]]
    start_s = plans["time_s"].to_numpy(dtype=np.float64)
    ends = [np.cumsum(lengths) for lengths in period_s]
    lead_s = _join([end - length for end, length in zip(ends, period_s, strict=True)])
    offset_s = np.repeat(start_s, [len(lengths) for lengths in period_s])
    return Periods(
        lead_s=lead_s,
        start_s=offset_s + lead_s,
        end_s=offset_s + _join(ends),
        import_kw=_join(list(plans["plan_import_kw"])),
        stored_kwh=_join([stored[1:] for stored in planned_stored_kwh(plans)]),
        lowest_pu=_join(list(plans["plan_lowest_pu"])),
        highest_pu=_join(list(plans["plan_highest_pu"])),
    )


def planned_stored_kwh(plans: pd.DataFrame) -> list[FloatArray]:
    """Energy in all batteries, one array of shape (period + 1,) per plan."""
    return [
        np.reshape(np.asarray(stored, dtype=np.float64), (len(lengths) + 1, -1)).sum(axis=1)
        for stored, lengths in zip(plans["plan_stored_kwh"], plans["plan_period_s"], strict=True)
    ]


def _join(parts: list[FloatArray]) -> FloatArray:
    return np.concatenate(parts).astype(np.float64) if parts else np.empty(0)


def _select(periods: Periods, chosen: IntArray) -> Periods:
    return Periods(
        periods.lead_s[chosen],
        periods.start_s[chosen],
        periods.end_s[chosen],
        periods.import_kw[chosen],
        periods.stored_kwh[chosen],
        periods.lowest_pu[chosen],
        periods.highest_pu[chosen],
    )


def _realised(record: Record, periods: Periods) -> Periods:
    """What happened in the given periods."""
    steps, step_s = record.steps, float(record.site.grid.step_s)
    first_s = float(steps["time_s"].iloc[0])
    edges_s = first_s + step_s * np.arange(len(steps) + 1)
    import_kws = np.concatenate([[0.0], np.cumsum(steps["import_kw"].to_numpy(np.float64)) * step_s])
    stored_kwh = np.concatenate(
        [[np.sum(steps["measured_stored_kwh"].iloc[0])], record.vector("stored_kwh").sum(axis=1)]
    )
    voltage_pu = record.vector("voltage_pu")
    # Pairs of first and one past the last step; reduceat wants every index inside, hence the padding.
    touched = np.stack(
        [
            np.floor((periods.start_s - first_s) / step_s + EDGE_S),
            np.ceil((periods.end_s - first_s) / step_s - EDGE_S),
        ],
        axis=1,
    ).astype(np.int64)
    energy_kws = np.interp(periods.end_s, edges_s, import_kws) - np.interp(
        periods.start_s, edges_s, import_kws
    )
    return Periods(
        lead_s=periods.lead_s,
        start_s=periods.start_s,
        end_s=periods.end_s,
        import_kw=energy_kws / (periods.end_s - periods.start_s),
        stored_kwh=np.interp(periods.end_s, edges_s, stored_kwh),
        lowest_pu=np.minimum.reduceat(np.append(voltage_pu.min(axis=1), np.inf), touched.ravel())[::2],
        highest_pu=np.maximum.reduceat(np.append(voltage_pu.max(axis=1), -np.inf), touched.ravel())[::2],
    )


def _by_lead(error: FloatArray, group: IntArray, count: IntArray) -> list[tuple[float, float]]:
    """Mean and largest absolute error per group."""
    size = np.abs(error)
    largest = np.zeros(len(count))
    np.maximum.at(largest, group, size)
    mean = np.bincount(group, weights=size) / count
    return list(zip(mean.tolist(), largest.tolist(), strict=True))
