"""Chargers of electric vehicles: sessions with arrival, departure and energy, one vehicle at a time.

The state is the energy that the vehicle has received since it arrived; it is zero without a vehicle.
With vehicle-to-grid the vehicle gives back at most what it has received. A session that ends before its
energy is delivered leaves the rest unserved, which is counted. Without control a vehicle charges at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from cosim.devices.bounds import EnergyBounds, each
from cosim.devices.kind import (
    BusName,
    Config,
    DeviceHistory,
    DeviceKind,
    Figure,
    Name,
    Part,
    Placement,
    PlanContext,
    Share,
    own_columns,
)
from cosim.errors import SeriesError
from cosim.model.device import DELIVERY_ROUNDING, Device, DeviceState

DAY_S = 86_400
V2G_WEAR_PER_KWH = 0.05
COLUMNS = ("arrival", "departure", "energy_kwh")


@dataclass(frozen=True)
class Session:
    """A stay of one vehicle; seconds since the start of the run.

    Attributes:
        arrival_s, departure_s: whole steps of the run.
        energy_kwh: that the vehicle wants.
    """

    arrival_s: float
    departure_s: float
    energy_kwh: float


@dataclass(frozen=True)
class EvCharger(Device):
    """A charging point.

    Attributes:
        kw: largest charging power, and the largest discharging power with vehicle-to-grid.
        efficiency: from the terminals into the vehicle, and back.
        v2g: whether the vehicle may give energy back.
        wear_per_kwh: paid for energy that is given back.
        sessions: in the order of time; they do not overlap.
    """

    kind: ClassVar[str] = "ev_charger"
    has_energy: ClassVar[bool] = True

    efficiency: float
    v2g: bool
    wear_per_kwh: float
    sessions: tuple[Session, ...]

    @property
    def rest_kw(self) -> float:
        """Charging at once, as a charger without control does."""
        return -self.kw

    def session_at(self, time_s: float) -> Session | None:
        """The session that a moment lies in; one that ends at that moment does not count."""
        for session in self.sessions:
            if session.arrival_s <= time_s < session.departure_s:
                return session
        return None

    def present_h(self, time_s: float, step_h: float) -> float:
        """Hours of a step in which a vehicle is there."""
        end_s = time_s + 3600.0 * step_h
        overlaps = (min(s.departure_s, end_s) - max(s.arrival_s, time_s) for s in self.sessions)
        return sum(max(overlap, 0.0) for overlap in overlaps) / 3600.0

    def leaving(self, time_s: float, step_h: float) -> tuple[Session, ...]:
        """Sessions that end in a step, or at its end."""
        end_s = time_s + 3600.0 * step_h
        return tuple(s for s in self.sessions if time_s < s.departure_s <= end_s)

    def reachable_kwh(self, session: Session, stored_kwh: float, from_s: float) -> float:
        """Energy that a session can have received when it ends."""
        left_h = max(session.departure_s - max(session.arrival_s, from_s), 0.0) / 3600.0
        return min(session.energy_kwh, stored_kwh + self.efficiency * self.kw * left_h)

    def accept_kw(self, kw: float, state: DeviceState) -> tuple[float, str]:
        """As much as the vehicle takes, and only while one is there."""
        session = self.session_at(state.time_s)
        reasons: list[str] = []
        if session is None:
            # Nobody is there to refuse anything: the safe state asks for charging at all times.
            return 0.0, "" if kw <= 0.0 else "no vehicle"
        most = self.kw if self.v2g else 0.0
        accepted = max(-self.kw, min(most, kw))
        if abs(accepted - kw) > DELIVERY_ROUNDING * self.kw:
            reasons.append(f"outside {-self.kw:g} .. {most:g} kW")
        hours = state.step_h
        into = max(session.energy_kwh - state.stored_kwh, 0.0) / (self.efficiency * hours)
        out = max(state.stored_kwh, 0.0) * self.efficiency / hours
        within = max(-into, min(out, accepted))
        if abs(within - accepted) > DELIVERY_ROUNDING * self.kw and kw != self.rest_kw:
            reasons.append(f"energy: {state.stored_kwh:.3f} of {session.energy_kwh:g} kWh")
        return within, "; ".join(reasons)

    def next_stored_kwh(self, stored_kwh: float, kw: float, step_h: float, time_s: float = 0.0) -> float:
        """What the vehicle has received; nothing after it has left."""
        if self.leaving(time_s, step_h):
            return 0.0
        if kw < 0.0:
            return stored_kwh - kw * step_h * self.efficiency
        return stored_kwh - kw * step_h / self.efficiency


class SessionFile(Config):
    """Sessions from a CSV file with columns arrival, departure (ISO 8601 with time zone), energy_kwh."""

    file: Path
    charger: str | None = Field(None, description="only rows whose column 'charger' says this")


class SessionRule(Config):
    """Sessions drawn at random: one per day of the run, with a seed."""

    seed: NonNegativeInt
    arrival_h: float = Field(18.0, ge=0, lt=24, description="mean hour of arrival")
    arrival_spread_h: float = Field(1.0, ge=0, description="standard deviation of it")
    stay_h: PositiveFloat = Field(11.0, description="mean length of a stay, less than 20")
    stay_spread_h: float = Field(1.0, ge=0)
    energy_kwh: PositiveFloat = Field(14.0, description="mean energy")
    energy_spread_kwh: float = Field(4.0, ge=0)

    @model_validator(mode="after")
    def _leaves_in_time(self) -> SessionRule:
        if self.stay_h >= 20:
            raise ValueError(f"stay_h {self.stay_h:g} is not below 20; the next vehicle needs the charger")
        return self


class EvChargerConfig(Config):
    """A charging point."""

    kind: Literal["ev_charger"]
    name: Name
    bus: BusName = Field(description="bus with phases, e.g. 65.1; no phases means all")
    delta: bool = Field(False, description="connected between phases")
    kw: PositiveFloat = 11.0
    efficiency: Share = 0.92
    v2g: bool = Field(False, description="the vehicle may give back what it has received")
    wear_per_kwh: float = Field(V2G_WEAR_PER_KWH, ge=0, description="paid for energy given back")
    sessions: SessionFile | SessionRule

    def device(self, place: Placement) -> EvCharger:
        """The charger at its place, with the sessions of the run."""
        rule = self.sessions
        made = _read(rule, place) if isinstance(rule, SessionFile) else _draw(rule, place, rule.seed)
        return _device(self.name.lower(), place, made, self)


class SiteEvCharger(Config):
    """Charging points at a random share of the load buses."""

    kind: Literal["ev_charger"]
    share_of_load_buses: Share
    kw: PositiveFloat = 11.0
    efficiency: Share = 0.92
    v2g: bool = False
    wear_per_kwh: float = Field(V2G_WEAR_PER_KWH, ge=0)
    sessions: SessionRule
    at_most: PositiveInt | None = Field(None, description="no more than this many")
    seed: NonNegativeInt

    def device(self, place: Placement) -> EvCharger:
        """The charger at one of the sites; each has sessions of its own."""
        own_seed = int.from_bytes(place.bus.encode(), "little") % 2**32
        made = _draw(self.sessions, place, [self.sessions.seed, own_seed])
        return _device(f"ev_{place.bus}", place, made, self)


def _device(
    name: str, place: Placement, sessions: tuple[Session, ...], config: EvChargerConfig | SiteEvCharger
) -> EvCharger:
    return EvCharger(
        name,
        place.bus,
        place.phases,
        place.delta,
        config.kw,
        config.kw,
        efficiency=config.efficiency,
        v2g=config.v2g,
        wear_per_kwh=config.wear_per_kwh,
        sessions=sessions,
        kvar_max=0.0,
        kvar_max_abs=0.0,
    )


def _draw(rule: SessionRule, place: Placement, seed: int | list[int]) -> tuple[Session, ...]:
    """One session per day, from the day before the run on."""
    grid = place.grid
    if grid is None:
        return ()
    random = np.random.default_rng(seed)
    days = grid.steps * grid.step_s // DAY_S + 2
    made: list[Session] = []
    for day in range(-1, days):
        arrival_h = rule.arrival_h + rule.arrival_spread_h * float(np.clip(random.standard_normal(), -2, 2))
        stay_h = rule.stay_h + rule.stay_spread_h * float(np.clip(random.standard_normal(), -2, 2))
        kwh = rule.energy_kwh + rule.energy_spread_kwh * float(np.clip(random.standard_normal(), -2, 2))
        arrival_s = day * DAY_S + 3600.0 * arrival_h - place.since_midnight_s
        made.append(_on_steps(arrival_s, arrival_s + 3600.0 * max(stay_h, 1.0), max(kwh, 0.5), grid.step_s))
    return _apart(made, place.bus)


def _read(rule: SessionFile, place: Placement) -> tuple[Session, ...]:
    """Sessions of a file.

    Raises:
        SeriesError: the file, a column, a time zone or an order is missing; the row is named.
    """
    # Only who opens a study reads files; a controller's process has no use for pandas.
    import pandas as pd

    path, grid = (place.folder / rule.file).resolve(), place.grid
    if grid is None:
        return ()
    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise SeriesError(f"sessions {path.name} cannot be read: {error}") from error
    missing = [name for name in COLUMNS if name not in table.columns]
    if missing:
        raise SeriesError(f"{path.name} has no column {', '.join(missing)}; it needs {', '.join(COLUMNS)}")
    if rule.charger is not None:
        if "charger" not in table.columns:
            raise SeriesError(
                f"{path.name} has no column charger, but charger {rule.charger!r} is asked for"
            )
        table = table[table["charger"].astype(str) == rule.charger]
    start = pd.Timestamp(grid.start)
    made: list[Session] = []
    for row, (arrival, departure, kwh) in enumerate(
        zip(table["arrival"], table["departure"], table["energy_kwh"], strict=True)
    ):
        stamps = pd.Timestamp(arrival), pd.Timestamp(departure)
        if stamps[0].tz is None or stamps[1].tz is None:
            raise SeriesError(
                f"{path.name}, session {row + 1}: {arrival} has no time zone; write e.g. +02:00"
            )
        seconds = [float((stamp - start).total_seconds()) for stamp in stamps]
        if seconds[1] <= seconds[0] or not float(kwh) > 0.0:
            raise SeriesError(
                f"{path.name}, session {row + 1}: departure {departure} must come after arrival {arrival}, "
                f"and energy_kwh {kwh} must be positive"
            )
        made.append(_on_steps(seconds[0], seconds[1], float(kwh), grid.step_s))
    return _apart(made, path.name)


def _on_steps(arrival_s: float, departure_s: float, kwh: float, step_s: int) -> Session:
    """A session on whole steps: a vehicle that comes within a step is served from the next one on."""
    first = -(-arrival_s // step_s) * step_s
    last = max(departure_s // step_s * step_s, first + step_s)
    return Session(float(first), float(last), kwh)


def _apart(sessions: list[Session], where: str) -> tuple[Session, ...]:
    """Sessions in order, those before the run left out.

    Raises:
        SeriesError: two vehicles are there at once, or one leaves and the next arrives in the same step.
    """
    ordered = sorted(sessions, key=lambda session: session.arrival_s)
    for one, other in pairwise(ordered):
        if other.arrival_s < one.departure_s:
            raise SeriesError(
                f"{where}: the session from second {other.arrival_s:.0f} begins before the one from second "
                f"{one.arrival_s:.0f} has ended; a charger serves one vehicle at a time"
            )
    # A vehicle that is there when the run begins is taken as arriving then.
    return tuple(
        Session(max(s.arrival_s, 0.0), s.departure_s, s.energy_kwh) for s in ordered if s.departure_s > 0.0
    )


def ev_bounds(chargers: tuple[EvCharger, ...], context: PlanContext) -> EnergyBounds:
    """When chargers may charge, and by when vehicles need their energy."""
    horizon, count = context.horizon, len(chargers)
    shape = (len(horizon), count)
    cap, least, most, drain = (np.zeros(shape) for _ in range(4))
    for i, charger in enumerate(chargers):
        _fill(charger, context, i, (cap, least, most, drain))
    v2g = np.array([charger.v2g for charger in chargers])
    return EnergyBounds(
        take_max_kw=cap,
        give_max_kw=np.where(v2g, cap, 0.0),
        charge_efficiency=each(chargers, "efficiency"),
        discharge_efficiency=each(chargers, "efficiency"),
        start_kwh=np.maximum(context.stored_kwh, 0.0),
        least_kwh=least,
        most_kwh=most,
        drain_kwh=drain,
        take_cost_per_kwh=np.zeros(shape),
        give_cost_per_kwh=np.broadcast_to(each(chargers, "wear_per_kwh"), shape).copy(),
        loss_cost_per_kwh=np.zeros(count),
        reactive=np.zeros(count, dtype=bool),
        kwh=np.array([max((s.energy_kwh for s in c.sessions), default=1.0) for c in chargers]),
        ends=np.zeros(count, dtype=bool),
    )


def _fill(charger: EvCharger, context: PlanContext, i: int, arrays: tuple[np.ndarray, ...]) -> None:
    """Power, window and drain of one charger, column ``i``."""
    cap, least, most, drain = arrays
    stored = float(context.stored_kwh[i])
    for period, (start_s, hours) in enumerate(
        zip(context.horizon.starts_s, context.horizon.hours, strict=True)
    ):
        now_s, end_s = (
            context.time_s + float(start_s),
            context.time_s + float(start_s) + 3600.0 * float(hours),
        )
        cap[period, i] = charger.kw * charger.present_h(now_s, float(hours)) / float(hours)
        for session in charger.leaving(now_s, float(hours)):
            before = stored if session.arrival_s <= context.time_s else 0.0
            # What cannot be delivered in time is not asked for; it is counted as unserved.
            drain[period, i] += charger.reachable_kwh(session, before, context.time_s)
        staying = charger.session_at(end_s)
        if staying is not None:
            most[period, i] = staying.energy_kwh
    final_s = context.time_s + float(context.horizon.length_s)
    staying = charger.session_at(final_s)
    if staying is not None:
        # What can no longer be delivered after the horizon must be there at its end.
        later_kwh = charger.efficiency * charger.kw * (staying.departure_s - final_s) / 3600.0
        before = stored if staying.arrival_s <= context.time_s else 0.0
        reachable = charger.reachable_kwh(staying, before, context.time_s)
        least[-1, i] = max(reachable - later_kwh, 0.0)


def ev_figures(chargers: tuple[EvCharger, ...], history: DeviceHistory) -> tuple[Figure, ...]:
    """Energy delivered to vehicles and left unserved."""
    end_s = history.time_s[-1] + 3600.0 * history.step_h
    wanted, unserved = 0.0, 0.0
    for i, charger in enumerate(chargers):
        for session in charger.sessions:
            if session.departure_s > end_s:
                continue
            last = int(np.searchsorted(history.time_s, session.departure_s) - 1)
            kw, stored = history.kw[last, i], history.stored_kwh[last, i]
            rate = charger.efficiency if kw < 0.0 else 1.0 / charger.efficiency
            wanted += session.energy_kwh
            unserved += max(session.energy_kwh - (stored - kw * history.step_h * rate), 0.0)
    there = [(i, c.session_at(float(end_s))) for i, c in enumerate(chargers)]
    owed = sum(s.energy_kwh - float(history.stored_kwh[-1, i]) for i, s in there if s is not None)
    drawn = np.maximum(-history.kw, 0.0).sum() * history.step_h
    given = np.maximum(history.kw, 0.0).sum() * history.step_h
    return (
        Figure("energy drawn", float(drawn), "kWh"),
        Figure("energy given back", float(given), "kWh"),
        Figure("wanted by vehicles that left", wanted, "kWh"),
        Figure("unserved when they left", unserved, "kWh", Part.UNSERVED),
        Figure("not yet received by vehicles that stay", owed, "kWh"),
    )


EV_CHARGER = DeviceKind(
    name="ev_charger",
    title="EV charger",
    plural="EV chargers",
    rating=EvCharger,
    config=EvChargerConfig,
    siting=SiteEvCharger,
    element="cosim.feeder.elements.injection:INJECTION",
    energy_bounds=ev_bounds,
    moving_bounds=True,
    figures=ev_figures,
    columns=own_columns("ev_charger"),
)
