"""The values of a step as named wire quantities, and back. Contract version 3.

A quantity is one HELICS publication ``<federate>/<name>``: a vector of doubles, a double, an
integer, or a JSON string. Units are those of :mod:`cosim.model.state`, stated in each publication.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import cattrs
import numpy as np

from cosim.errors import ContractError
from cosim.model.arrays import FloatArray
from cosim.model.forecast import Outlook
from cosim.model.part import Part
from cosim.model.site import CONTRACT_VERSION, Site
from cosim.model.state import Applied, Belief, Decision, Measurement, Plan, Setpoints, Source, StepResult
from cosim.run.feedback import InForce, Standing
from cosim.run.json_values import json_converter
from cosim.run.loop import Outcome

Kind = Literal["vector", "double", "int", "json"]
Value = FloatArray | float | int | str
_converter = json_converter()
UNREADABLE = (ValueError, KeyError, TypeError, AttributeError, RecursionError, cattrs.BaseValidationError)
"""What reading a message that is none can raise."""


@dataclass(frozen=True)
class Quantity:
    """One publication.

    Attributes:
        name: behind the federate's name.
        kind: type on the wire.
        unit: fixed unit.
        size: entries of a vector, 0 for the others.
        once: published at the start only.
        may_be_nan: NaN means something, see the model.
    """

    name: str
    kind: Kind
    unit: str = ""
    size: int = 0
    once: bool = False
    may_be_nan: bool = False


METERS = "result_meter_kw"
"""Only there where the scenario has meters, so that other programs need not know of it."""
ANY_SIZE = -1
"""A vector whose length is not known before it comes."""

SITE = Quantity("site", "json", once=True)
KNOWLEDGE = Quantity("knowledge", "json", once=True)
"""What the controller may know beside the site, see :mod:`cosim.run.knowledge`."""


def knowledge_for(controller: str | None) -> Quantity:
    """What one of several controllers may know; None for one controller."""
    return KNOWLEDGE if controller is None else replace(KNOWLEDGE, name=f"{KNOWLEDGE.name}_{controller}")


@dataclass(frozen=True)
class Sizes:
    """How long the vectors are. All zero before the site is known: names and types do not depend on it."""

    nodes: int = 0
    loads: int = 0
    devices: int = 0
    regulators: int = 0
    capacitors: int = 0
    meters: int = 0

    @classmethod
    def of_part(cls, part: Part) -> Sizes:
        """Sizes of what one of several controllers publishes."""
        return cls(devices=len(part.devices))

    @classmethod
    def of(cls, site: Site, meters: int = 0) -> Sizes:
        """Sizes of a site, and how many meters the scenario has."""
        return cls(
            len(site.nodes),
            len(site.loads),
            len(site.devices),
            len(site.regulators),
            len(site.capacitors),
            meters,
        )


def _setpoint_quantities(prefix: str, sizes: Sizes) -> tuple[Quantity, ...]:
    return (
        Quantity(f"{prefix}p_kw", "vector", "kW", sizes.devices),
        Quantity(f"{prefix}q_kvar", "vector", "kvar", sizes.devices),
        Quantity(f"{prefix}position", "vector", "", ANY_SIZE, may_be_nan=True),
    )


def measurement_quantities(sizes: Sizes) -> tuple[Quantity, ...]:
    """What the feeder publishes at the start of a step."""
    return (
        Quantity("step", "int"),
        Quantity("time_s", "double", "s"),
        Quantity("voltage_pu", "vector", "pu", sizes.nodes),
        Quantity("demand_kw", "vector", "kW", sizes.loads),
        Quantity("demand_kvar", "vector", "kvar", sizes.loads),
        Quantity("price_per_kwh", "double", "1/kWh"),
        *_setpoint_quantities("", sizes),
        Quantity("stored_kwh", "vector", "kWh", sizes.devices),
        Quantity("available_kw", "vector", "kW", sizes.devices),
        Quantity("tap", "vector", "ratio", sizes.regulators),
        Quantity("capacitor_closed", "vector", "", sizes.capacitors),
        Quantity("import_kw", "double", "kW"),
        Quantity("import_kvar", "double", "kvar"),
        Quantity("losses_kw", "double", "kW"),
        Quantity("peak_import_kw", "double", "kW"),
        Quantity("source_ratio", "double", "ratio"),
    )


def decision_quantities(sizes: Sizes) -> tuple[Quantity, ...]:
    """What the controller publishes for the feeder."""
    return (
        Quantity("step", "int"),
        Quantity("issued_at_s", "double", "s"),
        *_setpoint_quantities("", sizes),
        Quantity("owner", "json"),
        Quantity("source", "json"),
        Quantity("reason", "json"),
    )


PLAN, PLANNED_VOLTAGE = Quantity("plan", "json"), Quantity("plan_voltage_pu", "vector", "pu", ANY_SIZE)
BELIEF = Quantity("belief", "json")
TELEMETRY = (PLAN, PLANNED_VOLTAGE, BELIEF)
"""Telemetry of the controller, for whoever wants it: the plan made at a step, and what the state was taken
for. The feeder does not."""
OUTLOOK = Quantity("forecast", "json")
"""What was forecast; only where the scenario says ``record.forecasts``, so that other controllers need not
know of it."""


def outcome_quantities(sizes: Sizes) -> tuple[Quantity, ...]:
    """What the feeder publishes after it has solved a step."""
    return (
        *_setpoint_quantities("in_force_", sizes),
        Quantity("in_force_since", "json"),
        *_setpoint_quantities("accepted_", sizes),
        Quantity("accepted_reason", "json"),
        Quantity("result_step", "int"),
        Quantity("result_voltage_pu", "vector", "pu", sizes.nodes),
        *_setpoint_quantities("result_", sizes),
        Quantity("result_stored_kwh", "vector", "kWh", sizes.devices),
        Quantity("result_tap", "vector", "ratio", sizes.regulators),
        Quantity("result_operations", "vector", "", ANY_SIZE),
        Quantity("result_import_kw", "double", "kW"),
        Quantity("result_import_kvar", "double", "kvar"),
        Quantity("result_losses_kw", "double", "kW"),
        Quantity("result_loading", "double", "ratio"),
        Quantity("result_notes", "json"),
        Quantity("result_load_kw", "double", "kW"),
        Quantity("result_load_kvar", "double", "kvar"),
        Quantity("result_other_kw", "double", "kW"),
        Quantity("result_balance_error_kw", "double", "kW"),
        *((Quantity(METERS, "vector", "kW", sizes.meters),) if sizes.meters else ()),
    )


# --- site -----------------------------------------------------------------------------------------


def site_to_text(site: Site) -> str:
    """The site as JSON."""
    return str(_converter.dumps(site))


def text_to_site(text: str) -> Site:
    """The site from JSON.

    Raises:
        ContractError: another contract version, or not a site.
    """
    try:
        version = json.loads(text)["contract_version"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ContractError(f"feeder/site is not a site in JSON: {text[:60]!r}") from error
    if version != CONTRACT_VERSION:
        raise ContractError(
            f"the feeder speaks contract version {version}, this federate {CONTRACT_VERSION}; "
            "install the same release on both sides"
        )
    try:
        site: Site = _converter.loads(text, Site)
    except UNREADABLE as error:
        raise ContractError(f"feeder/site is not a site: {str(error)[:200]}") from error
    return site


# --- one step -------------------------------------------------------------------------------------


def encode_measurement(measurement: Measurement) -> dict[str, Value]:
    """Wire values of a measurement."""
    return {name: getattr(measurement, name) for name in Measurement.__dataclass_fields__}


def decode_measurement(values: Mapping[str, Any]) -> Measurement:
    """A measurement from wire values."""
    return Measurement(**{name: values[name] for name in Measurement.__dataclass_fields__})


def encode_decision(decision: Decision) -> dict[str, Value]:
    """Wire values of a decision."""
    return {
        "step": decision.step,
        "issued_at_s": decision.issued_at_s,
        **_encode_setpoints("", decision.setpoints),
        "owner": json.dumps(decision.owner),
        "source": json.dumps(str(decision.source)),
        "reason": json.dumps(decision.reason),
        **_encode_plan(decision.plan),
        BELIEF.name: "null" if decision.belief is None else str(_converter.dumps(decision.belief)),
    }


def encode_outlook(decision: Decision) -> dict[str, Value]:
    """Wire value of what was forecast."""
    return {OUTLOOK.name: "null" if decision.outlook is None else str(_converter.dumps(decision.outlook))}


def decode_decision(values: Mapping[str, Any]) -> Decision:
    """A decision from wire values; without its plan where that was not subscribed.

    Raises:
        ContractError: an unknown source.
    """
    try:
        return _decision(values)
    except UNREADABLE as error:
        raise ContractError(f"the decision of step {values.get('step')} cannot be read: {error}") from error


def _decision(values: Mapping[str, Any]) -> Decision:
    source = json.loads(values["source"])
    if source not in tuple(Source):
        raise ContractError(f"controller/source is {source!r}, expected one of {', '.join(Source)}")
    plan, belief = values.get(PLAN.name, "null"), values.get(BELIEF.name, "null")
    outlook = values.get(OUTLOOK.name, "null")
    return Decision(
        step=values["step"],
        issued_at_s=values["issued_at_s"],
        setpoints=_decode_setpoints("", values),
        source=Source(source),
        reason=json.loads(values["reason"]),
        plan=None if plan == "null" else _decode_plan(plan, values[PLANNED_VOLTAGE.name]),
        belief=None if belief == "null" else _converter.loads(belief, Belief),
        owner=json.loads(values["owner"]),
        outlook=None if outlook == "null" else _converter.loads(outlook, Outlook),
    )


def _encode_plan(plan: Plan | None) -> dict[str, Value]:
    """A plan as JSON, and its voltages, period by period, as a vector: they are most of it."""
    if plan is None:
        return {PLAN.name: "null", PLANNED_VOLTAGE.name: np.zeros(0)}
    periods = len(plan.period_s)
    bare = replace(plan, voltage_pu=np.zeros((periods, 0)))
    return {PLAN.name: str(_converter.dumps(bare)), PLANNED_VOLTAGE.name: plan.voltage_pu.ravel()}


def _decode_plan(text: str, voltage_pu: FloatArray) -> Plan:
    plan: Plan = _converter.loads(text, Plan)
    return replace(plan, voltage_pu=voltage_pu.reshape(len(plan.period_s), -1))


def encode_outcome(outcome: Outcome) -> dict[str, Value]:
    """Wire values of an outcome."""
    in_force, applied, result = outcome.in_force, outcome.applied, outcome.result
    names = (
        "step", "voltage_pu", "p_kw", "q_kvar", "stored_kwh", "tap", "import_kw", "import_kvar",
        "losses_kw", "loading", "load_kw", "load_kvar", "other_kw", "balance_error_kw", "position",
        "operations",
    )  # fmt: skip
    return {
        **_encode_setpoints("in_force_", in_force.setpoints),
        "in_force_since": json.dumps(
            [
                *(in_force.issued_at_s, in_force.why_safe),
                # Only of several controllers, so that other programs need not know of it.
                *([[[one.issued_at_s, one.why_safe] for one in in_force.parts]] if in_force.parts else []),
            ]
        ),
        **_encode_setpoints("accepted_", applied.setpoints),
        "accepted_reason": json.dumps([applied.reason, applied.position_reason]),
        **{f"result_{name}": getattr(result, name) for name in names},
        "result_notes": json.dumps([result.loading_line, result.iterations, result.events]),
        **({METERS: result.meter_kw} if result.meter_kw.size else {}),
    }


def decode_outcome(values: Mapping[str, Any]) -> Outcome:
    """An outcome from wire values."""
    issued_at_s, why_safe, *of_parts = json.loads(values["in_force_since"])
    parts = tuple(Standing(*one) for one in (of_parts[0] if of_parts else ()))
    reason, position_reason = json.loads(values["accepted_reason"])
    line, iterations, events = json.loads(values["result_notes"])
    fields = set(StepResult.__dataclass_fields__) - {"loading_line", "iterations", "events", "meter_kw"}
    return Outcome(
        InForce(_decode_setpoints("in_force_", values), issued_at_s, why_safe, parts),
        Applied(_decode_setpoints("accepted_", values), tuple(reason), tuple(position_reason)),
        StepResult(
            **{name: values[f"result_{name}"] for name in fields},
            meter_kw=values.get(METERS, np.zeros(0)),
            loading_line=line,
            iterations=iterations,
            events=tuple(events),
        ),
    )


def _encode_setpoints(prefix: str, setpoints: Setpoints) -> dict[str, Value]:
    return {f"{prefix}{name}": getattr(setpoints, name) for name in Setpoints.__dataclass_fields__}


def _decode_setpoints(prefix: str, values: Mapping[str, Any]) -> Setpoints:
    return Setpoints(**{name: values[f"{prefix}{name}"] for name in Setpoints.__dataclass_fields__})


def check_value(quantity: Quantity, value: Value, *, sender: str, receiver: str) -> None:
    """Refuse a vector of the wrong size and a number that is none.

    Raises:
        ContractError: names both sides, the quantity, the value and what was expected.
    """
    topic = f"{sender}/{quantity.name}"
    if isinstance(value, np.ndarray):
        if quantity.size != ANY_SIZE and value.shape != (quantity.size,):
            raise ContractError(
                f"{receiver} expected {quantity.size} values of {topic}, got {value.size}; "
                "both must use the order of feeder/site"
            )
        if not (quantity.may_be_nan or np.isfinite(value).all()):
            at = int(np.flatnonzero(~np.isfinite(value))[0])
            raise ContractError(f"{topic}[{at}] as received by {receiver} is {value[at]}, not a number")
    elif isinstance(value, float) and not math.isfinite(value):
        raise ContractError(f"{topic} as received by {receiver} is {value}, not a number")
