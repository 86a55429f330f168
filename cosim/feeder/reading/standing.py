"""What nobody commands: power and law of generators, batteries and PV systems of the master."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np

from cosim.errors import FeederError
from cosim.feeder.branch import SQRT3
from cosim.feeder.devices import device_controls
from cosim.feeder.engine import Engine
from cosim.feeder.reading.legs import Leg, take_legs
from cosim.model.arrays import ComplexArray, FloatArray
from cosim.twin.load_model import (
    CONSTANT_IMPEDANCE,
    CONSTANT_POWER,
    FIXED_X,
    INVERTER,
    LoadModel,
    factors_at,
)

LAW_OF_GENERATOR = {
    1: CONSTANT_POWER,
    2: CONSTANT_IMPEDANCE,
    4: CONSTANT_POWER,
    5: FIXED_X,
    7: CONSTANT_POWER,
}
"""Load model that a generator model equals in its voltage window, with the sign turned. Models 4 and 7
differ from model 1 outside the window only. Model 3 holds its voltage, model 6 is native code."""


class Standing(NamedTuple):
    """Consumption at rated voltage (negative, kVA), voltage of a leg that counts as rated, and law."""

    kva: complex
    base_v: float
    law: LoadModel


def read_standing(
    engine: Engine, element: str, legs: Sequence[Leg], constant_power: Collection[str]
) -> Standing:
    """Power and law of the active element, which nobody commands.

    Args:
        engine: with a solved power flow.
        element: ``class.name``.
        legs: of the element.
        constant_power: elements that count as one of constant power, whatever they are.

    Raises:
        FeederError: it does more than its voltage says; the message names it.
    """
    kind = element.partition(".")[0]
    drawn = _drawn_kva(engine, element)
    kv = float(engine.command(f"? {element}.kv"))
    phases = int(float(engine.command(f"? {element}.phases")))
    base_v = 1e3 * (kv if phases == 1 else kv / SQRT3)
    if element in constant_power:
        return Standing(drawn, base_v, INVERTER)
    law = _law(engine, element, kind)
    volts = np.append(engine.voltages(), 0.0)
    return Standing(_at_rated(drawn, law, _per_unit(volts, legs, base_v)), base_v, law)


class StandingReader:
    """Reads what some elements would draw at rated voltage, time after time.

    Args:
        engine: with a solved power flow.
        elements: ``class.name``, whose laws are known.
        constant_power: elements that count as ones of constant power.
    """

    def __init__(self, engine: Engine, elements: Sequence[str], constant_power: Collection[str]) -> None:
        self._engine = engine
        self._known: list[tuple[str, list[Leg], Standing]] = []
        for element in elements:
            engine.dss.Circuit.SetActiveElement(element)
            legs = take_legs(engine, element)
            self._known.append((element, legs, read_standing(engine, element, legs, constant_power)))

    def read(self) -> list[complex]:
        """Consumption at rated voltage now, kVA each."""
        volts = np.append(self._engine.voltages(), 0.0)
        return [
            _at_rated(_drawn_kva(self._engine, element), known.law, _per_unit(volts, legs, known.base_v))
            for element, legs, known in self._known
        ]


def _per_unit(volts: ComplexArray, legs: Sequence[Leg], base_v: float) -> FloatArray:
    return np.array([abs(volts[leg.a] - volts[leg.b]) / base_v for leg in legs])


def _at_rated(drawn: complex, law: LoadModel, per_unit: FloatArray) -> complex:
    """What an element would draw at rated voltage that draws this at some other."""
    active, reactive = factors_at(law, per_unit).mean(axis=0)
    return complex(drawn.real / (active or 1.0), drawn.imag / (reactive or 1.0))


def _drawn_kva(engine: Engine, element: str) -> complex:
    engine.dss.Circuit.SetActiveElement(element)
    flat = np.asarray(engine.dss.CktElement.Powers(), dtype=np.float64)
    return complex(flat[0::2].sum(), flat[1::2].sum())


def _law(engine: Engine, element: str, kind: str) -> LoadModel:
    number = {key: float(engine.command(f"? {element}.{key}")) for key in ("model", "vminpu", "vmaxpu")}
    known = LAW_OF_GENERATOR if kind == "generator" else {1: CONSTANT_POWER, 2: CONSTANT_IMPEDANCE}
    model = known.get(int(number["model"]))
    advice = "list it under control.twin.constant_power, disable it, or let the scenario control it"
    if model is None:
        raise FeederError(
            f"planner tangent has no law for {element} (model {number['model']:g}); {advice} "
            "(feeder.discover)"
        )
    controls = [] if kind == "generator" else device_controls(engine)
    if controls:
        raise FeederError(
            f"planner tangent has no law for {element}, whose power {', '.join(controls[:3])} may change; "
            f"disable the control, or let the scenario control the device (feeder.discover)"
        )
    return LoadModel(model, 0.0, number["vminpu"], number["vmaxpu"])
