"""The loads of a feeder: nominal demand, connection, and how they depend on voltage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from cosim.errors import FeederError
from cosim.feeder.branch import SQRT3
from cosim.feeder.devices import legs_of
from cosim.feeder.engine import Engine
from cosim.feeder.extract import Connected
from cosim.model.arrays import FloatArray


@dataclass(frozen=True)
class LoadTable:
    """The loads of a circuit, in the order of definition, disabled ones left out.

    Attributes:
        names: lower case.
        kw, kvar: nominal demand, shape (load,), positive consumption.
        fixed: loads that ignore multipliers and shapes (``status=fixed``).
        exempt: loads that ignore the circuit's multiplier, but in yearly mode (``status=exempt``).
        connected: legs and rated leg voltage of each.
        zip_p, zip_q: shares of constant impedance, current and power at rated voltage.
        shapes: name of the yearly load shape, else of the daily one, else of that of duty; empty if none.
        multiplier: of the circuit, which the engine applies to loads that are not fixed; ``kw`` and
            ``kvar`` include it.
    """

    names: tuple[str, ...]
    kw: FloatArray
    kvar: FloatArray
    fixed: tuple[bool, ...]
    exempt: tuple[bool, ...]
    connected: tuple[Connected, ...]
    zip_p: FloatArray
    zip_q: FloatArray
    shapes: tuple[str, ...]
    multiplier: float


def read_loads(engine: Engine, growth: Mapping[str, float]) -> LoadTable:
    """Read every enabled load. Growth and the circuit's load multiplier are part of the nominal demand.

    Args:
        engine: which applies no growth any more.
        growth: factor of each load; 1 where it has none.

    Raises:
        FeederError: the multiplier is zero.
    """
    loads = engine.dss.Loads
    multiplier = float(engine.dss.Solution.LoadMult())
    if multiplier == 0.0:
        raise FeederError("loadmult is 0: no load could follow its demand; remove 'set loadmult=0'")
    rows: list[tuple[str, float, float, bool, bool, Connected, list[float], list[float], str]] = []
    index = loads.First()
    while index:
        name = loads.Name().lower()
        delta = bool(loads.IsDelta())
        phases = int(loads.Phases())
        kv = float(loads.kV())
        rated = kv if delta or phases == 1 else kv / SQRT3
        legs = legs_of(engine, phases, delta=delta)
        zip_p, zip_q = _zip_shares(loads)
        fixed, exempt = loads.Status() == 1, loads.Status() == 2
        scale = growth.get(name, 1.0) * (1.0 if fixed or exempt else multiplier)
        rows.append(
            (
                name,
                scale * float(loads.kW()),
                scale * float(loads.kvar()),
                fixed,
                exempt,
                Connected(name, legs, rated),
                zip_p,
                zip_q,
                str(loads.Yearly() or loads.Daily() or loads.Duty()).lower(),
            )
        )
        index = loads.Next()
    names, kw, kvar, is_fixed, is_exempt, connected, zip_p_rows, zip_q_rows, shapes = (
        zip(*rows, strict=True) if rows else ((),) * 9
    )
    return LoadTable(
        names=tuple(names),
        kw=np.array(kw, dtype=np.float64),
        kvar=np.array(kvar, dtype=np.float64),
        fixed=tuple(is_fixed),
        exempt=tuple(is_exempt),
        connected=tuple(connected),
        zip_p=np.array(zip_p_rows, dtype=np.float64).reshape(len(names), 3),
        zip_q=np.array(zip_q_rows, dtype=np.float64).reshape(len(names), 3),
        shapes=tuple(shapes),
        multiplier=multiplier,
    )


def _zip_shares(loads: object) -> tuple[list[float], list[float]]:
    """Shares of constant impedance, current and power; exponents enter by their tangent at 1 pu."""
    model = int(loads.Model())  # type: ignore[attr-defined]
    power, impedance, current = [0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]
    if model == 2:
        return impedance, impedance
    if model == 3:
        return power, impedance
    if model == 4:
        watts = float(loads.CVRwatts())  # type: ignore[attr-defined]
        vars_ = float(loads.CVRvars())  # type: ignore[attr-defined]
        return [0.0, watts, 1.0 - watts], [0.0, vars_, 1.0 - vars_]
    if model == 5:
        return current, current
    if model == 8:
        shares = [float(x) for x in loads.ZipV()]  # type: ignore[attr-defined]
        return shares[0:3], shares[3:6]
    return power, power
