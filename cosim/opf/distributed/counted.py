"""What counts of each area in the plan of the feeder: its answer, an earlier one, or rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cosim.model.arrays import ComplexArray
from cosim.model.state import Measurement, Setpoints, Source
from cosim.model.timegrid import Horizon
from cosim.opf.distributed.area_site import AreaSite
from cosim.opf.distributed.messages import AreaAnswer, Figures


@dataclass(frozen=True)
class Counted:
    """What counts of an area.

    Attributes:
        answer: its set-points and what is expected of it.
        source: a new plan of the area, its earlier plan, or the safe state.
        reason: empty where the area has answered.
    """

    answer: AreaAnswer
    source: Source
    reason: str


@dataclass(frozen=True)
class Silence:
    """What is known of an area.

    Attributes:
        answer: its last plan; None: it never had one.
        answered_at_s: time of that plan.
        since_s: time of the first plan without an answer; None where it answers.
    """

    answer: AreaAnswer | None = None
    answered_at_s: float = 0.0
    since_s: float | None = None


class CountedAnswers:
    """Answers of areas, and what stands for those that are silent.

    Args:
        sites: of the areas in their order.
        horizon: the periods of every plan.
        hold_s: for how long the last plan of a silent area counts; None: not at all.

    Attributes:
        known: of each area.
    """

    def __init__(self, sites: Sequence[AreaSite], horizon: Horizon, hold_s: float | None) -> None:
        self._sites, self._horizon, self._hold_s = sites, horizon, hold_s or 0.0
        self.known = [Silence() for _ in sites]

    def count(self, answers: Sequence[AreaAnswer | None], measurement: Measurement) -> list[Counted]:
        """What counts at a time, in the order of the areas."""
        return [
            self._silent(place, measurement) if answer is None else self._heard(place, answer, measurement)
            for place, answer in enumerate(answers)
        ]

    def _heard(self, place: int, answer: AreaAnswer, measurement: Measurement) -> Counted:
        if answer.found:
            self.known[place] = Silence(answer, measurement.time_s)
        return Counted(answer, Source.PLAN, "")

    def _silent(self, place: int, measurement: Measurement) -> Counted:
        """The last plan, or rest where it is too old."""
        before, now_s = self.known[place], measurement.time_s
        since_s = now_s if before.since_s is None else before.since_s
        self.known[place] = replace(before, since_s=since_s)
        who = f"{self._sites[place].name} is silent since second {since_s:.0f}, and its devices"
        age_s = now_s - before.answered_at_s
        if before.answer is None or age_s > self._hold_s:
            return Counted(self._at_rest(place, measurement), Source.FALLBACK, f"{who} rest")
        told = f"{who} follow its plan of second {before.answered_at_s:.0f}"
        return Counted(self._shifted(before.answer, age_s), Source.EARLIER_PLAN, told)

    def _shifted(self, answer: AreaAnswer, age_s: float) -> AreaAnswer:
        """An earlier answer, from the present moment on."""
        periods = self._horizon.periods_after(age_s)
        return replace(
            answer,
            p_kw=answer.p_kw[periods],
            q_kvar=answer.q_kvar[periods],
            voltage_pu=answer.voltage_pu[periods],
            import_kva=answer.import_kva[periods],
            losses_kw=answer.losses_kw[periods],
            figures=Figures(),
        )

    def _at_rest(self, place: int, measurement: Measurement) -> AreaAnswer:
        """Devices in the safe state; voltages and, at the substation, the import are as measured."""
        area, periods = self._sites[place], len(self._horizon)
        idle = Setpoints.idle(area.site)
        voltage = measurement.voltage_pu[area.nodes[area.own_nodes]]
        imported: ComplexArray = np.zeros(periods, dtype=np.complex128)
        if area.upstream is None:
            imported += measurement.import_kw + 1j * measurement.import_kvar
        return AreaAnswer(
            True,
            np.tile(idle.p_kw, (periods, 1)),
            np.tile(idle.q_kvar, (periods, 1)),
            np.tile(voltage, (periods, 1)),
            imported,
            np.zeros(periods),
            Figures(),
        )
