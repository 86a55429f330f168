"""Series of loads' and PV systems' own: groups of profiles that some of them follow."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

import numpy as np

from cosim.devices.pv import PvRating
from cosim.errors import SeriesError
from cosim.feeder.loads import LoadTable
from cosim.model.arrays import FloatArray, IntArray
from cosim.model.device import Device
from cosim.model.exogenous import Exogenous
from cosim.run.input_config import DEVICE, IrradianceUnit, LoadSeries, PvSeries
from cosim.run.series import Rules, SeriesReader
from cosim.run.series_bounds import Bounds
from cosim.run.series_file import SeriesFile, some_of

PER_KW_PER_M2: dict[IrradianceUnit | None, float] = {None: 1.0, "kw_per_m2": 1.0, "w_per_m2": 0.001}
IRRADIANCE = Bounds(
    0.0, 2.0, "kW/m²", "the sun gives little more than 1; values in W/m² need 'unit: w_per_m2'"
)
COMMON = -1
"""Stands for the series that all follow who have none of their own."""


class Profiles:
    """Profiles, and which load and which device follows which; grows by series of their own.

    Args:
        loads: of the feeder.
        profile: multipliers, shape (step, profile).
        profile_of: which profile each load follows.
    """

    def __init__(self, loads: LoadTable, profile: FloatArray, profile_of: IntArray) -> None:
        self.loads = loads
        self._columns = [profile]
        self._count = int(profile.shape[1])
        self.kw, self.kvar = loads.kw.copy(), loads.kvar.copy()
        self.kw_of, self.kvar_of = profile_of.copy(), profile_of.copy()
        self.sun_of: IntArray | None = None
        self.given: set[str] = set()

    def add(self, values: FloatArray) -> int:
        """Number of a new profile."""
        self._columns.append(values[:, None])
        self._count += 1
        return self._count - 1

    def see(self, device: int, devices: int, profile: int) -> None:
        """Let a device see the irradiance of a profile.

        Args:
            device: its place.
            devices: how many there are.
            profile: number of the profile.
        """
        if self.sun_of is None:
            self.sun_of = np.full(devices, COMMON, dtype=np.int64)
        self.sun_of[device] = profile

    def claim(self, what: str) -> None:
        """Note that an entry gives a quantity, e.g. ``kw of load 671``.

        Raises:
            SeriesError: another entry does already.
        """
        if what in self.given:
            raise SeriesError(f"the {what} is given by an entry before it; narrow 'names' of one of them")
        self.given.add(what)

    def exogenous(
        self, step_s: int, irradiance: FloatArray, price: FloatArray, source_ratio: FloatArray | None
    ) -> Exogenous:
        """The series of a run."""
        same = np.array_equal(self.kw_of, self.kvar_of)
        return Exogenous(
            step_s,
            self.kw,
            self.kvar,
            self._columns[0] if len(self._columns) == 1 else np.hstack(self._columns),
            self.kw_of,
            irradiance,
            price,
            source_ratio,
            kvar_profile_of=None if same else self.kvar_of,
            irradiance_profile_of=self.sun_of,
        )


@dataclass(frozen=True)
class Opened:
    """An entry with its files open.

    Attributes:
        reader: of the study.
        files: of the entry.
        rules: of the entry.
    """

    reader: SeriesReader
    files: list[SeriesFile]
    rules: Rules

    def values(self, column: str, bounds: Bounds | None = None) -> FloatArray:
        """One value per step.

        Raises:
            SeriesError: the column does not fit.
        """
        return self.reader.values(self.files, column, replace(self.rules, bounds=bounds))


def table_of_loads(opened: Opened, loads: LoadTable) -> Profiles:
    """Demand of every load from a table with a column of kW for each; kvar at the power factor.

    Raises:
        SeriesError: a load has no column, a column no load, or two columns are of one load.
    """
    for file in opened.files:
        _must_be_all_loads(file, loads)
    table = np.column_stack([opened.values(name) for name in loads.names])
    profiles = Profiles(loads, table, np.arange(len(loads.names), dtype=np.int64))
    profiles.kw, profiles.kvar = np.ones(len(loads.names)), _power_factor(loads)
    return profiles


def _must_be_all_loads(file: SeriesFile, loads: LoadTable) -> None:
    _must_differ(file)
    columns = [column.lower() for column in file.columns]
    unknown = sorted(set(columns) - set(loads.names))
    missing = [name for name in loads.names if name not in columns]
    if unknown or missing:
        parts = [f"no load is called {', '.join(unknown[:3])}"] if unknown else []
        parts += [f"{len(missing)} loads have no column, e.g. {missing[0]}"] if missing else []
        advice = "give some loads series of their own with 'inputs.loads'"
        raise SeriesError(f"{file.source}: {'; '.join(parts)}; rename or complete the columns, or {advice}")


def _must_differ(file: SeriesFile) -> None:
    """Names of loads and devices are equal whatever their case, so columns must not differ by it alone."""
    seen: dict[str, str] = {}
    for column in file.columns:
        other = seen.setdefault(column.lower(), column)
        if other != column:
            raise SeriesError(
                f"{file.source}: columns {other} and {column} are the same load; take one of them out"
            )


def _power_factor(loads: LoadTable) -> FloatArray:
    """Nominal kvar per kW of each load."""
    return np.divide(loads.kvar, loads.kw, out=np.zeros_like(loads.kw), where=loads.kw != 0)


def own_loads(profiles: Profiles, entry: LoadSeries, opened: Opened) -> None:
    """Let some loads follow series of their own: kW, kvar or both.

    Raises:
        SeriesError: a name is none of a load, or a column does not fit.
    """
    names, factor = profiles.loads.names, _power_factor(profiles.loads)
    chosen = _chosen(names, entry.names, "load")
    for column, rows in _followers(entry.kw, names, chosen, opened.files).items():
        profile = profiles.add(opened.values(column))
        for at in rows:
            profiles.claim(f"kw of load {names[at]}")
            profiles.kw[at], profiles.kw_of[at] = 1.0, profile
            if f"kvar of load {names[at]}" not in profiles.given:
                profiles.kvar[at], profiles.kvar_of[at] = factor[at], profile
    for column, rows in _followers(entry.kvar, names, chosen, opened.files).items():
        profile = profiles.add(opened.values(column))
        for at in rows:
            profiles.claim(f"kvar of load {names[at]}")
            profiles.kvar[at], profiles.kvar_of[at] = 1.0, profile


def own_sun(profiles: Profiles, entry: PvSeries, devices: Sequence[Device], opened: Opened) -> None:
    """Let some PV systems follow an irradiance, or an available power, of their own.

    Args:
        profiles: get the series, as irradiance.
        entry: names systems and columns.
        devices: in the order of the site.
        opened: the files of the entry.

    Raises:
        SeriesError: a name is none of a PV system, or a column does not fit.
    """
    systems = {at: device for at, device in enumerate(devices) if isinstance(device, PvRating)}
    names = {at: device.name for at, device in systems.items()}
    chosen = [list(names)[place] for place in _chosen(list(names.values()), entry.names, "PV system")]
    for column, rows in _followers(entry.irradiance, names, chosen, opened.files).items():
        profile = profiles.add(opened.values(column, IRRADIANCE))
        for at in rows:
            profiles.claim(f"sun of PV system {names[at]}")
            profiles.see(at, len(devices), profile)
    for column, rows in _followers(entry.available_kw, names, chosen, opened.files).items():
        for at in rows:
            profiles.claim(f"sun of PV system {names[at]}")
            kw = systems[at].kw
            if systems[at].efficiency:
                raise SeriesError(
                    f"PV system {names[at]} has an efficiency curve, so its available power does not give "
                    "the sun directly; give its irradiance"
                )
            rating = Bounds(
                0.0, kw, "kW", f"PV system {names[at]} is rated {kw:g} kW; raise its kw or lower 'scale'"
            )
            # Available power is the rating of the panels times irradiance and temperature factor.
            sun = opened.values(column, rating) / (kw * systems[at].warmth)
            profiles.see(at, len(devices), profiles.add(sun))


def _chosen(names: Sequence[str], patterns: Sequence[str], what: str) -> list[int]:
    """Places of the names that a list of names and globs means, each once, in order.

    Raises:
        SeriesError: a pattern means none.
    """
    found: set[int] = set()
    for pattern in patterns:
        meant = pattern.lower()
        mine = {at for at, name in enumerate(names) if name == meant or fnmatchcase(name, meant)}
        if not mine:
            near = difflib.get_close_matches(meant, names, n=3, cutoff=0.0)
            raise SeriesError(f"no {what} is called {pattern!r}; nearest: {', '.join(near) or 'none'}")
        found |= mine
    return sorted(found)


def _followers(
    template: str | None,
    names: Sequence[str] | Mapping[int, str],
    chosen: Sequence[int],
    files: Sequence[SeriesFile],
) -> dict[str, list[int]]:
    """Which of the chosen follow which column, after the column that each file must have.

    Raises:
        SeriesError: a column is missing, or two differ by upper and lower case only.
    """
    if template is None:
        return {}
    wanted = {at: template.replace(DEVICE, names[at]) for at in chosen}
    for file in files:
        missing = [column for column in wanted.values() if column.strip().casefold() not in file.by_case]
        if missing:
            raise SeriesError(
                f"{file.source}: {len(missing)} of {len(wanted)} columns are missing, e.g. {missing[0]!r}; "
                f"narrow 'names' or complete the file, which has {some_of(file.columns)}"
            )
        for column in wanted.values() if DEVICE in template else ():
            if len(same := file.by_case[column.strip().casefold()]) > 1:
                raise SeriesError(
                    f"{file.source}: columns {' and '.join(same)} are the same device; take one out"
                )
    found: dict[str, list[int]] = {}
    for at, column in wanted.items():
        found.setdefault(column, []).append(at)
    return found
