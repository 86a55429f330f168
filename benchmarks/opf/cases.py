"""The cases: one day, devices at random load buses, the same for every planner.

A case is an ordinary scenario, written into a folder of its own together with its series, so that
everything that runs it is the project's own code.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import yaml

from cosim.devices.kind import Placement
from cosim.devices.pv import SitePv
from cosim.errors import CosimError
from cosim.feeder.compiled import FeederModel
from cosim.model.arrays import FloatArray
from cosim.run.shipped import find_master, shipped_feeders
from cosim.run.siting import load_sites
from cosim.run.study import Study, open_study

DAY_S = 86_400
START = "2024-06-21T00:00:00-07:00"
TYPES = (("pv", "storage"), ("pv",), ("storage",), ("pv", "storage"))
"""Devices of a site, in turn."""

LOAD_SHAPE = (
    *(0.20, 0.12, 0.06, 0.02, 0.00, 0.05, 0.18, 0.35, 0.45, 0.50, 0.55, 0.60),
    *(0.63, 0.66, 0.70, 0.76, 0.84, 0.93, 1.00, 0.98, 0.88, 0.70, 0.50, 0.33),
)
"""From the lowest (0) to the highest load (1) of the day, at the middle of each hour."""
LOWEST_LOAD = 0.4
NIGHT, SHOULDER, PEAK = 0.10, 0.16, 0.32
PEAK_HOURS, SHOULDER_HOURS = (16, 21), (7, 22)
NOON_H, SUN_WIDTH_H = 12.75, 3.0

SMALL, LARGE = 100, 2000
"""Nodes up to which a feeder is small, and from which it is large."""
STORAGE_TIMES_LOAD, STORAGE_HOURS, KVA_PER_KW = 1.5, 4.0, 1.2


class CaseError(CosimError):
    """A case that cannot be built."""


@dataclass(frozen=True)
class CaseSpec:
    """What a case is made of; None takes what suits the feeder's size.

    Attributes:
        feeder: name of a shipped feeder, or path of an OpenDSS master.
        der: number of sites with devices.
        periods: of every plan, over 24 hours.
        steps: control steps after the first plan.
        seed: of the sites.
        load_high: highest load multiplier of the day.
        pv_times_load: kW of panels per kW of load at a site.
        vreg: set voltage of all regulators; 0 leaves them as they are.
        voltage_min_pu, voltage_max_pu: limits.
    """

    feeder: str
    der: int
    periods: int = 24
    steps: int = 24
    seed: int = 0
    load_high: float | None = None
    pv_times_load: float | None = None
    vreg: float | None = None
    voltage_min_pu: float = 0.95
    voltage_max_pu: float = 1.05


@dataclass(frozen=True)
class Case:
    """A case ready to run.

    Attributes:
        study: the control study: as many steps as are planned after the first.
        nodes: of the feeder.
        batteries, pvs: how many.
        load_kw: nominal load of the feeder.
        battery_kw, pv_kw: their sums.
    """

    study: Study
    nodes: int
    batteries: int
    pvs: int
    load_kw: float
    battery_kw: float
    pv_kw: float


def build_case(spec: CaseSpec, folder: Path, *, planner: str, solver: str) -> Case:
    """Write a case into a folder and open it.

    Args:
        spec: the case.
        folder: empty; the case is usable as long as it exists.
        planner, solver: of the scenario's control.

    Raises:
        CaseError: the numbers do not fit together or the feeder has too few load buses.
    """
    if spec.der < 1 or spec.periods < 1 or DAY_S % spec.periods:
        raise CaseError(
            f"{spec.der} DER and {spec.periods} periods: give at least one DER and a number of periods "
            f"that divides a day, e.g. 24, 48 or 96"
        )
    master = find_master(Path(spec.feeder))
    if not master.is_file():
        raise CaseError(f"{spec.feeder} is no file and no shipped feeder ({', '.join(shipped_feeders())})")
    model = FeederModel(master)
    nodes, load_kw = len(model.nodes), float(model.loads.kw.sum())
    regulated = bool(model.engine.dss.RegControls.Count())
    devices = _devices(spec, model, nodes)
    model.close()
    feeder: dict[str, object] = {"master": str(master.resolve())}
    vreg = (122.0 if nodes >= LARGE else 0.0) if spec.vreg is None else spec.vreg
    if vreg and regulated:
        feeder["regulator_vreg"] = vreg
    _write_series(spec, nodes, folder / "series.csv")
    scenario = {**_scenario(spec, planner, solver), "feeder": feeder, **devices}
    path = folder / "case.yaml"
    path.write_text(yaml.safe_dump(scenario, sort_keys=False), encoding="utf-8")
    study = open_study(path)
    batteries, pvs = study.scenario.storages, study.scenario.pvs
    battery_kw, pv_kw = sum(b.kw for b in batteries), sum(p.kw for p in pvs)
    return Case(study, nodes, len(batteries), len(pvs), load_kw, battery_kw, pv_kw)


def _scenario(spec: CaseSpec, planner: str, solver: str) -> dict[str, object]:
    """Everything but feeder and devices."""
    source = {"file": "series.csv"}
    return {
        "schema": 1,
        "name": "opf-benchmark",
        "time": {"start": START, "step_s": DAY_S // spec.periods, "steps": spec.steps + 1},
        "inputs": {
            "load": {"multiplier": {**source, "column": "load_pu"}},
            "irradiance": {**source, "column": "irradiance_kw_per_m2"},
            "price": {**source, "column": "price_per_kwh"},
        },
        "limits": {
            "voltage_min_pu": spec.voltage_min_pu,
            "voltage_max_pu": spec.voltage_max_pu,
            "voltage_penalty_per_pu_h": 2e4,
        },
        "control": {
            "horizon_s": DAY_S,
            "planner": {"type": planner, "solver": solver, "terminal": {"type": "hard"}},
        },
        "baseline": False,
    }


def _devices(spec: CaseSpec, model: FeederModel, nodes: int) -> dict[str, list[dict[str, object]]]:
    """The ``storages`` and ``pvs`` of the scenario: connected like the largest load of their bus."""
    times = spec.pv_times_load or (2.0 if nodes <= SMALL else 3.0 if nodes >= LARGE else 5.0)
    rule = SitePv(
        kind="pv", share_of_load_buses=1.0, times_local_load=1.0, at_most=spec.der, seed=spec.seed
    )
    sites = load_sites(model, rule)
    if len(sites) < spec.der:
        raise CaseError(f"{spec.feeder} has {len(sites)} load buses for {spec.der} DER; ask for fewer")
    storages: list[dict[str, object]] = []
    pvs: list[dict[str, object]] = []
    for number, place in enumerate(sites):
        kinds = TYPES[number % len(TYPES)]
        if "storage" in kinds:
            kw = round(STORAGE_TIMES_LOAD * place.local_kw, 6)
            item = {"kw": kw, "kva": KVA_PER_KW * kw, "kwh": STORAGE_HOURS * kw, "soc_min": 0.3}
            storages.append({**_connection("bess", place), **item})
        if "pv" in kinds:
            kw = round(times * place.local_kw, 6)
            pvs.append({**_connection("pv", place), "kw": kw, "kva": KVA_PER_KW * kw})
    return {"storages": storages, "pvs": pvs}


def _connection(kind: str, place: Placement) -> dict[str, object]:
    bus = ".".join([place.bus, *(str(phase) for phase in place.phases)])
    name = f"{kind}_{place.bus}".replace(".", "_")
    return {"name": name, "bus": bus, "delta": place.delta}


def _write_series(spec: CaseSpec, nodes: int, path: Path) -> None:
    """One day again and again, long enough for the last horizon of run and evaluation."""
    high = spec.load_high or (0.8 if nodes >= LARGE or nodes <= SMALL else 1.0)
    step_s = DAY_S // spec.periods
    rows = max(spec.steps + 1, spec.periods) + spec.periods
    hour: FloatArray = np.asarray(((np.arange(rows) + 0.5) * step_s / 3600.0) % 24.0, dtype=np.float64)
    columns = (load_multiplier(hour, high), irradiance(hour), price(hour))
    start = datetime.fromisoformat(START)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["time", "load_pu", "irradiance_kw_per_m2", "price_per_kwh"])
        for row, values in enumerate(zip(*columns, strict=True)):
            writer.writerow([(start + timedelta(seconds=row * step_s)).isoformat(), *values])


def load_multiplier(hour: FloatArray, high: float) -> FloatArray:
    """Load by the hour of the day, between the lowest and ``high``."""
    middles = np.arange(-1, 25) + 0.5
    shape = np.interp(hour, middles, np.concatenate([LOAD_SHAPE[-1:], LOAD_SHAPE, LOAD_SHAPE[:1]]))
    return np.asarray(LOWEST_LOAD + (high - LOWEST_LOAD) * shape)


def irradiance(hour: FloatArray) -> FloatArray:
    """Sun by the hour of the day in kW/m²: a bell without its tails."""
    bell = np.exp(-(((hour - NOON_H) / SUN_WIDTH_H) ** 2))
    return np.where(bell > 0.01, bell, 0.0)


def price(hour: FloatArray) -> FloatArray:
    """Time-of-use price by the hour of the day."""
    peak = (hour >= PEAK_HOURS[0]) & (hour < PEAK_HOURS[1])
    shoulder = (hour >= SHOULDER_HOURS[0]) & (hour < SHOULDER_HOURS[1])
    return np.where(peak, PEAK, np.where(shoulder, SHOULDER, NIGHT))
