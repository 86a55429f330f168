"""The best course of one battery against a price: a small linear program without any network.

With c and d what the battery takes and gives at its terminals (kW, both at least 0) and e what is stored::

    minimise   sum over periods of  h (price (c - d) + wear (c + d))  -  worth e_end
    subject to e_next = e + h (charge efficiency c - d / discharge efficiency)
               least <= e <= most,  c <= rating,  d <= rating
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.optimize import linprog

from cosim.devices.storage import StorageRating
from cosim.model.arrays import FloatArray


def best_course_kw(
    battery: StorageRating,
    stored_kwh: float,
    hours: FloatArray,
    price_per_kwh: FloatArray,
    *,
    wear_per_kwh: float,
    worth_per_kwh: float,
) -> FloatArray:
    """Power in each period, positive discharges, shape (period,).

    Standby losses are not part of the program. Under a negative price it may charge and discharge at
    once; the difference of the two is returned.

    Args:
        battery: its rating.
        stored_kwh: now.
        hours: length of each period.
        price_per_kwh: of each period.
        wear_per_kwh: cost of energy taken or given.
        worth_per_kwh: of what is stored at the end.
    """
    periods = len(hours)
    least, most = battery.min_kwh, battery.max_kwh
    # A measurement may lie a rounding outside the window.
    first = min(max(stored_kwh, least), most)
    cost = np.concatenate(
        [hours * (wear_per_kwh + price_per_kwh), hours * (wear_per_kwh - price_per_kwh), np.zeros(periods)]
    )
    cost[-1] = -worth_per_kwh
    before = sp.eye_array(periods, k=-1)
    # The stubs of linprog know dense matrices only.
    balance: Any = sp.hstack(
        [
            sp.diags_array(-hours * battery.efficiency_charge),
            sp.diags_array(hours / battery.efficiency_discharge),
            sp.eye_array(periods) - before,
        ],
        format="csc",
    )
    start = np.zeros(periods)
    start[0] = first
    bounds = [(0.0, battery.kw)] * (2 * periods) + [(least, most)] * periods
    found = linprog(cost, A_eq=balance, b_eq=start, bounds=bounds, method="highs-ds")
    # Rest is always feasible and everything is bounded.
    power = np.asarray(found.x, dtype=np.float64)
    return np.asarray(power[periods : 2 * periods] - power[:periods])
