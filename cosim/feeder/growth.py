"""Growth of loads by the year of a master, folded into their nominal demand."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from cosim.feeder.devices import names_of
from cosim.feeder.engine import Engine

log = logging.getLogger(__name__)


def take_growth(engine: Engine) -> Mapping[str, float]:
    """Growth factor of every load; the engine applies none afterwards.

    The engine multiplies whatever demand is written by this factor, also that of a table in kW.

    Source: OpenDSS manual, options ``year`` and ``%growth`` and element GrowthShape; measured: from year 2
    on, each year multiplies by the rate of the year before.
    """
    year = int(float(engine.command("get year") or 0))
    if year <= 1:
        return {}
    common = 1.0 + float(engine.command("get %growth")) / 100.0
    factors: dict[str, float] = {}
    for name in names_of(engine, "load"):
        shape = engine.command(f"? load.{name}.growth").strip().lower()
        rates = _rates(engine, shape) if shape else {1: common}
        factors[name] = _factor(rates, year)
    engine.command("set year=0")
    largest = max(factors.values(), default=1.0)
    log.warning(
        "loads have grown to year %d: their nominal demand is up to %.4g times as large", year, largest
    )
    return factors


def _rates(engine: Engine, shape: str) -> dict[int, float]:
    """Yearly factor from each year on."""
    years, factors = (
        engine.command(f"? growthshape.{shape}.{axis}").strip("[] ").replace(",", " ").split()
        for axis in ("year", "mult")
    )
    return {int(float(year)): float(factor) for year, factor in zip(years, factors, strict=True)}


def _factor(rates: Mapping[int, float], year: int) -> float:
    total = 1.0
    for before in range(1, year):
        known = [begins for begins in rates if begins <= before]
        total *= rates[max(known)] if known else 1.0
    return total
