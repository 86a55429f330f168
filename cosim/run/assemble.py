"""The composition root: from a scenario to a plant and a controller."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from cosim import plugins
from cosim.control.idle import IdleController
from cosim.control.receding_horizon import RecedingHorizonController, Rhythm
from cosim.errors import CosimError, ScenarioError, SeriesError
from cosim.feeder.plant import Feeder, FeederModel
from cosim.feeder.shapes import daily_shapes
from cosim.model.arrays import FloatArray, IntArray
from cosim.model.exogenous import Exogenous
from cosim.model.roles import Controller, Forecaster, Planner
from cosim.model.site import Site
from cosim.model.timegrid import Horizon, TimeGrid
from cosim.opf.devices.storage import Terminal
from cosim.opf.lindistflow_planner import PlannerOptions
from cosim.opf.problem import check_solver
from cosim.opf.terms import Limits, Objective
from cosim.run.feedback import Feedback
from cosim.run.loop import PlantRole
from cosim.run.scenario import ColumnConfig, ControlConfig, PlannerConfig, Scenario, line_of, load_scenario
from cosim.run.series import column_at_steps, read_table
from cosim.run.shipped import shipped, shipped_feeders
from cosim.run.siting import Devices, devices_of

Problems = list[str]


@dataclass(frozen=True)
class Study:
    """A scenario with the file it came from.

    Attributes:
        path: the scenario file.
        scenario: its content.
        master: the OpenDSS master file.
        port: of the HELICS broker; None lets the launcher find a free one.
    """

    path: Path
    scenario: Scenario
    master: Path
    port: int | None = None

    @property
    def grid(self) -> TimeGrid:
        """The steps of the run."""
        time = self.scenario.time
        return TimeGrid(time.start, time.step_s, time.steps)

    @property
    def horizon(self) -> Horizon:
        """The periods of each plan."""
        return Horizon(self.scenario.period_s())

    @property
    def feedback(self) -> Feedback:
        """When decisions act."""
        return Feedback(self.scenario.delay_s(), self.scenario.setpoint_ttl_s)


def open_study(
    path: Path, *, steps: int | None = None, master: Path | None = None, idle: bool = False
) -> Study:
    """Read a scenario and find its feeder.

    Args:
        path: scenario file.
        steps: shortens or lengthens the run.
        master: replaces the scenario's feeder.
        idle: replaces the controller by none, for the baseline.

    Raises:
        ScenarioError: the file is wrong or the feeder does not exist.
    """
    scenario = load_scenario(path)
    if steps is not None:
        time = scenario.time.model_copy(update={"steps": steps})
        scenario = scenario.model_copy(update={"time": time})
    if idle:
        scenario = scenario.model_copy(update={"control": ControlConfig(type="idle")})
    return Study(path, scenario, _find_master(path, scenario) if master is None else _given(master))


def _given(master: Path) -> Path:
    if not master.is_file():
        raise ScenarioError("--master", [f"{master} does not exist"])
    return master.resolve()


def _find_master(path: Path, scenario: Scenario) -> Path:
    feeder = scenario.feeder
    if feeder.model is not None:
        master = shipped("dss_models") / feeder.model / "master.dss"
        hint = f"no shipped feeder is called {feeder.model!r}; there are {', '.join(shipped_feeders())}"
        key: tuple[str, ...] = ("feeder", "model")
    else:
        master = (path.parent / str(feeder.master)).resolve()
        hint = f"{master} does not exist; the path is relative to the scenario file"
        key = ("feeder", "master")
    if not master.is_file():
        raise ScenarioError(str(path), [f"{line_of(path, key)}{'.'.join(key)}: {hint}"])
    return master


def build_plant(study: Study) -> PlantRole:
    """Compile the feeder, add the devices, read the series: the plant, ready for step 0.

    Raises:
        ScenarioError: everything that does not fit together.
    """
    model = compile_feeder(study)
    try:
        problems: Problems = []
        devices = _devices(study, model, problems)
        exogenous = build_exogenous(study, model, problems)
        if problems:
            raise ScenarioError(str(study.path), problems)
        if exogenous is None:
            raise ScenarioError(str(study.path), ["inputs: no series"])
        feeder = Feeder(
            model,
            storages=devices.storages,
            pvs=devices.pvs,
            exogenous=exogenous,
            grid=study.grid,
        )
    except CosimError:
        model.close()
        raise
    return PlantRole(feeder, study.feedback)


def compile_feeder(study: Study) -> FeederModel:
    """Compile the master file with the scenario's overrides."""
    feeder = study.scenario.feeder
    return FeederModel(study.master, tolerance=feeder.tolerance, vreg=feeder.regulator_vreg)


def check_study(study: Study) -> tuple[Problems, Site | None]:
    """Everything that is wrong with a scenario, and the site if nothing is."""
    problems: Problems = []
    try:
        model = compile_feeder(study)
    except CosimError as error:
        return [f"{line_of(study.path, ('feeder',))}feeder: {error}"], None
    with_model = _devices(study, model, problems)
    exogenous = build_exogenous(study, model, problems)
    problems += _check_control(study)
    if problems or exogenous is None:
        model.close()
        return problems, None
    try:
        feeder = Feeder(
            model,
            storages=with_model.storages,
            pvs=with_model.pvs,
            exogenous=exogenous,
            grid=study.grid,
        )
        with feeder:
            if study.scenario.control.type == "receding_horizon":
                make_controller(study, feeder.site)
            return [], feeder.site
    except CosimError as error:
        return [f"control or feeder: {error}"], None


def _devices(study: Study, model: FeederModel, problems: Problems) -> Devices:
    devices = devices_of(study.scenario, model)
    for place, sentence in devices.problems:
        dotted = ".".join(str(part) for part in place)
        problems.append(f"{line_of(study.path, place)}{dotted}: {sentence}")
    return devices


def _check_control(study: Study) -> Problems:
    problems: Problems = []
    control = study.scenario.control
    checks: list[tuple[tuple[str, ...], Callable[[], object]]] = []
    if control.type == "receding_horizon":
        checks = [
            (("control", "forecast"), lambda: plugins.load("cosim.forecasters", control.forecast)),
            (("control", "planner", "type"), lambda: plugins.load("cosim.planners", control.planner.type)),
            (("control", "planner", "solver"), lambda: check_solver(control.planner.solver)),
        ]
    elif control.type != "idle":
        checks = [(("control", "type"), lambda: _controller_class(control.type))]
    for place, check in checks:
        try:
            check()
        except CosimError as error:
            problems.append(f"{line_of(study.path, place)}{'.'.join(place)}: {error}")
    return problems


# --- inputs ---------------------------------------------------------------------------------------


def build_exogenous(study: Study, model: FeederModel, problems: Problems) -> Exogenous | None:
    """The series of a scenario at its steps; what is wrong with them is added to ``problems``.

    A perfect forecast looks beyond the last step, so the series must cover the last horizon too.
    """
    steps = study.grid.steps + look_ahead_steps(study)
    inputs = study.scenario.inputs
    irradiance = _column(study, ("inputs", "irradiance"), inputs.irradiance, steps, problems)
    price = _column(study, ("inputs", "price"), inputs.price, steps, problems)
    load = _load(study, model, steps, problems)
    if irradiance is not None and (irradiance < 0).any():
        problems.append(f"inputs.irradiance: {irradiance.min():g} kW/m² is negative")
    if load is None or irradiance is None or price is None or problems:
        return None
    kw, kvar, profile, profile_of = load
    return Exogenous(study.grid.step_s, kw, kvar, profile, profile_of, irradiance, price)


def look_ahead_steps(study: Study) -> int:
    """Steps beyond the last one that a forecast may ask for."""
    control = study.scenario.control
    if control.type == "receding_horizon" and control.forecast == "perfect":
        return max(study.horizon.length_s // study.grid.step_s - 1, 0)
    return 0


def _column(
    study: Study,
    place: tuple[str, ...],
    config: ColumnConfig,
    steps: int,
    problems: Problems,
) -> FloatArray | None:
    if config.constant is not None:
        return np.full(steps, config.constant * config.scale)
    try:
        path = (study.path.parent / str(config.file)).resolve()
        values = column_at_steps(
            read_table(path),
            str(config.column),
            source=path.name,
            start=study.grid.start,
            step_s=study.grid.step_s,
            steps=steps,
            resample=study.scenario.inputs.resample,
        )
        return config.scale * values
    except SeriesError as error:
        problems.append(f"{line_of(study.path, place)}{'.'.join(place)}: {error}")
        return None


def _load(
    study: Study, model: FeederModel, steps: int, problems: Problems
) -> tuple[FloatArray, FloatArray, FloatArray, IntArray] | None:
    """Nominal kW and kvar, profiles and which load follows which."""
    config, loads = study.scenario.inputs.load, model.loads
    place = ("inputs", "load")
    if config.multiplier is not None:
        values = _column(study, (*place, "multiplier"), config.multiplier, steps, problems)
        if values is None:
            return None
        profile = np.column_stack([values, np.ones(steps)])
        profile_of = np.array([1 if fixed else 0 for fixed in loads.fixed], dtype=np.int64)
        return loads.kw, loads.kvar, profile, profile_of
    try:
        if config.feeder_shapes:
            profile, profile_of = daily_shapes(model.engine, loads, study.grid, steps)
            return loads.kw, loads.kvar, profile, profile_of
        return _table_load(study, model, steps)
    except SeriesError as error:
        problems.append(f"{line_of(study.path, place)}inputs.load: {error}")
        return None


def _table_load(
    study: Study, model: FeederModel, steps: int
) -> tuple[FloatArray, FloatArray, FloatArray, IntArray]:
    loads = model.loads
    path = (study.path.parent / str(study.scenario.inputs.load.table_kw)).resolve()
    table = read_table(path)
    table.columns = [str(column).lower() for column in table.columns]
    unknown = [column for column in table.columns if column not in loads.names]
    missing = [name for name in loads.names if name not in table.columns]
    if unknown or missing:
        parts = [f"no load is called {', '.join(unknown[:3])}"] if unknown else []
        parts += [f"{len(missing)} loads have no column, e.g. {missing[0]}"] if missing else []
        raise SeriesError(f"{path.name}: {'; '.join(parts)}")
    columns = [
        column_at_steps(
            table,
            name,
            source=path.name,
            start=study.grid.start,
            step_s=study.grid.step_s,
            steps=steps,
            resample=study.scenario.inputs.resample,
        )
        for name in loads.names
    ]
    # kW per load, reactive power at the load's nominal power factor.
    factor = np.divide(loads.kvar, loads.kw, out=np.zeros_like(loads.kw), where=loads.kw != 0)
    return (
        np.ones(len(columns)),
        factor,
        np.column_stack(columns),
        np.arange(len(columns), dtype=np.int64),
    )


# --- controllers ----------------------------------------------------------------------------------


def make_controller(study: Study, site: Site) -> Controller:
    """The controller of a scenario for a site.

    Raises:
        ScenarioError, CosimError: unknown names, a missing solver, a feeder the planner cannot use.
    """
    control = study.scenario.control
    if control.type == "idle":
        return IdleController()
    if control.type != "receding_horizon":
        return cast("Controller", _controller_class(control.type)())
    planner_class = plugins.load("cosim.planners", control.planner.type)
    planner: Planner = planner_class(site, study.horizon, planner_options(study.scenario))
    rhythm = Rhythm(
        horizon=study.horizon,
        interval_s=control.interval_s or study.grid.step_s,
        acts_after_s=study.feedback.steps(study.grid) * study.grid.step_s,
    )
    return RecedingHorizonController(_forecaster(study, site), planner, rhythm)


def _controller_class(name: str) -> type:
    module, _, attribute = name.partition(":")
    if not attribute:
        raise ScenarioError("control.type", [f"{name!r}: use receding_horizon, idle or module:Class"])
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ScenarioError("control.type", [f"{name!r} cannot be imported: {error}"]) from error
    return cast("type", found)


def _forecaster(study: Study, site: Site) -> Forecaster:
    name = study.scenario.control.forecast
    forecaster_class = plugins.load("cosim.forecasters", name)
    if name == "perfect":
        # The perfect forecast is the only one that may read the future.
        model = compile_feeder(study)
        problems: Problems = []
        exogenous = build_exogenous(study, model, problems)
        model.close()
        if exogenous is None:
            raise ScenarioError(str(study.path), problems)
        return cast("Forecaster", forecaster_class(site, exogenous))
    return cast("Forecaster", forecaster_class(site))


def planner_options(scenario: Scenario) -> PlannerOptions:
    """Options of the planner, from configuration to plain values."""
    config: PlannerConfig = scenario.control.planner
    terminal = config.terminal
    return PlannerOptions(
        objective=Objective(**config.objective.model_dump()),
        limits=Limits(**scenario.limits.model_dump()),
        terminal=Terminal(terminal.type, terminal.soc, terminal.per_kwh),
        capability=config.inverter,
        storage_reactive=config.storage_reactive,
        pv_reactive=config.pv_reactive,
        pv_curtail=config.pv_curtail,
        throughput_cost_per_kwh=config.throughput_cost_per_kwh,
        curtailment_cost_per_kwh=config.curtailment_cost_per_kwh,
        reactive_cost_per_kvarh=config.reactive_cost_per_kvarh,
        solver=config.solver,
    )
