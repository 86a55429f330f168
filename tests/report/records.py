"""Records by hand: a feeder of two nodes, a battery and a PV system, three steps of half an hour."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from cosim.devices.pv import PvRating
from cosim.devices.storage import StorageRating
from cosim.model.site import CONTRACT_VERSION, FeederMap, Site
from cosim.model.timegrid import TimeGrid
from cosim.run.json_values import json_converter
from cosim.run.record import Record

START = datetime(2024, 6, 21, tzinfo=timezone(timedelta(hours=-7)))
STORAGE = StorageRating(
    name="bess",
    bus="a",
    phases=(1,),
    delta=False,
    kw=10.0,
    kva=10.0,
    kwh=20.0,
    min_kwh=2.0,
    max_kwh=20.0,
    initial_kwh=10.0,
    efficiency_charge=1.0,
    efficiency_discharge=1.0,
    idling_kw=0.0,
)
PV = PvRating(name="roof", bus="b", phases=(1,), delta=False, kw=8.0, kva=8.0)
SITE = Site(
    contract_version=CONTRACT_VERSION,
    grid=TimeGrid(START, step_s=1800, steps=3),
    nodes=("a.1", "b.1"),
    loads=("l",),
    regulators=("reg",),
    tap_step=np.array([0.00625]),
    devices=(STORAGE, PV),
    feeder_map=FeederMap(("a", "b"), (0.0, 1.0), (0.0, 1.0), (("a", "b"),)),
    network=None,
)
MANIFEST = {
    "name": "tiny",
    "status": "complete",
    "reason": "",
    "last_step": 2,
    "steps": 3,
    "controller": "receding_horizon",
    "planner": "lindistflow",
    "limits": {"voltage_min_pu": 0.95, "voltage_max_pu": 1.05, "import_max_kw": None},
    "versions": {"python": "3"},
}
NO_PLAN = {
    f"plan_{name}": None
    for name in (
        "period_s",
        "stored_kwh",
        "import_kw",
        "lowest_pu",
        "highest_pu",
        "status",
        "primal_residual",
        "simultaneous_kw",
        "slack_pu",
        "build_s",
        "solve_s",
    )
}


def plan(*, period_s, stored_kwh, import_kw, lowest_pu, highest_pu, solve_s):
    return {
        "plan_period_s": np.array(period_s),
        "plan_stored_kwh": np.array(stored_kwh),
        "plan_import_kw": np.array(import_kw),
        "plan_lowest_pu": np.array(lowest_pu),
        "plan_highest_pu": np.array(highest_pu),
        "plan_status": "optimal",
        "plan_primal_residual": 1e-9 * solve_s,
        "plan_simultaneous_kw": 0.0,
        "plan_slack_pu": 0.0,
        "plan_build_s": 0.5,
        "plan_solve_s": solve_s,
    }


PLANS = (
    # Two periods, of half an hour and of an hour.
    plan(
        period_s=[1800.0, 3600.0],
        stored_kwh=[10.0, 12.0, 8.0],
        import_kw=[11.0, 3.0],
        lowest_pu=[0.97, 0.96],
        highest_pu=[1.04, 1.05],
        solve_s=1.0,
    ),
    plan(
        period_s=[1800.0, 3600.0],
        stored_kwh=[13.0, 9.0, 7.0],
        import_kw=[-4.0, 0.0],
        lowest_pu=[0.95, 0.95],
        highest_pu=[1.07, 1.05],
        solve_s=2.0,
    ),
    NO_PLAN,
)


def step(k, *, planned=NO_PLAN, **changes):
    """A step in which the battery charges, rests and discharges."""
    storage_kw = (-6.0, 0.0, 4.0)[k]
    row = {
        "step": k,
        "time_s": 1800.0 * k,
        "price_per_kwh": (0.1, 0.2, 0.6)[k],
        "measured_stored_kwh": np.array([(10.0, 13.0, 13.0)[k]]),
        "pv_available_kw": np.array([(0.0, 5.0, 8.0)[k]]),
        "source": "PLAN",
        "reason": "",
        "why_safe": "",
        "storage_reason": [""],
        "pv_reason": [""],
        # Limits 0.95 .. 1.05: b.1 is above by 0.01 in step 1 and below by 0.02 in step 2;
        # a.1 is exactly on the upper limit in step 0, which is inside.
        "voltage_pu": np.array([(1.05, 1.0), (1.0, 1.06), (0.99, 0.93)][k]),
        "storage_kw": np.array([storage_kw]),
        "pv_kw": np.array([(0.0, 4.0, 8.0)[k]]),
        "stored_kwh": np.array([(13.0, 13.0, 11.0)[k]]),
        "tap": np.array([(1.0, 1.0125, 1.00625)[k]]),
        "import_kw": (10.0, -4.0, 6.0)[k],
        "losses_kw": (1.0, 2.0, 3.0)[k],
        "loading": (0.5, 1.2, 1.0)[k],
        "loading_line": ("line.x", "line.y", "line.x")[k],
        "events": [],
        "balance_error_kw": (1e-7, -3e-7, 2e-7)[k],
    }
    for kind in ("requested", "accepted"):
        row |= {
            f"{kind}_storage_kw": np.array([storage_kw]),
            f"{kind}_storage_kvar": np.array([0.0]),
            f"{kind}_pv_kw_limit": np.array([(8.0, 4.0, 8.0)[k]]),
            f"{kind}_pv_kvar": np.array([0.0]),
        }
    return row | planned | changes


def calm(k, **changes):
    """A step within all limits."""
    return step(k, planned=PLANS[k], **({"voltage_pu": np.array([1.0, 1.01]), "loading": 0.5} | changes))


def record_of(rows, **manifest):
    return Record(Path(), MANIFEST | manifest, SITE, pd.DataFrame(rows))


def cut_step():
    """The last step: 9 kW asked, 4 kW accepted, and a PV limit above the rating."""
    return step(
        2,
        requested_storage_kw=np.array([9.0]),
        requested_pv_kw_limit=np.array([12.0]),
        storage_reason=["energy: 13.000 kWh stored, 2 kWh reserve"],
        pv_reason=["limit outside 0 .. 8 kW"],
    )


def write(record, folder):
    """Put a record on disk as the package would."""
    (folder / "steps").mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps(record.manifest))
    (folder / "site.json").write_text(json_converter().dumps(record.site))
    rows = [
        {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in row.items()}
        for row in record.steps.astype(object).where(record.steps.notna(), None).to_dict("records")
    ]
    pq.write_table(pa.Table.from_pylist(rows), folder / "steps" / "part-0000000.parquet")
    return folder
