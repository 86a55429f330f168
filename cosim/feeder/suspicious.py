"""What looks like a mistake in the data of a feeder: sentences for a person to look at."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cosim.feeder.branch import SQRT3, watched_voltages
from cosim.feeder.compiled import FeederModel
from cosim.feeder.engine import Engine

KV_FITS = (0.75, 1.35)
"""Rated voltage of a load over the base of its bus."""
LOAD_PU = (0.85, 1.15)
"""Voltage of a load over its rating, under nominal load."""
VOLTAGE_PU = (0.9, 1.1)
STIFF_SIEMENS = 1e8
NAMED = 4


def suspicious(model: FeederModel) -> Iterator[str]:
    """Sentences about what looks wrong, each naming the first elements concerned.

    Args:
        model: solved under nominal load.
    """
    yield from model.base_problems
    yield from _loads(model)
    yield from _voltages(model)
    yield from _stiff(model.engine)
    yield from _overloaded(model.engine)


def _loads(model: FeederModel) -> Iterator[str]:
    """Loads of another voltage level, far from their rating, or with reactive power alone."""
    volts = np.append(model.engine.voltages(), 0.0)
    base_kv = np.append(model.engine.node_base_kv(), 0.0)
    other_level, far_off = list[str](), list[str]()
    for load in model.loads.connected:
        a, b = load.legs[0]
        due = base_kv[a] * (
            SQRT3 if b >= 0 and base_kv[b] > 0 and abs(volts[b]) > 0.3e3 * base_kv[b] else 1.0
        )
        if due > 0 and not KV_FITS[0] <= load.rated_kv / due <= KV_FITS[1]:
            other_level.append(
                f"{load.name} (a leg is rated {load.rated_kv:.4g} kV, the bus gives {due:.4g} kV)"
            )
            continue
        pu = abs(volts[a] - volts[b]) / (load.rated_kv * 1e3)
        if volts[a] and not LOAD_PU[0] <= pu <= LOAD_PU[1]:
            far_off.append(f"{load.name} ({pu:.3g} pu)")
    yield from _named("loads of another voltage level than their bus", other_level)
    yield from _named("loads far from their rated voltage", far_off)
    still = [
        name
        for name, kw, kvar in zip(model.loads.names, model.loads.kw, model.loads.kvar, strict=True)
        if kw == 0.0 and kvar != 0.0
    ]
    yield from _named("loads with reactive power alone, which follow no table of kW", still)


def _voltages(model: FeederModel) -> Iterator[str]:
    """Nodes whose voltage no regulator keeps within bounds."""
    circuit = model.circuit()
    volts = np.append(circuit.voltage, 0.0)
    outside = [
        f"{w.name} ({pu:.4g} pu)"
        for w in watched_voltages(circuit)
        if not VOLTAGE_PU[0] <= (pu := abs(volts[w.a] - volts[w.b]) / (w.base_kv * 1e3)) <= VOLTAGE_PU[1]
    ]
    low, high = VOLTAGE_PU
    yield from _named(f"nodes outside {low:g} .. {high:g} pu at nominal load", outside)


def _stiff(engine: Engine) -> Iterator[str]:
    """Lines so short that rounding hides what else is connected to their buses."""
    found: list[str] = []
    index = engine.dss.Lines.First()
    while index:
        engine.dss.Circuit.SetActiveElement(f"line.{engine.dss.Lines.Name()}")
        admittance, _ = engine.admittance()
        siemens = float(np.abs(admittance).max(initial=0.0))
        if siemens > STIFF_SIEMENS:
            found.append(f"{engine.dss.Lines.Name().lower()} ({siemens:.1e} S)")
        index = engine.dss.Lines.Next()
    yield from _named("lines almost without impedance; give them at least 1e-6 ohm", found)


def _overloaded(engine: Engine) -> Iterator[str]:
    """Lines and transformers beyond their rating under nominal load."""
    names = [str(name).lower() for name in engine.dss.PDElements.AllNames()]
    percent = np.asarray(engine.dss.PDElements.AllPctNorm(), dtype=np.float64)
    order = np.argsort(-percent, kind="stable")
    over = [f"{names[i]} ({percent[i]:.0f} %)" for i in order if percent[i] > 100.0]
    yield from _named("elements beyond their rating at nominal load", over)


def _named(what: str, found: list[str]) -> Iterator[str]:
    if found:
        more = f", {len(found) - NAMED} more" if len(found) > NAMED else ""
        yield f"{what}: {', '.join(found[:NAMED])}{more}"
