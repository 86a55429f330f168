"""From a scenario's input files to the series of a run."""

from __future__ import annotations

import numpy as np

from cosim.errors import SeriesError
from cosim.feeder.compiled import FeederModel
from cosim.feeder.shapes import daily_shapes
from cosim.model.arrays import FloatArray, IntArray
from cosim.model.exogenous import Exogenous
from cosim.run.scenario import ColumnConfig
from cosim.run.scenario_file import line_of
from cosim.run.series import column_at_steps, read_table
from cosim.run.study import Study

Problems = list[str]

SOURCE_RANGE_PU = (0.7, 1.3)
"""Outside these a source voltage is a mistake in the data."""


def compile_feeder(study: Study) -> FeederModel:
    """Compile the master file with the scenario's overrides."""
    feeder = study.scenario.feeder
    return FeederModel(
        study.master,
        tolerance=feeder.tolerance,
        vreg=feeder.regulator_vreg,
        discover=feeder.discover,
        commanded=study.commanded,
        storage_soc_max=feeder.storage_soc_max,
        trusted=study.trusted,
    )


def build_exogenous(
    study: Study, model: FeederModel, problems: Problems, *, whole_horizon: bool
) -> Exogenous | None:
    """The series of a scenario at its steps; what is wrong with them is added to ``problems``.

    Args:
        study: names the series.
        model: the compiled feeder, whose loads they belong to.
        problems: gets a sentence for each mistake.
        whole_horizon: also cover what the last plan looks ahead to, for those who know the truth.
    """
    beyond = max(study.horizon.length_s // study.grid.step_s - 1, 0) if whole_horizon else 0
    steps = study.grid.steps + beyond
    inputs = study.scenario.inputs
    irradiance = _column(study, ("inputs", "irradiance"), inputs.irradiance, steps, problems)
    price = _column(study, ("inputs", "price"), inputs.price, steps, problems)
    load = _load(study, model, steps, problems)
    if irradiance is not None and (irradiance < 0).any():
        problems.append(f"inputs.irradiance: {irradiance.min():g} kW/m² is negative")
    source_ratio = _source_ratio(study, model, steps, problems)
    if load is None or irradiance is None or price is None or problems:
        return None
    kw, kvar, profile, profile_of = load
    return Exogenous(study.grid.step_s, kw, kvar, profile, profile_of, irradiance, price, source_ratio)


def _source_ratio(study: Study, model: FeederModel, steps: int, problems: Problems) -> FloatArray | None:
    """Voltage of the sources over what the master says; None where the scenario does not give it."""
    config, place = study.scenario.inputs.source_pu, ("inputs", "source_pu")
    if config is None:
        return None
    values = _column(study, place, config, steps, problems)
    if values is None:
        return None
    low, high = SOURCE_RANGE_PU
    strange = np.flatnonzero((values < low) | (values > high))
    if strange.size:
        problems.append(
            f"{line_of(study.path, place)}inputs.source_pu: {values[strange[0]]:g} pu at step "
            f"{int(strange[0])} is outside {low:g} .. {high:g} pu"
        )
    return np.asarray(values / model.source_pu)


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
        path = (study.folder / str(config.file)).resolve()
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
    path = (study.folder / str(study.scenario.inputs.load.table_kw)).resolve()
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
