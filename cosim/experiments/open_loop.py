"""One plan for a whole day, made before the day begins, kept in a file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import cattrs
import numpy as np

from cosim.bounded import Unreadable, bounded_text
from cosim.errors import RecordError, ScenarioError
from cosim.model.arrays import FloatArray
from cosim.model.forecast import Forecast
from cosim.model.roles import Planner
from cosim.model.site import Site
from cosim.model.state import Measurement, NoPlan, Plan
from cosim.run.assembly import Assembly
from cosim.run.bounded import MOST_JSON_BYTES, STRANGE
from cosim.run.control_config import ControlConfig
from cosim.run.json_values import json_converter
from cosim.run.policy import make_forecaster, make_planner
from cosim.run.study import Study

FORMAT = 3
_converter = json_converter()


@dataclass(frozen=True)
class OpenLoopPlan:
    """A plan with what its own model expects of the grid.

    Attributes:
        format: version of the file.
        study: the study it was made for, as JSON.
        devices, kinds, nodes: names and kinds of devices, and nodes, in order.
        plan: the plan.
        price_per_kwh: that the plan expected, shape (period,).
        branches: names of the elements that feed each node; empty where nothing is relaxed.
    """

    format: int
    study: str
    devices: tuple[str, ...]
    kinds: tuple[str, ...]
    nodes: tuple[str, ...]
    plan: Plan
    price_per_kwh: FloatArray
    branches: tuple[str, ...]

    def of_kind(self, kind: str) -> list[int]:
        """Places of the devices of one kind."""
        return [i for i, name in enumerate(self.kinds) if name == kind]

    @property
    def import_kw(self) -> FloatArray:
        """Expected import, shape (period,)."""
        return self.plan.import_kw

    @property
    def import_kvar(self) -> FloatArray:
        """Expected reactive import, shape (period,)."""
        return self.plan.import_kvar

    @property
    def losses_kw(self) -> FloatArray:
        """Expected losses, shape (period,)."""
        return self.plan.losses_kw

    @property
    def voltage_pu(self) -> FloatArray:
        """Expected voltages, shape (period, node)."""
        return self.plan.voltage_pu

    @property
    def relaxation_gap_kva(self) -> FloatArray:
        """Largest loss a relaxation invents in each branch; empty where nothing is relaxed."""
        gap = self.plan.relaxation_gap_kva
        return np.zeros(0) if gap is None else gap

    @property
    def hours(self) -> FloatArray:
        """Length of each period in hours."""
        return np.asarray(self.plan.period_s / 3600.0)

    @property
    def energy_cost(self) -> float:
        """Price times expected import."""
        return float(np.sum(self.price_per_kwh * self.import_kw * self.hours))

    def write(self, path: Path) -> None:
        """Write the plan as JSON.

        Raises:
            RecordError: the file holds something else.
        """
        if path.is_file() and '"relaxation_gap_kva"' not in path.read_text(encoding="utf-8"):
            raise RecordError(f"{path} is there and is no plan; give another name")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(str(_converter.dumps(self)) + "\n", encoding="utf-8")


def read_plan(path: Path) -> OpenLoopPlan:
    """Read a plan that :meth:`OpenLoopPlan.write` wrote.

    Raises:
        RecordError: it is no such file, or of another version.
    """
    try:
        plan: OpenLoopPlan = _converter.loads(bounded_text(path, MOST_JSON_BYTES), OpenLoopPlan)
    except Unreadable as error:
        raise RecordError(f"{path} {error}") from error
    except (*STRANGE, cattrs.BaseValidationError) as error:
        raise RecordError(f"{path} is no plan; make one with: cosim plan SCENARIO") from error
    _must_fit_together(plan, path)
    if plan.format != FORMAT:
        raise RecordError(f"{path} has plan format {plan.format}, this release reads {FORMAT}")
    return plan


def _must_fit_together(plan: OpenLoopPlan, path: Path) -> None:
    """Refuse a file whose arrays do not belong to each other.

    Raises:
        RecordError: names the array.
    """
    made, periods, devices = plan.plan, len(np.atleast_1d(plan.plan.period_s)), len(plan.devices)
    shapes = {
        "period_s": (made.period_s, (periods,)),
        "p_kw": (made.p_kw, (periods, devices)),
        "q_kvar": (made.q_kvar, (periods, devices)),
        "stored_kwh": (made.stored_kwh, (periods + 1, devices)),
        "import_kw": (made.import_kw, (periods,)),
        "import_kvar": (made.import_kvar, (periods,)),
        "losses_kw": (made.losses_kw, (periods,)),
        "voltage_pu": (made.voltage_pu, (periods, len(plan.nodes))),
        "price_per_kwh": (plan.price_per_kwh, (periods,)),
    }
    for name, (values, shape) in shapes.items():
        if values.shape != shape or not np.isfinite(values).all():
            raise RecordError(f"{path}: {name} has shape {values.shape} or is not finite; expected {shape}")
    if not periods or len(plan.kinds) != devices or not (made.period_s > 0).all():
        raise RecordError(f"{path}: periods, devices and kinds do not belong to each other")


@dataclass(frozen=True)
class Day:
    """The moment before a study's first step: what a planner gets to see.

    Attributes:
        assembly: the study, opened, step 0 measured.
        measurement: of step 0.
        forecast: over the horizon.
    """

    assembly: Assembly
    measurement: Measurement
    forecast: Forecast

    @property
    def site(self) -> Site:
        """The facts of the plant."""
        return self.assembly.site


@contextmanager
def open_day(study: Study) -> Iterator[Day]:
    """Open the feeder and look ahead.

    Raises:
        ScenarioError: the study does not fit together, or has no planner.
    """
    study.must_have_one_controller("an open-loop plan")
    if not study.plans:
        name = study.scenario.control.type
        raise ScenarioError(
            str(study.path), [f"control.type: {name!r} makes no plans; use e.g. {ControlConfig().type}"]
        )
    with Assembly(study) as assembly:
        forecaster = make_forecaster(study, assembly.knowledge)
        measurement = assembly.feeder.measure(0)
        yield Day(assembly, measurement, forecaster.forecast(measurement, study.horizon))


def plan_day(study: Study) -> OpenLoopPlan | NoPlan:
    """Plan the first horizon of a study from the state the feeder starts in.

    Raises:
        CosimError: the study does not fit together, the planner does not cover the feeder, or a solver
            is missing.
    """
    with open_day(study) as day:
        return plan_with(make_planner(study, day.assembly.knowledge), study, day)


def plan_with(planner: Planner, study: Study, day: Day) -> OpenLoopPlan | NoPlan:
    """One plan, with what is needed to replay it."""
    plan = planner.plan(day.measurement, day.forecast)
    if isinstance(plan, NoPlan):
        return plan
    site, gap = day.site, plan.relaxation_gap_kva
    return OpenLoopPlan(
        format=FORMAT,
        study=study.to_json(),
        devices=tuple(device.name for device in site.devices),
        kinds=tuple(device.kind for device in site.devices),
        nodes=site.nodes,
        plan=plan,
        price_per_kwh=day.forecast.price_per_kwh,
        branches=() if gap is None or site.network is None else site.network.branches,
    )


def study_of(plan: OpenLoopPlan) -> Study:
    """The study a plan was made for, as long as its horizon."""
    study = Study.from_json(plan.study)
    steps = int(plan.plan.period_s.sum()) // study.grid.step_s
    time = study.scenario.time.model_copy(update={"steps": steps})
    # A file does not vouch for itself.
    return replace(study, scenario=study.scenario.model_copy(update={"time": time}), trusted=False)
