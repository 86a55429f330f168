"""A balanced feeder as a single-phase OpenDSS model."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

from cosim.networks.balanced import BalancedFeeder
from cosim.networks.tables import write_places

SOURCE_X_OHM = 5e-9
"""Reactance of the source. It lowers the head by x Q / V²: measured 6e-10 pu on ieee123_1ph, 5e-10 pu on
10 000 buses, where the engine still converges at a tolerance of 1e-10. What the source feeds in is read
from the voltage across it, so a smaller x costs digits: measured errors of the import are 4e-6 kW and
2e-3 kvar at 5e-9 ohm, 0.8 kvar at 1e-12 ohm. A resistance would move that error to the active power.
The engine's own ideal source (model=ideal) is off by 7e-6 pu."""

WIDE_WINDOW = "vminpu=0.5 vmaxpu=1.5"
"""Outside the default window a load or an inverter would turn into an impedance. Below 0.5 pu the
engine does so anyway (vlowpu)."""


def write_model(feeder: BalancedFeeder, folder: Path) -> Path:
    """Write ``master.dss``, ``lines.dss``, ``loads.dss``, ``devices.dss`` and ``buses.csv``.

    One phase, line to neutral; lines without capacitance, because the engine's default would move
    voltages by 1e-4 pu and more; constant-power loads. Elements are called ``line_<bus fed>``,
    ``load_<bus>``, ``pv_<bus>`` and ``bess_<bus>``. Devices idle until they get set-points. OpenDSS
    has no property for ``soc_max``; a comment in ``devices.dss`` carries it.

    Args:
        feeder: what to write.
        folder: is made if it does not exist.

    Returns:
        The path of the master file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        "master.dss": _master(feeder),
        "lines.dss": _lines(feeder),
        "loads.dss": _loads(feeder),
        "devices.dss": [*_pvs(feeder), *_storages(feeder)],
    }
    for name, lines in texts.items():
        text = "".join(f"{line}\n" for line in [f"! {feeder.title}", *lines])
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
    write_places(feeder, folder / "buses.csv")
    return folder / "master.dss"


def _master(feeder: BalancedFeeder) -> list[str]:
    return [
        "! Single-phase equivalent of a balanced feeder: one phase, line to neutral, a third of the power.",
        "! Written by cosim.networks.dss_text. Builds the circuit and leaves it unsolved.",
        "clear",
        "set defaultbasefrequency=60",
        (
            f"new circuit.{feeder.name} bus1={feeder.buses[0]}.1 phases=1 basekv={feeder.base_kv!r} "
            f"pu={feeder.source_pu!r} angle=0 z1=[0 {SOURCE_X_OHM!r}] z0=[0 {SOURCE_X_OHM!r}]"
        ),
        "redirect lines.dss",
        "redirect loads.dss",
        "redirect devices.dss",
        # The engine wants line-to-line bases, whatever the number of phases.
        f"set voltagebases=[{feeder.base_kv * math.sqrt(3)!r}]",
        "calcvoltagebases",
        "buscoords buses.csv",
        "set maxiterations=100 tolerance=1e-10",
    ]


def _lines(feeder: BalancedFeeder) -> Iterable[str]:
    branches, buses = feeder.branches, feeder.buses
    yield "! Series impedance in ohm of the whole branch, no capacitance; normamps=0 is an unknown rating."
    columns = (branches.from_bus, branches.r_ohm, branches.x_ohm, branches.normal_amps)
    rows = zip(*(column.tolist() for column in columns), buses[1:], strict=True)
    for start, r_ohm, x_ohm, amps, bus in rows:
        yield (
            f"new line.line_{bus} phases=1 bus1={buses[start]}.1 bus2={bus}.1 length=1 units=none "
            f"rmatrix=[{r_ohm!r}] xmatrix=[{x_ohm!r}] cmatrix=[0] normamps={amps!r} emergamps={amps!r}"
        )


def _loads(feeder: BalancedFeeder) -> Iterable[str]:
    loads = feeder.loads
    yield "! Peak demand as constant power."
    for at, kw, kvar in zip(loads.bus.tolist(), loads.kw.tolist(), loads.kvar.tolist(), strict=True):
        bus = feeder.buses[at]
        yield (
            f"new load.load_{bus} {_terminal(feeder, bus)} model=1 kw={kw!r} kvar={kvar!r} {WIDE_WINDOW}"
        )


def _pvs(feeder: BalancedFeeder) -> Iterable[str]:
    pvs = feeder.pvs
    yield "! Irradiance is 0 until somebody sets it."
    for at, kw, kva in zip(pvs.bus.tolist(), pvs.kw.tolist(), pvs.kva.tolist(), strict=True):
        bus = feeder.buses[at]
        yield (
            f"new pvsystem.pv_{bus} {_terminal(feeder, bus)} model=1 pmpp={kw!r} kva={kva!r} "
            f"irradiance=0 %pmpp=100 %cutin=0.01 %cutout=0.01 wattpriority=yes kvar=0 {WIDE_WINDOW}"
        )


def _storages(feeder: BalancedFeeder) -> Iterable[str]:
    storages = feeder.storages
    yield f"! soc_max={storages.soc_max!r}: the engine fills a battery to 100 %; planners must stop here."
    columns = (storages.bus, storages.kw, storages.kva, storages.kwh)
    for at, kw, kva, kwh in zip(*(column.tolist() for column in columns), strict=True):
        bus = feeder.buses[at]
        yield (
            f"new storage.bess_{bus} {_terminal(feeder, bus)} model=1 kwrated={kw!r} kva={kva!r} "
            # kwhrated refills the cell, so the stored energy comes after it.
            f"kwhrated={kwh!r} %reserve={_percent(storages.soc_min)} "
            f"%stored={_percent(storages.soc_start)} "
            f"%effcharge={_percent(storages.efficiency_charge)} "
            f"%effdischarge={_percent(storages.efficiency_discharge)} %idlingkw=0 "
            f"dispmode=external state=idling wattpriority=yes %cutin=0 %cutout=0 {WIDE_WINDOW}"
        )


def _terminal(feeder: BalancedFeeder, bus: str) -> str:
    return f"phases=1 bus1={bus}.1 kv={feeder.base_kv!r}"


def _percent(share: float) -> str:
    # 100 * 0.07 is 7.000000000000001.
    return repr(round(100.0 * share, 10))
