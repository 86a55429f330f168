"""What crosses the border between plant and controller, made the same for every driver.

Over a network values are copies, and what cannot be sent is noticed. In one process they would be shared by
reference. So both drivers hand the controller read-only copies, and take its decision through one check.
"""

from __future__ import annotations

import math
from dataclasses import fields, replace
from typing import Any

import numpy as np

from cosim.errors import ContractError
from cosim.model.arrays import FloatArray
from cosim.model.site import Site
from cosim.model.state import Decision, Measurement, Setpoints, Source


def sealed(measurement: Measurement) -> Measurement:
    """The same values in arrays of their own that cannot be written to."""
    changes: dict[str, Any] = {}
    for part in fields(measurement):
        value = getattr(measurement, part.name)
        if isinstance(value, np.ndarray):
            own = value.copy()
            own.flags.writeable = False
            changes[part.name] = own
    return replace(measurement, **changes)


def checked(decision: object, site: Site, measurement: Measurement, *, owner: str) -> Decision:
    """A decision in arrays of its own, with its owner.

    Args:
        decision: what a controller returned.
        site: whose devices it speaks of.
        measurement: what it answers.
        owner: name of the federate.

    Raises:
        ContractError: it is no decision, or holds what cannot be sent; names quantity and step.
    """
    step = measurement.step
    if not isinstance(decision, Decision):
        raise ContractError(
            f"{owner} returned {type(decision).__name__} at step {step}; 'step' must return a "
            "cosim.model.state.Decision"
        )
    if decision.step != step:
        raise ContractError(
            f"{owner} answered step {decision.step!r} where it was asked about step {step}; give the "
            "decision the step of the measurement"
        )
    given = decision.setpoints
    parts = [_plain(getattr(given, part.name), part.name, step, owner) for part in fields(Setpoints)]
    setpoints = Setpoints(*parts)
    setpoints.check(site, sender=owner, step=step)
    return replace(
        decision,
        step=int(step),
        issued_at_s=_moment(decision.issued_at_s, measurement, owner),
        setpoints=setpoints,
        source=_source(decision.source, step, owner),
        reason=str(decision.reason),
        owner=owner,
    )


def _plain(value: Any, name: str, step: int, owner: str) -> FloatArray:
    """One quantity as a vector of doubles that nobody else holds."""
    what = f"{name} of step {step} from {owner!r}"
    try:
        given = np.asarray(value)
    except ValueError as error:
        raise ContractError(f"{what} is no vector of real numbers: {error}") from error
    if given.dtype.kind not in "biuf":
        raise ContractError(f"{what} is no vector of real numbers: it is of type {given.dtype}")
    if given.ndim != 1:
        raise ContractError(f"{what} has shape {given.shape}; send one value per device, shape (n,)")
    return np.array(given, dtype=np.float64)


def _moment(value: Any, measurement: Measurement, owner: str) -> float:
    """When the measurement behind a decision was taken: not in the future, or set-points never grow old."""
    try:
        moment = float(value)
    except (TypeError, ValueError):
        moment = math.nan
    if not 0.0 <= moment <= measurement.time_s:
        raise ContractError(
            f"issued_at_s of step {measurement.step} from {owner!r} is {value!r}; it is the time of the "
            f"measurement behind the decision, at most {measurement.time_s:g} s"
        )
    return moment


def _source(value: Any, step: int, owner: str) -> Source:
    try:
        return Source(value)
    except ValueError as error:
        raise ContractError(
            f"source of step {step} from {owner!r} is {value!r}, expected one of {', '.join(Source)}"
        ) from error
