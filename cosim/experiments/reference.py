"""The published single-phase systems, computed from scratch and held against the published figures.

Published: result files of the MultiPeriodDistOPF project (MIT licence), re-computed independently in
single cases where a file rounds to cents. Figures and their origin are in ``dss_models/*/README.md``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from cosim.errors import ScenarioError
from cosim.experiments.open_loop import OpenLoopPlan, plan_day
from cosim.experiments.replay import replay
from cosim.model.state import NoPlan
from cosim.run.planner_config import ObjectiveConfig, PlannerConfig, TerminalConfig
from cosim.run.shipped import find_scenario
from cosim.run.study import Study, open_study

SYSTEMS = ("ads10_1ph", "ieee123_1ph")


@dataclass(frozen=True)
class Published:
    """A published figure and how near a reproduction must come."""

    value: float
    within: float


@dataclass(frozen=True)
class Line:
    """One figure of the study.

    Attributes:
        system: which feeder.
        what: what was computed, unit included.
        value: the figure, or a sentence.
        published: what it should be; None where nothing is published.
        limit: what its magnitude must not exceed; None where there is no such limit.
    """

    system: str
    what: str
    value: float | str
    published: Published | None = None
    limit: float | None = None

    @property
    def verdict(self) -> str:
        """``ok``, ``differs``, or empty where there is nothing to hold it against."""
        if isinstance(self.value, str):
            return ""
        if self.published is not None:
            near = abs(self.value - self.published.value) <= self.published.within
            return "ok" if near else "differs"
        if self.limit is not None:
            return "ok" if abs(self.value) <= self.limit else "differs"
        return ""

    def as_dict(self) -> dict[str, float | str | None]:
        """For a JSON file."""
        return {
            "system": self.system,
            "what": self.what,
            "value": self.value,
            "published": self.published.value if self.published else None,
            "within": self.published.within if self.published else self.limit,
            "verdict": self.verdict,
        }


COSTS: dict[tuple[str, str, str], Published] = {
    ("ads10_1ph", "lindistflow", "free"): Published(204.23, 0.005),
    ("ads10_1ph", "branch_flow_soc", "free"): Published(204.27, 0.005),
    ("ieee123_1ph", "lindistflow", "free"): Published(2731.341, 0.001),
    ("ieee123_1ph", "branch_flow_soc", "free"): Published(2787.439, 0.001),
    ("ieee123_1ph", "lindistflow", "hard"): Published(2740.037, 0.01),
    ("ieee123_1ph", "branch_flow_soc", "hard"): Published(2796.490, 0.01),
}
LOSSES_KWH = {"ieee123_1ph": Published(380.089, 0.001)}
IMPORT_KWH = {"ieee123_1ph": Published(20984.885, 0.001)}

AS_PUBLISHED = "none, interior point of IPOPT"

# How the linear model chooses among reactive powers it cannot tell apart.
TIE_BREAKS: dict[str, dict[str, object]] = {
    AS_PUBLISHED: {"inverter": "polygon", "solver": "ipopt"},
    "none, interior point of Clarabel": {"inverter": "polygon"},
    "none, vertex of HiGHS": {"inverter": "polygon", "solver": "highs"},
    "least reactive power (reactive_cost_per_kvarh 0.002)": {"reactive_cost_per_kvarh": 0.002},
    "losses at the energy price (losses_at_price 1)": {"objective": ObjectiveConfig(losses_at_price=1.0)},
}
REALISED_GAP_PERCENT = {("ieee123_1ph", AS_PUBLISHED): Published(0.405, 0.025)}


def reference_lines(progress: Callable[[str], None], systems: Sequence[str] = SYSTEMS) -> Iterator[Line]:
    """All figures, one after the other.

    Args:
        progress: told what is being computed.
        systems: some of :data:`SYSTEMS`.

    Raises:
        CosimError: nothing is published of a system, a solver is missing, or a program that must have a
            solution has none.
    """
    for system in systems:
        if system not in SYSTEMS:
            known = " or ".join(SYSTEMS)
            raise ScenarioError(system, [f"no figures of it are published here; choose {known}"])
        best: float | None = None
        for terminal in ("free", "hard"):
            for planner in ("lindistflow", "branch_flow_soc", "branch_flow_nl"):
                progress(f"{system}: {planner}, terminal energy {terminal}")
                plan = _plan(system, planner, terminal)
                yield from _cost_lines(system, planner, terminal, plan)
                if planner == "branch_flow_soc":
                    best = plan.plan.certificate.objective
                    yield from _relaxation_lines(system, terminal, plan)
                if planner == "branch_flow_nl" and best is not None:
                    apart = plan.plan.certificate.objective / best - 1.0
                    what = f"branch_flow_nl over branch_flow_soc - 1, terminal {terminal}"
                    yield Line(system, what, apart, limit=1e-6)
                if planner != "lindistflow" and terminal == "free":
                    yield from _replay_lines(system, planner, plan)
        progress(f"{system}: what the linear plan really costs")
        yield from _tie_break_lines(system)


def study_of_system(system: str, planner: str, terminal: str) -> Study:
    """The shipped scenario of a system, as the literature poses it: textbook equations, one day."""
    study = open_study(find_scenario(system))
    config = study.scenario.control.planner
    return study.with_planner(
        config.model_copy(
            update={
                "type": planner,
                "anchor": "none",
                "terminal": TerminalConfig.model_validate({"type": terminal}),
            }
        )
    )


def _plan(
    system: str, planner: str, terminal: str, changes: dict[str, object] | None = None
) -> OpenLoopPlan:
    study = study_of_system(system, planner, terminal)
    config: PlannerConfig = study.scenario.control.planner.model_copy(update=changes or {})
    plan = plan_day(study.with_planner(config))
    if isinstance(plan, NoPlan):
        raise ScenarioError(system, [f"{planner}: {plan.reason}; the reference must have a solution"])
    return plan


def _cost_lines(system: str, planner: str, terminal: str, plan: OpenLoopPlan) -> Iterator[Line]:
    published = COSTS.get((system, planner, terminal))
    yield Line(system, f"{planner} cost, terminal {terminal}, $", plan.energy_cost, published)
    yield Line(system, f"{planner} seconds, terminal {terminal}", plan.plan.certificate.solve_s)
    if planner == "branch_flow_soc" and terminal == "free":
        losses, imported = float(plan.losses_kw.sum()), float(plan.import_kw.sum())
        yield Line(system, f"{planner} losses, kWh", losses, LOSSES_KWH.get(system))
        yield Line(system, f"{planner} substation energy, kWh", imported, IMPORT_KWH.get(system))
        yield Line(system, f"{planner} substation reactive energy, kvarh", float(plan.import_kvar.sum()))


def _relaxation_lines(system: str, terminal: str, plan: OpenLoopPlan) -> Iterator[Line]:
    proof = plan.plan.certificate
    # Nothing proven is no small gap.
    gap = math.inf if proof.optimality_gap is None else proof.optimality_gap
    invented, end = float(plan.relaxation_gap_kva.max()), f"terminal {terminal}"
    yield Line(system, f"max cone gap, as the loss it invents, {end}, kVA", invented, limit=1e-3)
    yield Line(system, f"exact cost over proven bound - 1, {end}", gap, limit=1e-6)
    yield Line(system, f"branch_flow_soc, terminal {terminal}", proof.claim)


def _replay_lines(system: str, planner: str, plan: OpenLoopPlan) -> Iterator[Line]:
    figures = replay(plan).figures()
    for name, unit, limit in (
        ("max_voltage_error_pu", "pu", 1e-8),
        ("max_import_error_kw", "kW", 1e-4),
        ("max_import_error_kvar", "kvar", None),
    ):
        yield Line(system, f"{planner} replayed in OpenDSS, {name}, {unit}", figures[name], limit=limit)
    yield Line(system, f"{planner} replayed in OpenDSS, cost, $", figures["realised_cost"])


def _tie_break_lines(system: str) -> Iterator[Line]:
    best = replay(_plan(system, "branch_flow_soc", "free")).figures()["realised_cost"]
    for name, changes in TIE_BREAKS.items():
        figures = replay(_plan(system, "lindistflow", "free", changes)).figures()
        gap = 100.0 * (figures["realised_cost"] / best - 1.0)
        published = REALISED_GAP_PERCENT.get((system, name))
        yield Line(system, f"lindistflow realised gap, %, tie-break: {name}", gap, published)
        yield Line(system, f"lindistflow max dV, pu, tie-break: {name}", figures["max_voltage_error_pu"])


def worst(lines: list[Line]) -> list[Line]:
    """The lines that differ from what they should be."""
    return [line for line in lines if line.verdict == "differs"]
