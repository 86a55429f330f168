"""What the federate of an area publishes. Nothing else leaves its process.

=====================  ====================================================================
``to_FEDERATE``        boundary values for one neighbour, see :mod:`cosim.opf.distributed.messages`
``answer_*``           for the controller: set-points of the devices, and what the area expects
                       of its own nodes
=====================  ====================================================================
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import astuple, fields
from typing import Any

import numpy as np

from cosim.errors import ContractError
from cosim.model.arrays import FloatArray
from cosim.opf.distributed.messages import AreaAnswer, Figures
from federates.codec import ANY_SIZE, Quantity, Value

ANSWER = (
    Quantity("answer_step", "int"),
    Quantity("answer_found", "int"),
    Quantity("answer_reason", "json"),
    Quantity("answer_p_kw", "vector", "kW", ANY_SIZE),
    Quantity("answer_q_kvar", "vector", "kvar", ANY_SIZE),
    Quantity("answer_voltage_pu", "vector", "pu", ANY_SIZE),
    Quantity("answer_import_kw", "vector", "kW", ANY_SIZE),
    Quantity("answer_import_kvar", "vector", "kvar", ANY_SIZE),
    Quantity("answer_losses_kw", "vector", "kW", ANY_SIZE),
    # The figures may be infinite where an area has not solved.
    Quantity("answer_figures", "vector", "", len(fields(Figures)), may_be_nan=True),
)


def to_neighbour(federate: str) -> Quantity:
    """Boundary values for a neighbour: kW and kvar if it is upstream, else squared per unit."""
    return Quantity(f"to_{federate}", "vector", "", ANY_SIZE)


def encode_answer(step: int, answer: AreaAnswer) -> dict[str, Value]:
    """Wire values of the plan of an area."""
    return {
        "answer_step": step,
        "answer_found": int(answer.found),
        "answer_reason": json.dumps(answer.reason),
        "answer_p_kw": answer.p_kw.ravel(),
        "answer_q_kvar": answer.q_kvar.ravel(),
        "answer_voltage_pu": answer.voltage_pu.ravel(),
        "answer_import_kw": answer.import_kva.real.copy(),
        "answer_import_kvar": answer.import_kva.imag.copy(),
        "answer_losses_kw": answer.losses_kw,
        "answer_figures": np.array(astuple(answer.figures), dtype=np.float64),
    }


def decode_answer(values: Mapping[str, Any], sender: str, step: int) -> AreaAnswer:
    """The plan of an area from wire values.

    Raises:
        ContractError: it is of another step.
    """
    if values["answer_step"] != step:
        raise ContractError(
            f"{sender} answered step {values['answer_step']} where the controller is at step {step}"
        )
    imported: FloatArray = values["answer_import_kw"]
    periods = len(imported)
    return AreaAnswer(
        found=bool(values["answer_found"]),
        p_kw=values["answer_p_kw"].reshape(periods, -1),
        q_kvar=values["answer_q_kvar"].reshape(periods, -1),
        voltage_pu=values["answer_voltage_pu"].reshape(periods, -1),
        import_kva=imported + 1j * values["answer_import_kvar"],
        losses_kw=values["answer_losses_kw"],
        figures=Figures(*values["answer_figures"].tolist()),
        reason=json.loads(values["answer_reason"]),
    )
