"""What a case of the studies of plans asks, and the scenario it stands for."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import cattrs

from cosim.networks.dss_text import write_model
from cosim.networks.synthetic import synthetic_feeder
from cosim.run.scenario import Scenario
from cosim.run.settings import changed_study
from cosim.run.shipped import find_scenario, shipped
from cosim.run.study import Study, open_study

FIRST_DAY = datetime.fromisoformat("2024-06-21T00:00:00-07:00")
STEP_S = 3600
SHORT_DAY_STARTS_H = 9
"""A horizon of less than a day starts here, so that sun and evening price are in it."""


@dataclass(frozen=True)
class Penetration:
    """How much PV and storage there is: shares of the load buses, powers per local load."""

    pv_share: float
    pv_times_load: float
    storage_share: float
    storage_times_load: float


def _later(default: Any) -> Any:
    """A field that earlier studies did not have: at its default it is no part of the fingerprint."""
    return field(default=default, metadata={"later": True})


@dataclass(frozen=True)
class GapCase:
    """What is asked of one case.

    Attributes:
        network: ``synthetic``, the name of a shipped single-phase feeder, or the path of a master; with
            ``scenario`` the name of a shipped scenario.
        buses: size of a synthetic network; 0 for others.
        seed: of network and siting.
        periods: hours in the horizon.
        penetration, der: its name and meaning; None where the feeder brings its own devices.
        band, limits_pu: name and voltage limits.
        formulation, planner: name and the planner's configuration.
        scenario: whether devices, network devices and series are those of a shipped scenario.
        master: OpenDSS master in place of the scenario's; empty: its own.
        planner_seed: of the planner's random numbers.
        twice: whether a second plan is made with other prices, for its seconds.
    """

    network: str
    buses: int
    seed: int
    periods: int
    penetration: str
    der: Penetration | None
    band: str
    limits_pu: tuple[float, float]
    formulation: str
    planner: dict[str, Any]
    scenario: bool = _later(default=False)
    master: str = _later(default="")
    planner_seed: int = _later(default=0)
    twice: bool = _later(default=True)

    @property
    def name(self) -> str:
        """Of the network; one that is the path of a master is named after its folder."""
        path = Path(self.network)
        return path.parent.name if path.suffix else self.network

    @property
    def instance(self) -> str:
        """The problem, whatever the formulation."""
        return f"{self.name}{self.buses or ''}-s{self.seed}-t{self.periods}-{self.penetration}-{self.band}"

    @property
    def key(self) -> str:
        """Name of the case, the same in every campaign."""
        seed = f"-p{self.planner_seed}" if self.planner_seed else ""
        return f"{self.instance}-{self.formulation}{seed}"

    @property
    def fingerprint(self) -> str:
        """Of everything that is asked: names may be the same and mean something else."""
        asked = cattrs.unstructure(self)
        for item in fields(self):
            if item.metadata.get("later") and asked[item.name] == item.default:
                del asked[item.name]
        text = json.dumps(asked, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def study_of_case(case: GapCase, folder: Path) -> Study:
    """The study a case stands for; a synthetic network is written to a folder.

    Raises:
        CosimError: there is no such scenario, or it does not fit.
    """
    if case.scenario:
        return _study_of_scenario(case)
    if case.der is not None:
        feeder = synthetic_feeder(case.buses, case.seed, **asdict(case.der))
        master = write_model(feeder, folder)
    elif Path(case.network).suffix:
        master = Path(case.network)
    else:
        master = shipped("dss_models") / case.network / "master.dss"
    series = str(shipped("configs") / "series" / "reference_day.csv")
    scenario = Scenario.model_validate(
        {
            "schema": 1,
            "name": "gap",
            "feeder": {"master": str(master), "tolerance": 1e-9, "storage_soc_max": 0.95},
            "time": {"start": _start(case), "step_s": STEP_S, "steps": case.periods},
            "inputs": {
                "load": {"multiplier": {"file": series, "column": "load_pu"}},
                "irradiance": {"file": series, "column": "irradiance_kw_per_m2"},
                "price": {"file": series, "column": "price_per_kwh"},
            },
            "limits": _limits(case),
            "control": {
                "horizon_s": STEP_S * case.periods,
                "planner": case.planner,
                "seed": case.planner_seed,
            },
        }
    )
    return Study(master, scenario, master)


def _study_of_scenario(case: GapCase) -> Study:
    """A shipped scenario over hours, planned at once with the true series.

    Lines have no limits, since most formulations have none. Batteries have no idling loss: where it falls
    is only known after a first plan, which most planners then make twice.
    """
    study = open_study(find_scenario(case.network), master=Path(case.master) if case.master else None)
    settings: dict[str, Any] = {
        "time.start": _start(case).isoformat(),
        "time.step_s": STEP_S,
        "time.steps": case.periods,
        "inputs.resample": "mean",
        "limits": _limits(case),
        "control.horizon_s": STEP_S * case.periods,
        "control.resolution_s": STEP_S,
        "control.tail": None,
        "control.forecast": "perfect",
        "control.planner": case.planner,
        "control.seed": case.planner_seed,
    }
    batteries = range(len(study.scenario.storages))
    return changed_study(study, settings | {f"storages.{i}.idling_kw": 0.0 for i in batteries})


def _start(case: GapCase) -> datetime:
    return FIRST_DAY + timedelta(hours=SHORT_DAY_STARTS_H if case.periods < 24 else 0)


def _limits(case: GapCase) -> dict[str, float]:
    return {"voltage_min_pu": case.limits_pu[0], "voltage_max_pu": case.limits_pu[1]}
