"""One step as a row of the record: its columns and their types."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from cosim.devices.pv import PV
from cosim.devices.registry import by_kind, by_network_kind, device_kinds, network_kinds
from cosim.devices.storage import STORAGE
from cosim.model.forecast import Outlook, Quantiles
from cosim.model.network_device import positions_of
from cosim.model.site import Site
from cosim.model.state import Belief, Certificate, Plan
from cosim.run.loop import StepRecord


def step_row(record: StepRecord, site: Site) -> dict[str, Any]:
    """One step as a flat row; vectors become lists in the order of the site."""
    measured, decision, outcome = record.measurement, record.decision, record.outcome
    result, accepted = outcome.result, outcome.applied
    issued = outcome.in_force.issued_at_s
    row: dict[str, Any] = {
        "step": measured.step,
        "time_s": measured.time_s,
        "timestamp": site.grid.timestamp(measured.step),
        "price_per_kwh": measured.price_per_kwh,
        "source_ratio": measured.source_ratio,
        "demand_kw": float(measured.demand_kw.sum()),
        "demand_kvar": float(measured.demand_kvar.sum()),
        "measured_import_kw": measured.import_kw,
        "measured_losses_kw": measured.losses_kw,
        "measured_voltage_pu": measured.voltage_pu,
        **device_columns(site, stored_kwh=measured.stored_kwh, prefix="measured_"),
        **device_columns(site, available_kw=measured.available_kw),
        "owner": decision.owner,
        "source": str(decision.source),
        "reason": decision.reason,
        "issued_at_s": decision.issued_at_s,
        "setpoint_age_s": None if issued is None else measured.time_s - issued,
        "why_safe": outcome.in_force.why_safe,
    }
    for prefix, setpoints in (
        ("decided", decision.setpoints),
        ("requested", outcome.in_force.setpoints),
        ("accepted", accepted.setpoints),
    ):
        row |= device_columns(
            site, setpoint_kw=setpoints.p_kw, setpoint_kvar=setpoints.q_kvar, prefix=f"{prefix}_"
        )
        row |= network_columns(site, position=setpoints.position, prefix=f"{prefix}_")
    row |= device_columns(site, reason=accepted.reason)
    row |= network_columns(site, position=measured.position, prefix="measured_")
    row |= network_columns(site, reason=accepted.position_reason)
    row |= network_columns(site, position=result.position, operations=result.operations)
    row |= {
        "voltage_pu": result.voltage_pu,
        **device_columns(site, kw=result.p_kw, kvar=result.q_kvar, stored_kwh=result.stored_kwh),
        "tap": result.tap,
        "import_kw": result.import_kw,
        "import_kvar": result.import_kvar,
        "losses_kw": result.losses_kw,
        "loading": result.loading,
        "loading_line": result.loading_line,
        "transformer_loading": result.transformer_loading,
        "unbalance_percent": result.unbalance_percent,
        "capacitor_closed": result.capacitor_closed,
        "iterations": result.iterations,
        "events": list(result.events),
        "load_kw": result.load_kw,
        "load_kvar": result.load_kvar,
        "other_kw": result.other_kw,
        "balance_error_kw": result.balance_error_kw,
    }
    if result.meter_kw.size:
        row["meter_kw"] = result.meter_kw
    row |= _controller_columns(record)
    return row | _belief_columns(decision.belief) | _plan_columns(decision.plan, site)


def _controller_columns(record: StepRecord) -> dict[str, Any]:
    """What each of several controllers decided, in their order; nothing for one controller."""
    decisions, standing = record.decision.parts, record.outcome.in_force.parts
    if not decisions:
        return {}
    now_s = record.measurement.time_s
    proofs = [None if decision.plan is None else decision.plan.certificate for decision in decisions]
    columns: dict[str, Any] = {
        "controller": [decision.owner for decision in decisions],
        "controller_source": [str(decision.source) for decision in decisions],
        "controller_reason": [decision.reason for decision in decisions],
        "controller_issued_at_s": np.array([decision.issued_at_s for decision in decisions]),
        "controller_setpoint_age_s": np.array(
            [np.nan if one.issued_at_s is None else now_s - one.issued_at_s for one in standing]
        ),
        "controller_why_safe": [one.why_safe for one in standing],
    }
    for name in ("planner", "status", "claim"):
        columns[f"controller_plan_{name}"] = ["" if one is None else getattr(one, name) for one in proofs]
    for name in ("objective", "build_s", "solve_s"):
        told = [np.nan if one is None else getattr(one, name) for one in proofs]
        columns[f"controller_plan_{name}"] = np.array(told, dtype=np.float64)
    return columns


def _belief_columns(belief: Belief | None) -> dict[str, Any]:
    """What the controller took the state for; None where it saw it as it is."""
    if belief is None:
        return dict.fromkeys(("belief_voltage_pu", "belief_voltage_std_pu", "belief_demand_kw")) | {
            "belief_rejected": []
        }
    return {
        "belief_voltage_pu": belief.voltage_pu,
        "belief_voltage_std_pu": belief.voltage_std_pu,
        "belief_demand_kw": float(belief.demand_kw.sum()),
        "belief_rejected": list(belief.rejected),
    }


def _plan_columns(plan: Plan | None, site: Site) -> dict[str, Any]:
    """The plan made at a step; matrices row by row (period first). None where none was made."""
    names = (
        "period_s", "import_kw", "import_kvar", "losses_kw", "lowest_pu", "highest_pu", "next_voltage_pu",
    )  # fmt: skip
    proof = tuple(Certificate.__dataclass_fields__)
    none = np.zeros((0, len(site.devices)))
    own = device_columns(
        site,
        setpoint_kw=none if plan is None else plan.p_kw,
        setpoint_kvar=none if plan is None else plan.q_kvar,
        stored_kwh=none if plan is None else plan.stored_kwh,
        prefix="plan_",
    )
    columns: dict[str, Any] = {f"plan_{name}": None for name in (*names, *proof)} | dict.fromkeys(own)
    if plan is not None:
        columns |= {f"plan_{name}": np.ravel(getattr(plan, name)) for name in names}
        columns |= {f"plan_{name}": getattr(plan.certificate, name) for name in proof}
        columns["plan_area_source"] = list(plan.certificate.area_source)
        columns |= {name: np.ravel(values) for name, values in own.items()}
    return columns


def forecast_columns(outlook: Outlook | None) -> dict[str, Any]:
    """What was forecast at a step; None where nothing was. Quantiles row by row (level first)."""
    columns: dict[str, Any] = {}
    for name in ("period_s", "load_kw", "available_kw", "price_per_kwh"):
        columns[f"forecast_{name}"] = None if outlook is None else getattr(outlook, name)
    for name in ("load", "available", "price"):
        spread: Quantiles | None = None if outlook is None else getattr(outlook, f"{name}_quantiles")
        columns[f"forecast_{name}_level"] = None if spread is None else spread.level
        columns[f"forecast_{name}_quantiles"] = None if spread is None else np.ravel(spread.value)
    return columns


def device_columns(site: Site, *, prefix: str = "", **quantities: Any) -> dict[str, Any]:
    """Values of all devices as the columns that each kind names: see :class:`DeviceKind`.

    Args:
        site: its devices.
        prefix: of every column.
        quantities: arrays whose last axis is the site's devices, or texts of each device.
    """
    places = {kind.name: place for kind, place, _ in by_kind(site.devices)}
    columns: dict[str, Any] = {}
    for kind in (STORAGE, PV, *(kind for kind, _, _ in by_kind(site.devices))):
        place = places.get(kind.name, slice(0, 0))
        for quantity, values in quantities.items():
            if quantity in kind.columns:
                of_kind = list(values[place]) if isinstance(values, tuple) else values[..., place]
                columns[prefix + kind.columns[quantity]] = of_kind
    return columns


def network_columns(site: Site, *, prefix: str = "", **quantities: Any) -> dict[str, Any]:
    """Values of the network devices as the columns that each kind names: see :class:`NetworkKind`.

    Args:
        site: its network devices.
        prefix: of every column.
        quantities: positions or operations, or texts of each network device.
    """
    columns: dict[str, Any] = {}
    for kind, place, _ in by_network_kind(site.network_devices):
        for quantity, values in quantities.items():
            whole = positions_of(values, len(site.network_devices)) if quantity == "position" else values
            columns[prefix + kind.columns[quantity]] = whole[place]
    return columns


_TEXT = {
    "owner",
    "source",
    "reason",
    "why_safe",
    "loading_line",
    "plan_planner",
    "plan_status",
    "plan_claim",
    "plan_solver",
}
_TEXT_LISTS = {
    "events",
    "belief_rejected",
    "plan_area_source",
    "controller",
    "controller_source",
    "controller_reason",
    "controller_why_safe",
    "controller_plan_planner",
    "controller_plan_status",
    "controller_plan_claim",
    *(kind.columns["reason"] for kind in device_kinds()),
    *(kind.columns["reason"] for kind in network_kinds()),
}
_INTEGERS = {
    "step",
    "iterations",
    "plan_iterations",
    "plan_rounds",
    "plan_messages",
    "plan_message_bytes",
    "plan_messages_lost",
}
_SCALARS = {
    "belief_demand_kw",
    "setpoint_age_s",
    "plan_objective",
    "plan_primal_residual",
    "plan_simultaneous_kw",
    "plan_simultaneous_h",
    "plan_slack_pu",
    "plan_over_kw",
    "plan_build_s",
    "plan_solve_s",
    "plan_relaxation_gap_kva",
    "plan_optimality_gap",
    "plan_program_gap",
}


def schema_of(row: dict[str, Any]) -> pa.Schema:
    """Fixed types, so that parts with and without plans fit together."""

    def kind(name: str, value: Any) -> pa.DataType:
        if name == "timestamp":
            return pa.timestamp("us", tz="UTC")
        if name in _TEXT:
            return pa.string()
        if name in _TEXT_LISTS:
            return pa.list_(pa.string())
        if name in _INTEGERS:
            return pa.int64()
        if name in _SCALARS or isinstance(value, float):
            return pa.float64()
        return pa.list_(pa.float64())

    return pa.schema([(name, kind(name, value)) for name, value in row.items()])
