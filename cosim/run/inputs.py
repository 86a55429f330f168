"""From a scenario's input files to the series of a run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from cosim.devices.pv import PvRating
from cosim.errors import SeriesError
from cosim.feeder.compiled import FeederModel
from cosim.feeder.shapes import load_profiles, sun_profiles
from cosim.model.arrays import FloatArray
from cosim.model.device import Device
from cosim.model.engine_controls import EngineControls, SetsUpEngineControls
from cosim.model.exogenous import Exogenous
from cosim.model.timegrid import TimeGrid
from cosim.run.choice import controller_of
from cosim.run.input_config import (
    ColumnConfig,
    FormatConfig,
    GapConfig,
    InputsConfig,
    LoadSeries,
    PriceConfig,
    PvSeries,
    ReadingConfig,
)
from cosim.run.own_series import (
    IRRADIANCE,
    PER_KW_PER_M2,
    Opened,
    Profiles,
    own_loads,
    own_sun,
    table_of_loads,
)
from cosim.run.scenario_file import line_of
from cosim.run.series import Rules, SeriesReader, Span
from cosim.run.series_bounds import Bounds
from cosim.run.series_gaps import Filled
from cosim.run.study import Study

log = logging.getLogger(__name__)

T = TypeVar("T")
Problems = list[str]
Place = tuple[str | int, ...]

NAMED = 5
SOURCE = Bounds(0.7, 1.3, "pu")
"""Outside these a source voltage is a mistake in the data."""


@dataclass(frozen=True)
class Inputs:
    """The series of a run, and what was filled in them."""

    exogenous: Exogenous
    filled: tuple[Filled, ...]


def compile_feeder(study: Study) -> FeederModel:
    """Compile the master file with the scenario's overrides."""
    feeder = study.scenario.feeder
    return FeederModel(
        study.master,
        tolerance=feeder.tolerance,
        vreg=feeder.regulator_vreg,
        discover=feeder.discover,
        commanded=study.commanded,
        engine_controls=_engine_controls(study),
        storage_soc_max=feeder.storage_soc_max,
        trusted=study.trusted,
    )


def _engine_controls(study: Study) -> EngineControls | None:
    """What the plant's own controls shall do with the devices of the scenario; None: nothing."""
    if study.scenario.controllers is not None:  # of which none may be led by the engine
        return None
    controller = controller_of(study)
    if not controller.declared.engine_led:
        return None
    options: SetsUpEngineControls = controller.keywords()["options"]
    return options.engine_controls()


def build_inputs(
    study: Study,
    model: FeederModel,
    devices: Sequence[Device] | None,
    problems: Problems,
    *,
    whole_horizon: bool,
) -> Inputs | None:
    """The series of a scenario at its steps; what is wrong with them is added to ``problems``.

    Args:
        study: names the series.
        model: the compiled feeder, whose loads they belong to.
        devices: in the order of the site; None where some are wrong: then PV systems'
            own series are not read, because it cannot be told which names are wrong.
        problems: gets a sentence for each mistake.
        whole_horizon: also cover what the last plan looks ahead to, for those who know the truth.
    """
    beyond = max(study.longest_horizon_s // study.grid.step_s - 1, 0) if whole_horizon else 0
    grid = replace(study.grid, steps=study.grid.steps + beyond)
    return _Builder(study, model, grid, problems).build(devices)


def build_history(
    study: Study, model: FeederModel, devices: Sequence[Device] | None, problems: Problems
) -> Inputs | None:
    """The series before a run; None where a scenario names no history, or something is wrong.

    Args:
        study: names the series.
        model: the compiled feeder, whose loads they belong to.
        devices: in the order of the site.
        problems: gets a sentence for each mistake.
    """
    config, run = study.scenario.inputs, study.grid
    if config.history is None or devices is None:
        return None
    steps = config.history.length_s // run.step_s
    grid = TimeGrid(run.start - timedelta(seconds=steps * run.step_s), run.step_s, steps)
    own: Problems = []
    found = _Builder(study, model, grid, own, config.before_run(), ("inputs", "history")).build(devices)
    problems += own
    return found


class _Builder:
    """Reads the entries of ``inputs`` one by one and keeps what is wrong with each."""

    def __init__(
        self,
        study: Study,
        model: FeederModel,
        grid: TimeGrid,
        problems: Problems,
        before_run: InputsConfig | None = None,
        place: Place = ("inputs",),
    ) -> None:
        self._study, self._model, self._grid, self._problems = study, model, grid, problems
        self._config: InputsConfig = before_run or study.scenario.inputs
        self._place = place
        span = Span.of(grid.start, grid.step_s, grid.steps, before_run=before_run is not None)
        self._reader = SeriesReader(study.folder, span)

    def build(self, devices: Sequence[Device] | None) -> Inputs | None:
        inputs = self._config
        scale = PER_KW_PER_M2[inputs.irradiance.unit]
        irradiance = self._column(("irradiance",), inputs.irradiance, IRRADIANCE, scale)
        price = self._price(inputs.price)
        profiles = self._demand()
        source = (
            None if inputs.source_pu is None else self._column(("source_pu",), inputs.source_pu, SOURCE)
        )
        if profiles is not None:
            self._own_series(profiles, devices, irradiance)
        if profiles is None or irradiance is None or price is None or self._problems:
            return None
        ratio = None if source is None else np.asarray(source / self._model.source_pu)
        self._say_dark(profiles, devices)
        made = profiles.exogenous(self._grid.step_s, irradiance, price, ratio)
        return Inputs(made, tuple(self._reader.filled))

    def _column(
        self, key: Place, config: ColumnConfig, bounds: Bounds | None = None, unit: float = 1.0
    ) -> FloatArray | None:
        """One column of a file, or a constant, at the steps."""

        def read() -> FloatArray:
            scale = config.scale * unit
            if config.file is None:
                return self._constant(float(config.constant or 0.0) * scale, bounds)
            files = self._reader.files(config.file, self._format(config))
            return self._reader.values(files, str(config.column), self._rules(config, scale, bounds))

        return self._tried(key, read)

    def _price(self, config: PriceConfig) -> FloatArray | None:
        """Prices of a tariff, or as any other column."""
        if config.tariff is None:
            return self._column(("price",), config)
        tariff = self._tried(("price", "tariff"), partial(config.read_tariff, self._study.folder))
        if tariff is None:
            return None
        if tariff.has_export_price and self._place == ("inputs",):
            log.warning(
                "inputs.price.tariff has export_per_kwh, a price of its own for energy sent back. It counts"
                " in the settlement of the run; plans value export at the price of import"
            )
        prices = self._tried(("price", "tariff"), partial(tariff.price_per_kwh, self._grid))
        return None if prices is None else np.asarray(config.scale * prices)

    def _constant(self, value: float, bounds: Bounds | None) -> FloatArray:
        if not np.isfinite(value):
            raise SeriesError(f"{value} is not a finite number; correct 'constant' or 'scale'")
        if bounds is not None:
            bounds.check(np.array([value]), [""])
        return np.full(self._grid.steps, value)

    def _demand(self) -> Profiles | None:
        """Demand of all loads as ``inputs.load`` says."""
        config, loads = self._config.load, self._model.loads
        if config.multiplier is not None:
            values = self._column(("load", "multiplier"), config.multiplier)
            if values is None:
                return None
            profile = np.column_stack([values, np.ones(self._grid.steps)])
            profile_of = np.array([1 if fixed else 0 for fixed in loads.fixed], dtype=np.int64)
            return Profiles(loads, profile, profile_of)
        table = config.table_kw

        def read() -> Profiles:
            if table is None:
                own = load_profiles(self._model.engine, loads, self._grid, self._grid.steps)
                profiles = Profiles(loads, own.profile, own.kw_of)
                profiles.kw, profiles.kvar, profiles.kvar_of = own.kw, own.kvar, own.kvar_of
                return profiles
            return table_of_loads(self._opened(ReadingConfig(), table), loads)

        return self._tried(("load",), read)

    def _own_series(
        self, profiles: Profiles, devices: Sequence[Device] | None, common: FloatArray | None
    ) -> None:
        """Series of some loads' and PV systems' own, over those of all."""
        for index, entry in enumerate(self._config.loads):
            self._tried(("loads", index), partial(self._own_load, profiles, entry))
        if devices is None or common is None:
            return
        if self._config.load.feeder_shapes:
            self._tried(("load", "feeder_shapes"), partial(self._sun_of_master, profiles, devices))
        else:
            self._base_of_sun(profiles, devices, common)
        for index, own in enumerate(self._config.pvs):
            self._tried(("pvs", index), partial(self._own_pv, profiles, own, devices))

    def _sun_of_master(self, profiles: Profiles, devices: Sequence[Device]) -> None:
        """Irradiance shapes of the PV systems of the master."""
        of_master = sun_profiles(self._model.engine, self._model.sun_shapes, self._grid, self._grid.steps)
        for index, device in enumerate(devices):
            is_ours = isinstance(device, PvRating) and self._model.is_found(device)
            if is_ours and device.name in of_master:
                profiles.see(index, len(devices), profiles.add(of_master[device.name]))

    def _base_of_sun(self, profiles: Profiles, devices: Sequence[Device], common: FloatArray) -> None:
        """PV systems of the master whose irradiance is not 1: it multiplies the sun, as in OpenDSS.

        A zero stands for a system whose sun is still to be given.
        """
        bases = self._model.base_irradiance
        for index, device in enumerate(devices):
            base = bases.get(device.name, 1.0) if isinstance(device, PvRating) else 1.0
            if base not in {0.0, 1.0} and self._model.is_found(device):
                log.warning("pvsystem.%s: its irradiance of %g multiplies the sun", device.name, base)
                profiles.see(index, len(devices), profiles.add(base * common))

    def _say_dark(self, profiles: Profiles, devices: Sequence[Device] | None) -> None:
        """PV systems that produce nothing because nobody gave the sun."""
        config = self._config.irradiance
        if devices is None or config.file is not None or config.constant:
            return
        own = profiles.sun_of
        dark = [
            device.name
            for index, device in enumerate(devices)
            if isinstance(device, PvRating) and (own is None or own[index] < 0)
        ]
        if dark:
            more = f", {len(dark) - NAMED} more" if len(dark) > NAMED else ""
            log.warning(
                "inputs.irradiance is 0, so that these PV systems produce nothing: %s%s",
                ", ".join(dark[:NAMED]),
                more,
            )

    def _own_load(self, profiles: Profiles, entry: LoadSeries) -> None:
        own_loads(profiles, entry, self._opened(entry, entry.file, entry.scale))

    def _own_pv(self, profiles: Profiles, entry: PvSeries, devices: Sequence[Device]) -> None:
        scale = entry.scale * PER_KW_PER_M2[entry.unit]
        own_sun(profiles, entry, devices, self._opened(entry, entry.file, scale))

    def _opened(self, entry: ReadingConfig, file: Path | tuple[Path, ...], scale: float = 1.0) -> Opened:
        files = self._reader.files(file, self._format(entry))
        return Opened(self._reader, files, self._rules(entry, scale))

    def _format(self, entry: ReadingConfig) -> FormatConfig:
        shared = self._config.format or FormatConfig()
        return shared if entry.format is None else entry.format.over(shared)

    def _rules(self, entry: ReadingConfig, scale: float = 1.0, bounds: Bounds | None = None) -> Rules:
        gaps = entry.gaps or self._config.gaps or GapConfig()
        return Rules(entry.resample or self._config.resample, gaps, scale, bounds)

    def _tried(self, key: Place, make: Callable[[], T]) -> T | None:
        """What an entry gives; what is wrong with it joins the problems, with its line and its key."""
        place = (*self._place, *key)
        try:
            return make()
        except SeriesError as error:
            dotted = ".".join(str(part) for part in place)
            self._problems.append(f"{line_of(self._study.path, place)}{dotted}: {error}")
            return None
