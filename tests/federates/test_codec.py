"""What crosses the wire arrives as it was sent, or not at all."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cosim.errors import ContractError
from cosim.model.site import CONTRACT_VERSION, Site
from cosim.model.state import Decision, Setpoints, Source
from cosim.run.assembly import Assembly
from cosim.run.study import Study, open_study
from federates.codec import (
    TELEMETRY,
    Quantity,
    Sizes,
    check_value,
    decision_quantities,
    decode_decision,
    decode_measurement,
    decode_outcome,
    encode_decision,
    encode_measurement,
    encode_outcome,
    measurement_quantities,
    outcome_quantities,
    site_to_text,
    text_to_site,
)


@pytest.fixture
def step(scenario_file):
    """Site, measurement, decision with a plan, and outcome of a real first step."""
    study = open_study(scenario_file())
    assembly = Assembly(study)
    plant, controller = assembly.plant, assembly.controller
    controller.start(plant.site)
    measurement = plant.measure(0)
    decision = controller.step(measurement)
    return plant.site, measurement, decision, plant.act(decision, step=0)


def same(one, other) -> bool:
    """Deep equality that knows arrays."""
    if isinstance(one, np.ndarray):
        return bool(np.array_equal(one, other))
    if hasattr(one, "__dataclass_fields__"):
        return all(same(getattr(one, f.name), getattr(other, f.name)) for f in fields(one))
    return one == other


def test_a_step_survives_the_wire_to_the_last_bit(step):
    _, measurement, decision, outcome = step
    assert decision.plan is not None
    assert same(decode_measurement(encode_measurement(measurement)), measurement)
    assert same(decode_decision(encode_decision(decision)), decision)
    assert same(decode_outcome(encode_outcome(outcome)), outcome)


def test_every_value_has_a_quantity_and_every_quantity_a_value(step):
    site, measurement, decision, outcome = step
    sizes = Sizes.of(site)
    for quantities, values in (
        (measurement_quantities(sizes), encode_measurement(measurement)),
        ([*decision_quantities(sizes), *TELEMETRY], encode_decision(decision)),
        (outcome_quantities(sizes), encode_outcome(outcome)),
    ):
        assert {quantity.name for quantity in quantities} == set(values)
        for quantity in quantities:
            check_value(quantity, values[quantity.name], sender="a", receiver="b")


def test_another_contract_version_is_refused(step):
    site: Site = step[0]
    text = site_to_text(replace(site, contract_version=99))
    with pytest.raises(
        ContractError, match=f"speaks contract version 99, this federate {CONTRACT_VERSION}"
    ):
        text_to_site(text)
    with pytest.raises(ContractError, match="is not a site in JSON"):
        text_to_site("hello")


@given(arrays(np.float64, 3, elements=st.floats(allow_nan=False, allow_infinity=False)))
def test_set_points_survive_whatever_they_are(values):
    setpoints = Setpoints(values, values[::-1].copy())
    decision = Decision(3, 2700.0, setpoints, Source.EARLIER_PLAN, 'a "reason" ä', None)
    assert same(decode_decision(encode_decision(decision)), decision)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.zeros(2), "b expected 3 values of a/x, got 2"),
        (np.array([1.0, np.inf, 0.0]), r"a/x\[1\] as received by b is inf, not a number"),
    ],
)
def test_a_bad_vector_names_both_sides(value, message):
    with pytest.raises(ContractError, match=message):
        check_value(Quantity("x", "vector", "kW", 3), value, sender="a", receiver="b")


def test_a_study_is_the_same_in_another_process(scenario_file):
    study = open_study(scenario_file(), steps=3)
    there = Study.from_json(study.to_json())
    assert there.scenario == study.scenario
    assert there.grid == study.grid
    assert there.master == study.master
    idle = Study.from_json(study.without_control().to_json())
    assert idle.scenario.control.type == "idle"
