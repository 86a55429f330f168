"""A year of hours for IEEE 13: load, irradiance and price, made by stated formulas from one seed.

    python -m benchmarks.year_series [--out configs/series/year_hourly.csv]

No measured data: the course of the sun at 40 degrees north with a clear-sky law (Haurwitz, 1945:
1.098 cos(zenith) exp(-0.057 / cos(zenith)) kW/m2), clouds as a first-order autoregressive series through a
logistic function, a load with a morning and an evening peak that is higher in summer afternoons and winter
evenings and lower at weekends, and a price with three levels by hour and weekday.
"""

from __future__ import annotations

import argparse
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

START = datetime(2024, 1, 1, tzinfo=UTC)
HOURS = 366 * 24 + 48
"""A leap year, and two days for the last horizons."""
SEED = 13
LATITUDE = np.radians(40.0)
PEAK, DAY, NIGHT = 0.24, 0.14, 0.08
"""Price per kWh."""


def irradiance(hour: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """On the horizontal, kW/m2."""
    day = hour // 24
    declination = np.radians(23.45) * np.sin(2 * np.pi * (284 + day + 1) / 365.0)
    angle = np.radians(15.0) * (hour % 24 + 0.5 - 12.0)
    height = np.sin(LATITUDE) * np.sin(declination) + np.cos(LATITUDE) * np.cos(declination) * np.cos(angle)
    up = np.maximum(height, 1e-3)
    clear = np.where(height > 0.0, 1.098 * up * np.exp(-0.057 / up), 0.0)
    state, clouds = 0.0, np.empty(len(hour))
    for i, shock in enumerate(rng.normal(size=len(hour))):
        state = 0.9 * state + np.sqrt(1.0 - 0.9**2) * shock
        clouds[i] = state
    return np.asarray(clear * (1.0 - 0.75 / (1.0 + np.exp(-2.5 * (clouds - 0.4)))))


def load(hour: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Share of the feeder's nominal load."""
    of_day, day = hour % 24 + 0.5, hour // 24
    season = np.cos(2 * np.pi * (day - 15) / 365.0)
    morning = 0.12 * np.exp(-(((of_day - 7.5) / 2.0) ** 2))
    evening = (0.28 + 0.08 * season) * np.exp(-(((of_day - 19.0) / 2.8) ** 2))
    cooling = 0.18 * np.maximum(-season, 0.0) * np.exp(-(((of_day - 15.5) / 3.5) ** 2))
    weekend = np.where((day + START.weekday()) % 7 >= 5, -0.04, 0.0)
    return np.asarray(0.42 + morning + evening + cooling + weekend + 0.015 * rng.normal(size=len(hour)))


def price(hour: np.ndarray) -> np.ndarray:
    """Currency per kWh: night until 6 and from 22, peak from 17 to 21 on weekdays."""
    of_day, weekday = hour % 24, (hour // 24 + START.weekday()) % 7
    peak = (of_day >= 17) & (of_day < 21) & (weekday < 5)
    night = (of_day < 6) | (of_day >= 22)
    return np.where(peak, PEAK, np.where(night, NIGHT, DAY))


def main() -> None:
    """Write the series."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("configs/series/year_hourly.csv"))
    options = parser.parse_args()
    rng, hour = np.random.default_rng(SEED), np.arange(HOURS)
    sun, demand, cost = irradiance(hour, rng), load(hour, rng), price(hour)
    lines = ["time,load_pu,irradiance_kw_per_m2,price_per_kwh"]
    lines += [
        f"{(START + timedelta(hours=int(i))).isoformat()},{demand[i]:.3f},{sun[i]:.3f},{cost[i]:.2f}"
        for i in hour
    ]
    options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
