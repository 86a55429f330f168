"""From files of forecasts to vintages: each forecast with the time at which it became known."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cosim.errors import SeriesError
from cosim.model.vintages import Vintages, VintageSeries
from cosim.run.input_config import FormatConfig, VintageConfig
from cosim.run.own_series import IRRADIANCE
from cosim.run.scenario_file import line_of
from cosim.run.series import Points, SeriesReader, Span, points_of
from cosim.run.series_bounds import Bounds
from cosim.run.series_file import SeriesFile
from cosim.run.series_times import seconds_of, utc_text
from cosim.run.study import Study

QUANTITIES = {"load": "load_kw", "irradiance": "irradiance", "price": "price_per_kwh"}
"""Keys of ``inputs.vintages``, and what they are called in :class:`cosim.model.vintages.Vintages`."""
BOUNDS: dict[str, Bounds] = {"irradiance": IRRADIANCE}


def build_vintages(study: Study, problems: list[str]) -> Vintages | None:
    """The vintages of a scenario; None where it names none, or something is wrong.

    Args:
        study: names the files.
        problems: gets a sentence for each mistake.
    """
    inputs, found = study.scenario.inputs, {}
    if inputs.vintages is None:
        return None
    grid = study.grid
    reader = SeriesReader(study.folder, Span.of(grid.start, grid.step_s, grid.steps))
    for key, name in QUANTITIES.items():
        config: VintageConfig | None = getattr(inputs.vintages, key)
        if config is None:
            continue
        place = ("inputs", "vintages", key)
        try:
            found[name] = _series(reader, config, inputs.format or FormatConfig(), study, BOUNDS.get(key))
        except SeriesError as error:
            problems.append(f"{line_of(study.path, place)}{'.'.join(place)}: {error}")
    return Vintages(**found)


def _series(
    reader: SeriesReader, config: VintageConfig, shared: FormatConfig, study: Study, bounds: Bounds | None
) -> VintageSeries:
    """All vintages of an entry: a long table, whose keys are the times of issue.

    Raises:
        SeriesError: a file cannot be read, or a vintage is not sorted, has gaps, or comes twice.
    """
    form = (config.format or FormatConfig()).over(shared)
    keys = {"key_column": config.issue_column, "value_column": config.column}
    files = reader.files(config.file, form.model_copy(update=keys))
    start_s = int(study.grid.start.timestamp())
    vintages: dict[int, Points] = {}
    for file in files:
        for issued_s, key in _issues(file, form).items():
            points = points_of([file], key)
            if issued_s in vintages:
                raise SeriesError(
                    f"{points.place(0)} and {vintages[issued_s].place(0)} are both of the vintage of "
                    f"{utc_text(issued_s)}; put the rows of a vintage together"
                )
            _must_be_whole(points, config.column)
            if bounds is not None:
                bounds.check(config.scale * points.value, points.places())
            vintages[issued_s] = points
    order = sorted(vintages)
    parts = [vintages[issued_s] for issued_s in order]
    return VintageSeries(
        issued_s=np.array(order, dtype=np.int64) - start_s,
        first=np.cumsum([0, *(len(part.second) for part in parts)]).astype(np.int64),
        target_s=np.concatenate([part.second for part in parts]).astype(np.int64) - start_s,
        value=config.scale * np.concatenate([part.value for part in parts]),
    )


def _issues(file: SeriesFile, form: FormatConfig) -> dict[int, str]:
    """Times of issue in seconds since 1970, UTC, with the text that stands for each in the file."""
    keys = file.keys or {}
    rows = np.array([file.row[at[0]] for at in keys.values()], dtype=np.int64)
    order = [np.arange(len(rows))]
    second = seconds_of(pd.Series(list(keys), dtype=object), rows, form, order, file.source)
    found: dict[int, str] = {}
    for at, key in zip(second.tolist(), keys, strict=True):
        if at in found:
            raise SeriesError(f"{file.source}: issue times {found[at]} and {key} are the same moment")
        found[at] = key
    return found


def _must_be_whole(points: Points, column: str) -> None:
    empty = np.flatnonzero(~np.isfinite(points.value))
    if empty.size:
        raise SeriesError(f"{points.place(int(empty[0]))}: {column} is empty; fill the cell")
