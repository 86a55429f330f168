"""distopf on a case: one multi-period program of its own LinDistFlow, timed and held against OpenDSS.

Its costs cannot be compared with the other planners': its batteries have no end condition and no charge
for throughput, its voltage limits are hard, and its model has neither the source's impedance nor losses in
the import. Time and the error of its prediction can.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from benchmarks.opf.cases import CaseError
from benchmarks.opf.judged import judged
from benchmarks.opf.nlp_network import FORECAST, idle_switching
from benchmarks.opf.planned import PlannedDay, Switching, as_long_as_plan, certificate, plan_from
from cosim.devices.pv import PvRating
from cosim.devices.storage import StorageRating
from cosim.experiments.memory import peak_mb
from cosim.model.arrays import FloatArray
from cosim.model.forecast import Forecast
from cosim.model.site import Site
from cosim.model.state import Measurement
from cosim.opf.devices.model import DeviceModel
from cosim.opf.expected import Expected
from cosim.run.assembly import Assembly
from cosim.run.planner_options import planner_options
from cosim.run.policy import make_forecaster
from cosim.run.study import Study

if TYPE_CHECKING:
    from benchmarks.opf.cases import Case
    from benchmarks.opf.row_spec import RowSpec

KVA_BASE = 1e3
PHASES = "abc"
WIDE_LIMITS = (0.90, 1.10)
NOTES = "costs cannot be compared: no end condition, hard limits, lossless import"


@dataclass(frozen=True)
class Inputs:
    """What distopf gets.

    Attributes:
        study, site, measurement, forecast: of the case.
        switching: regulators where idle devices leave them; distopf holds those of the first period.
        master: the feeder at those taps.
    """

    study: Study
    site: Site
    measurement: Measurement
    forecast: Forecast
    switching: Switching
    master: Path


@dataclass(frozen=True)
class Attempt:
    """One way of asking distopf.

    Attributes:
        name: what it is.
        regulators: whether the regulator's missing period index is put right.
        batteries: whether the limits of batteries with unlike phases are put right.
        limits: of voltages, pu.
    """

    name: str
    regulators: bool
    batteries: bool
    limits: tuple[float, float]


ATTEMPTS = (
    Attempt("as shipped", regulators=False, batteries=False, limits=(0.95, 1.05)),
    Attempt("battery limits put right", regulators=False, batteries=True, limits=(0.95, 1.05)),
    Attempt("regulators put right too", regulators=True, batteries=True, limits=(0.95, 1.05)),
    Attempt("and wide voltage limits", regulators=True, batteries=True, limits=WIDE_LIMITS),
)


def measure_distopf(_spec: RowSpec, case: Case) -> dict[str, object]:
    """Convert, build and solve; the first attempt that gives an answer counts.

    Raises:
        CaseError: none does; the errors are in the message.
    """
    inputs = _inputs(case.study)
    began = time.process_time()
    converted = _convert(inputs)
    convert_s = time.process_time() - began
    refusals: list[str] = []
    for attempt in ATTEMPTS:
        began = time.process_time()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model, build_s, x = _solve(inputs, converted, attempt)
        # It raises whatever numpy, pandas and cvxpy raise.
        except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            refusals.append(f"{attempt.name}: {type(error).__name__}: {str(error).splitlines()[0][:200]}")
            continue
        total_s = time.process_time() - began
        return {
            "setup_cpu_s": convert_s + build_s,
            "convert_cpu_s": convert_s,
            "cold_cpu_s": total_s - build_s,
            "peak_mb": peak_mb(),
            "attempt": attempt.name,
            "notes": f"{NOTES}; answered: {attempt.name}; refused: {'; '.join(refusals) or 'nothing'}",
            **judged(_planned(inputs, model, x, total_s)),
        }
    raise CaseError("distopf gives no answer: " + " | ".join(refusals))


def _inputs(study: Study) -> Inputs:
    study = as_long_as_plan(study)
    switching = idle_switching(study)
    with Assembly(study, FORECAST) as assembly:
        feeder = assembly.feeder
        measurement = feeder.measure(0)
        forecast = make_forecaster(study, assembly.knowledge).forecast(measurement, study.horizon)
        windings, site = feeder.regulated_windings, feeder.site
    lines = [f'redirect "{study.master}"', "set controlmode=off"]
    for name, tap in zip(site.regulators, measurement.tap, strict=True):
        lines.append(f"edit transformer.{name} wdg={windings[name]} tap={float(tap)!r}")
    master = study.path.parent / "for_distopf.dss"
    master.write_text("\n".join([*lines, "solve"]) + "\n", encoding="utf-8")
    return Inputs(study, site, measurement, forecast, switching, master)


def _convert(inputs: Inputs) -> Any:
    """The feeder in distopf's tables.

    Raises:
        CaseError: distopf is not installed or cannot read it.
    """
    try:
        import distopf
    except ImportError as error:
        raise CaseError("distopf is not installed; pip install distopf==1.0.2") from error
    hours = float(inputs.forecast.horizon.hours[0])
    periods = len(inputs.forecast.horizon)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return distopf.create_case(inputs.master, n_steps=periods, delta_t=hours)
    except (ValueError, KeyError, IndexError) as error:
        said = " ".join(str(error).replace(str(inputs.master), "the feeder").split())
        raise CaseError(f"distopf cannot read the feeder: {said}") from error


def _solve(inputs: Inputs, case: Any, attempt: Attempt) -> tuple[Any, float, FloatArray]:
    """The model, CPU seconds to build it, and its answer.

    Raises:
        ValueError: infeasible.
    """
    from distopf.matrix_models.matrix_bess import LinDistMP, cvxpy_solve

    bus = case.bus_data.copy()
    bus["v_min"], bus["v_max"] = attempt.limits
    place = {str(name).lower(): int(number) for name, number in zip(bus.name, bus.id, strict=True)}
    began = time.process_time()
    model = _put_right(LinDistMP, attempt)(
        branch_data=case.branch_data,
        bus_data=bus,
        gen_data=_generators(inputs, place),
        cap_data=case.cap_data,
        reg_data=case.reg_data,
        bat_data=_batteries(inputs, place),
        schedules=_schedules(inputs),
        n_steps=case.n_steps,
        delta_t=case.delta_t,
    )
    build_s = time.process_time() - began
    price = inputs.forecast.price_per_kwh * inputs.forecast.horizon.hours
    answer = cvxpy_solve(model, _import_cost(price))
    if not answer.success:
        raise ValueError(f"the program is {answer.message}")
    return model, build_s, np.asarray(answer.x)


def _put_right(model: Any, attempt: Attempt) -> Any:
    """The model of 1.0.2 with what an attempt puts right in it."""

    class PutRight(model):  # type: ignore[misc]
        """See the enclosing function."""

        idx: Any

        def add_regulator_model(self, a_eq: Any, b_eq: Any, j: int, a: str, t: int = 0) -> Any:
            """The index of a regulator's inner voltage gets its period."""
            if not attempt.regulators:
                return super().add_regulator_model(a_eq, b_eq, j, a, t=t)
            own, period = self.idx, t
            self.idx = lambda var, node, phase, t=period: own(var, node, phase, t=t)
            try:
                return super().add_regulator_model(a_eq, b_eq, j, a, t=t)
            finally:
                del self.idx

        def add_battery_discharging_limits(self, lower: Any, upper: Any, t: int = 0) -> Any:
            """Power per phase of each battery, not of all."""
            if not attempt.batteries:
                return super().add_battery_discharging_limits(lower, upper, t=t)
            return self._limit(lower, upper, self.discharge_map[t])

        def add_battery_charging_limits(self, lower: Any, upper: Any, t: int = 0) -> Any:
            """Power per phase of each battery, not of all."""
            if not attempt.batteries:
                return super().add_battery_charging_limits(lower, upper, t=t)
            return self._limit(lower, upper, self.charge_map[t])

        def _limit(self, lower: Any, upper: Any, places: Any) -> Any:
            per_phase = self.bat.s_max / self.bat.phases.str.len()
            for a in PHASES:
                if self.phase_exists(a):
                    lower[places[a]] = 0.0
                    upper[places[a]] = per_phase.loc[places[a].index]
            return lower, upper

    return PutRight


def _import_cost(price: FloatArray) -> Callable[..., Any]:
    """Price times the power out of the swing bus, in thousands."""

    def cost(model: Any, x: Any, **_options: object) -> Any:
        head = [
            (int(i), float(price[t]))
            for t in range(len(price))
            for phase in PHASES
            for i in model.idx("pjk", model.swing_bus, phase, t=t)
        ]
        return np.array([value for _, value in head]) @ x[[i for i, _ in head]]

    return cost


def _letters(phases: tuple[int, ...]) -> str:
    return "".join(PHASES[phase - 1] for phase in phases)


def _generators(inputs: Inputs, place: dict[str, int]) -> pd.DataFrame:
    """PV systems; power split equally over the phases they touch."""
    from distopf.utils.input_handlers import handle_gen_input

    rows = []
    for pv in inputs.site.of_type(PvRating):
        letters, row = _letters(pv.phases), {"id": place[pv.bus], "name": pv.name, "s_base": 1e6}
        for phase in PHASES:
            share = (phase in letters) / len(letters)
            row |= {f"p_{phase}": share * pv.kw / KVA_BASE, f"q_{phase}": 0.0}
            row |= {f"s_{phase}_max": share * pv.kva / KVA_BASE}
            row |= {
                f"q_{phase}_max": share * pv.kva / KVA_BASE,
                f"q_{phase}_min": -share * pv.kva / KVA_BASE,
            }
        rows.append({**row, "phases": letters, "control_variable": "PQ", "gen_shape": "PV"})
    table: pd.DataFrame = handle_gen_input(pd.DataFrame(rows))
    return table


def _batteries(inputs: Inputs, place: dict[str, int]) -> pd.DataFrame:
    from distopf.utils.input_handlers import handle_bat_input

    rows = [
        {
            "id": place[battery.bus],
            "name": battery.name,
            "s_max": battery.kw / KVA_BASE,
            "phases": _letters(battery.phases),
            "energy_capacity": battery.kwh / KVA_BASE,
            "min_soc": battery.min_kwh / battery.kwh,
            "max_soc": battery.max_kwh / battery.kwh,
            "start_soc": battery.initial_kwh / battery.kwh,
            "charge_efficiency": battery.efficiency_charge,
            "discharge_efficiency": battery.efficiency_discharge,
            "annual_cycle_limit": 3650.0,
            "control_variable": "PQ",
        }
        for battery in inputs.site.of_type(StorageRating)
    ]
    table: pd.DataFrame = handle_bat_input(pd.DataFrame(rows))
    return table


def _schedules(inputs: Inputs) -> pd.DataFrame:
    """Load multiplier and sun of each period."""
    series = pd.read_csv(inputs.study.path.parent / "series.csv")[: len(inputs.forecast.horizon)]
    columns = {"default": series["load_pu"], "PV": series["irradiance_kw_per_m2"]}
    return pd.DataFrame({"time": np.arange(len(series)), **columns})


def _planned(inputs: Inputs, model: Any, x: FloatArray, seconds: float) -> PlannedDay:
    """Its set-points and its prediction."""
    site, forecast = inputs.site, inputs.forecast
    periods = len(forecast.horizon)
    pv = _table(model.get_p_gens(x), site.of_type(PvRating), periods) + 1j * _table(
        model.get_q_gens(x), site.of_type(PvRating), periods
    )
    p, q = model.get_p_batt(x), model.get_q_batt(x)
    storage = _table(p, site.of_type(StorageRating), periods) + 1j * _table(
        q, site.of_type(StorageRating), periods
    )
    head = model.get_p_flows(x)
    swing = model.swing_bus + 1
    imported = np.array([_head_kw(head[head.t == t], swing) for t in range(periods)])
    voltage = _voltages(model.get_voltages(x), site, periods)
    expected = Expected(imported.astype(np.complex128), np.zeros(periods), voltage)
    options = planner_options(inputs.study.scenario)
    devices = DeviceModel(site.devices, forecast.horizon, options)
    stored = devices.roll_out(inputs.measurement.stored_kwh, storage.real, 0.0)
    proof = certificate("distopf", float("nan"), 0.0, 0, seconds)
    limit = np.clip(pv.real, 0.0, np.array([item.kw for item in site.of_type(PvRating)]))
    plan = plan_from(forecast.horizon, 0.0, stored, storage, pv, limit, expected, proof)
    held = Switching(
        np.repeat(inputs.measurement.tap[None, :], periods, axis=0),
        np.repeat(inputs.measurement.capacitor_closed[None, :], periods, axis=0),
    )
    return PlannedDay(inputs.study, plan, expected, held, forecast.price_per_kwh)


def _table(frame: pd.DataFrame, devices: tuple[Any, ...], periods: int) -> FloatArray:
    """KW or kvar of devices, summed over phases, shape (period, device); 0 where distopf has none."""
    values = np.zeros((periods, len(devices)))
    totals = frame[list(PHASES)].fillna(0.0).sum(axis=1) * KVA_BASE
    by_bus = {
        (str(name).lower(), int(t)): total
        for name, t, total in zip(frame.name, frame.t, totals, strict=True)
    }
    for i, device in enumerate(devices):
        values[:, i] = [
            by_bus.get((device.bus, t), by_bus.get((device.name, t), 0.0)) for t in range(periods)
        ]
    return values


def _head_kw(flows: pd.DataFrame, swing: int) -> float:
    own = flows[flows.fb == swing]
    return float(own[list(PHASES)].fillna(0.0).to_numpy().sum()) * KVA_BASE


def _voltages(frame: pd.DataFrame, site: Site, periods: int) -> FloatArray:
    """Its voltages at the site's nodes, shape (node, period); not a number where it has none."""
    known = {
        (str(row.name_).lower(), int(str(row.t))): (row.a, row.b, row.c)
        for row in frame.rename(columns={"name": "name_"}).itertuples()
    }
    voltage = np.full((len(site.nodes), periods), np.nan)
    for i, node in enumerate(site.nodes):
        bus, _, phase = node.rpartition(".")
        if phase in {"1", "2", "3"}:
            for t in range(periods):
                if (bus, t) in known:
                    voltage[i, t] = known[bus, t][int(phase) - 1]
    return voltage
