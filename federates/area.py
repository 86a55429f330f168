"""The federate of an area: plans its own devices and exchanges boundary values with its neighbours.

Ticks inside step k, counted in 1/2048 s from ``t_k``: in slot i (from 0) an area reads what neighbours sent
at tick ``2 i + 1`` and publishes at tick ``2 i + 2``. Reading and publishing never fall on the same moment,
so that HELICS cannot deliver a value one slot early. After the last of S slots the area reads the last
values and publishes its answer at tick ``2 S + 1``, before the controller decides at tick 512.

A tick is no whole number of nanoseconds. That does not matter, because areas have no period: each of them
asks for the same double, and HELICS makes the same number of nanoseconds of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from cosim.errors import ContractError
from cosim.model.forecast import Forecast
from cosim.model.state import Measurement
from cosim.opf.distributed.messages import AreaAnswer, AreaPart, Message, Slot
from cosim.opf.distributed.planner_options import AreasOptions
from cosim.run.area_part import areas_options, make_area_part, may_be_silent
from cosim.run.area_states import AreaStates
from cosim.run.knowledge import Knowledge, text_to_knowledge
from cosim.run.policy import make_forecaster
from cosim.run.study import Study
from federates.address import Address
from federates.area_codec import ANSWER, decode_answer, encode_answer, to_neighbour
from federates.area_port import Port
from federates.codec import (
    KNOWLEDGE,
    SITE,
    Sizes,
    decode_measurement,
    measurement_quantities,
    text_to_site,
)
from federates.events import say
from federates.session import DECIDE_S, Session

TICK_S = 1.0 / 2048.0
MOST_SLOTS = (int(DECIDE_S / TICK_S) - 2) // 2


MakePart = Callable[[Study, Knowledge, int], AreaPart]
"""Makes the part of a planner that runs in an area, see :func:`cosim.run.area_part.make_area_part`."""


def run_area(
    study: Study,
    address: Address,
    name: str,
    *,
    make_part: MakePart = make_area_part,
    folder: Path | None = None,
) -> None:
    """Join, learn the site from the feeder, and plan at each step at which plans are due.

    Args:
        study: what is run.
        address: of the broker.
        name: of the federate; its place among the federates of role ``area`` is that of the area.
        make_part: for owners with a controller of their own.
        folder: of the run; gets states of the area, to carry on from. None: the run is carried on by
            repeating all steps.
    """
    grid, feeder, names = study.grid, study.scenario.federate("feeder"), study.scenario.area_federates
    position = names.index(name)
    interval_s = study.scenario.control.interval_s or grid.step_s
    none = Sizes()
    chosen = areas_options(study)
    with _joined(name, address, chosen) as session:
        # Who the neighbours are is known only with the site, after the federates have been joined.
        others = [other for other in names if other != name]
        session.publishes([*(to_neighbour(other) for other in others), *ANSWER])
        session.subscribes(feeder, [SITE, KNOWLEDGE, *measurement_quantities(none)])
        for other in others:
            session.subscribes(other, [to_neighbour(name)])
        session.initialize()
        session.execute()
        site = text_to_site(session.receive(feeder, of_step=None, only=SITE.name)[SITE.name])
        session.expects(feeder, measurement_quantities(Sizes.of(site)))
        text = session.receive(feeder, of_step=None, only=KNOWLEDGE.name)[KNOWLEDGE.name]
        knowledge = text_to_knowledge(text, site)
        part = make_part(study, knowledge, position)
        check_slots(part, names)
        forecaster = make_forecaster(study, knowledge)
        rounds = _Rounds(session, part, position, names, may_be_silent=may_be_silent(study))
        states = None if folder is None else AreaStates(folder, name, forecaster, part.agent)
        if study.resumes_at and states is not None:
            states.take_over(study.resumes_at - 1)
        for step in range(study.resumes_at or 0, grid.steps):
            time_s = float(grid.second(step))
            session.advance(time_s + TICK_S)
            measurement = decode_measurement(session.receive(feeder, of_step=step))
            forecast = forecaster.forecast(measurement, study.horizon)
            if int(time_s) % interval_s == 0:
                say({"step": step, "doing": "plan"})
                rounds.plan(step, time_s, measurement, forecast)
            if states is not None:
                states.keep(step)
    # A program of an owner ends here, before the last step is on record.
    say({"doing": "finished"})


def _joined(name: str, address: Address, chosen: AreasOptions | None) -> Session | Port:
    """A session in this process, or behind a port where the others can go on without this area."""
    if chosen is None or chosen.hold_s is None:
        return Session(name, address, period_s=0.0, offset_s=0.0)
    return Port(name, address, hang_limit_s=chosen.hang_limit_s)


def check_slots(part: AreaPart, names: Sequence[str]) -> None:
    """Refuse what does not fit into the time before a decision.

    Raises:
        ContractError: there are too many slots, or too few or too many federates.
    """
    if len(part.names) != len(names):
        raise ContractError(
            f"the scenario has {len(names)} federates of role area ({', '.join(names)}), the planner cuts "
            f"the feeder into {len(part.names)} areas; list one federate for each area"
        )
    if len(part.slots) > MOST_SLOTS:
        raise ContractError(
            f"{len(part.slots)} slots do not fit before a decision over HELICS, at most {MOST_SLOTS} do; "
            "reduce control.planner.options.rounds"
        )


class _Rounds:
    """The exchange of one area with its neighbours.

    Args:
        session: of the federate.
        part: of the planner.
        position: of the area.
        federates: names of the federates of all areas.
        may_be_silent: whether neighbours may say nothing.
    """

    def __init__(
        self,
        session: Session | Port,
        part: AreaPart,
        position: int,
        federates: Sequence[str],
        *,
        may_be_silent: bool,
    ) -> None:
        self._session, self._part, self._may_be_silent = session, part, may_be_silent
        self._federate_of = dict(zip(part.names, federates, strict=True))
        self._area = position
        self._name = federates[position]

    def plan(self, step: int, time_s: float, measurement: Measurement, forecast: Forecast) -> None:
        """All rounds of one plan, and its answer."""
        agent, slots = self._part.agent, self._part.slots
        agent.begin(measurement, forecast)
        done = -1
        for number, slot in enumerate(slots):
            if self._area not in slot.areas:
                continue
            # The first slot is where the measurement was read.
            if number:
                self._session.advance(time_s + (2 * number + 1) * TICK_S)
            sent = agent.round(slot.round, self._received(step, slots, done, number))
            done = number
            self._session.advance(time_s + (2 * number + 2) * TICK_S)
            self._session.publish(
                {to_neighbour(self._federate_of[area]).name: message for area, message in sent.items()}
            )
        self._session.advance(time_s + (2 * len(slots) + 1) * TICK_S)
        answer = agent.answer(self._received(step, slots, done, len(slots)))
        if answer is not None:
            self._session.publish(encode_answer(step, answer))

    def _received(self, step: int, slots: Sequence[Slot], done: int, number: int) -> dict[str, Message]:
        """What neighbours sent in the slots that this area has not heard yet.

        Args:
            step: of the run.
            slots: of the plan.
            done: slot in which this area acted last, -1 for none.
            number: slot in which it acts now.
        """
        # A message of slot `done` was published after this area had read in that slot.
        since = slots[max(done, 0) : number]
        acted = {self._part.names[area] for slot in since for area in slot.areas}
        quantity = to_neighbour(self._name).name
        return {
            area: self._session.receive(self._federate_of[area], of_step=step)[quantity]
            for area in self._part.agent.neighbours
            if area in acted and self._is_there(area, quantity)
        }

    def _is_there(self, area: str, quantity: str) -> bool:
        """Whether a neighbour has sent something; where nobody may be silent it must have."""
        return not self._may_be_silent or self._session.has_news(self._federate_of[area], quantity)


class AnswersOverHelics:
    """Answers of areas that run in federates of their own, for the planner in the controller.

    Args:
        session: of the controller.
        federates: names of the federates of the areas.
        may_be_silent: whether areas may give no answer.
    """

    def __init__(self, session: Session, federates: Sequence[str], *, may_be_silent: bool) -> None:
        self._session, self._federates, self._may_be_silent = session, federates, may_be_silent
        for federate in federates:
            session.subscribes(federate, ANSWER)

    def __call__(self, measurement: Measurement, forecast: Forecast) -> list[AreaAnswer | None]:
        """See :class:`cosim.opf.distributed.messages.AnswersOfAreas`."""
        del forecast
        return [self._answer(federate, measurement.step) for federate in self._federates]

    def _answer(self, federate: str, step: int) -> AreaAnswer | None:
        """The answer of an area; None where it is silent and may be."""
        if self._may_be_silent and not self._session.has_news(federate, ANSWER[0].name):
            return None
        return decode_answer(self._session.receive(federate, of_step=step), federate, step)

    def state(self) -> None:
        """See :class:`cosim.model.roles.Resumable`; areas keep their states themselves."""

    def restore(self, state: None) -> None:
        """See :class:`cosim.model.roles.Resumable`."""
