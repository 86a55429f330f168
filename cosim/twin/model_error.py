"""What a twin is made to get wrong, for studies of how much a controller may not know."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import scipy.sparse as sp

from cosim.model.arrays import ComplexArray, IntArray
from cosim.twin.data import TwinData
from cosim.twin.load_model import (
    CONSTANT_CURRENT,
    CONSTANT_IMPEDANCE,
    CONSTANT_POWER,
    LoadModel,
    LoadModels,
)

LoadModelName = Literal["as_is", "constant_power", "constant_current", "constant_impedance"]
_LOAD_MODELS = {
    "constant_power": CONSTANT_POWER,
    "constant_current": CONSTANT_CURRENT,
    "constant_impedance": CONSTANT_IMPEDANCE,
}


@dataclass(frozen=True)
class ModelError:
    """What a twin is made to get wrong.

    Attributes:
        impedance_error: standard deviation of each line's impedance, as a part of it.
        seed: of those errors.
        stale_taps: taps and capacitors are believed to be as first measured, whatever is measured later.
        frozen_controls: regulators and capacitors are not expected to react to the plan.
        load_model: how loads depend on voltage.
    """

    impedance_error: float = 0.0
    seed: int = 0
    stale_taps: bool = False
    frozen_controls: bool = False
    load_model: LoadModelName = "as_is"


Primitives = list[tuple[ComplexArray, IntArray]]
"""Primitive admittance (siemens) and nodes of each line, -1 for ground, in the order of definition."""


def with_error(data: TwinData, lines: Primitives, error: ModelError) -> TwinData:
    """The data of a twin that is wrong.

    Args:
        data: exact.
        lines: of the feeder.
        error: what is to be wrong.
    """
    if error.load_model != "as_is":
        model = _LOAD_MODELS[error.load_model]
        # The first load model is that of the devices, which are no loads.
        kept = LoadModels.of([LoadModel(model, *edges) for edges in data.laws.edges[1:]])
        terms = np.concatenate([data.laws.terms[:1], kept.terms])
        data = replace(data, laws=replace(data.laws, terms=terms, drop_out=0.0 * data.laws.drop_out))
    if error.impedance_error:
        data = replace(data, admittance=data.admittance + _line_errors(lines, data.size, error))
    return data


def _line_errors(lines: Primitives, size: int, error: ModelError) -> sp.csc_matrix:
    """Change of the admittance matrix when every line's impedance is off by a random part."""
    random = np.random.default_rng(error.seed)
    row, column, value = list[int](), list[int](), list[complex]()
    for primitive, nodes in lines:
        factor = max(1.0 + error.impedance_error * float(random.standard_normal()), 0.2)
        live = np.flatnonzero(nodes >= 0)
        for i in live:
            for j in live:
                row.append(int(nodes[i]))
                column.append(int(nodes[j]))
                value.append(complex(primitive[i, j] * (1.0 / factor - 1.0)))
    return sp.csc_matrix((value, (row, column)), shape=(size, size))
