"""The controller federate: the policy's role, over HELICS."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from cosim.errors import ContractError
from cosim.run.area_part import may_be_silent
from cosim.run.checkpoint import Checkpoints
from cosim.run.contract import checked, sealed
from cosim.run.knowledge import text_to_knowledge
from cosim.run.loop import answer_of, start_controller
from cosim.run.parts import parts_of
from cosim.run.policy import controller_at_work, needs_of_study
from cosim.run.resume import take_over
from cosim.run.study import Study
from cosim.run.together import own_decision
from cosim.twin.compilation import COMPILATION
from federates.address import Address
from federates.area import AnswersOverHelics
from federates.codec import (
    OUTLOOK,
    SITE,
    TELEMETRY,
    Sizes,
    decision_quantities,
    decode_measurement,
    encode_decision,
    encode_outlook,
    knowledge_for,
    measurement_quantities,
    text_to_site,
)
from federates.events import say
from federates.federation import DECIDED
from federates.published import PUBLISHED_QUANTITIES, Inbox
from federates.session import DECIDE_S, Session


def run_controller(whole: Study, address: Address, folder: Path, name: str | None = None) -> None:
    """Join, learn the site from the feeder, and answer every measurement.

    Args:
        whole: what is run.
        address: of the broker.
        folder: gets states of the controller, to carry on from.
        name: which of several controllers; None for one.

    Raises:
        ContractError: the scenario has no controller of this name.
    """
    COMPILATION.on_begin(lambda: say({"doing": "compile"}))
    study, place = _own_study(whole, name)
    grid, feeder = study.grid, study.scenario.federate("feeder")
    keeps_forecasts = study.scenario.record.forecasts
    controller_name, what_it_may_know = study.name_of_controller, knowledge_for(study.part)
    with Session(controller_name, address, period_s=grid.step_s, offset_s=DECIDE_S) as session:
        session.publishes([*decision_quantities(Sizes()), *TELEMETRY])
        if keeps_forecasts:
            session.publishes([OUTLOOK])
        session.subscribes(feeder, [SITE, what_it_may_know, *measurement_quantities(Sizes())])
        areas = study.scenario.area_federates
        silent = bool(areas) and may_be_silent(study)
        answers = AnswersOverHelics(session, areas, may_be_silent=silent) if areas else None
        inbox = _inbox(study)
        if inbox is not None:
            session.subscribes(inbox.name, PUBLISHED_QUANTITIES)
        session.initialize()
        session.execute()
        site = text_to_site(session.receive(feeder, of_step=None, only=SITE.name)[SITE.name])
        session.expects(feeder, measurement_quantities(Sizes.of(site)))
        text = session.receive(feeder, of_step=None, only=what_it_may_know.name)[what_it_may_know.name]
        knowledge = replace(text_to_knowledge(text, site), areas=answers, published=inbox)
        parts = parts_of(whole, site)
        part = parts[place] if parts else None
        controller = controller_at_work(study, knowledge, part)
        start_controller(controller, site, controller_name)
        states = Checkpoints(folder, study.part or "")
        take_over(controller, study, states)
        for step in range(study.resumes_at or 0, grid.steps):
            session.advance(grid.second(step) + DECIDE_S)
            measurement = decode_measurement(session.receive(feeder, of_step=step))
            if measurement.step != step:
                raise ContractError(
                    f"the feeder measured step {measurement.step} where the controller is at step {step}"
                )
            if inbox is not None:
                inbox.take(session.receive(inbox.name, of_step=step), step)
            say({"step": step, "doing": "plan"})
            decided = answer_of(controller, sealed(measurement), controller_name)
            if part is None:
                decision = checked(decided, site, measurement, owner=controller_name)
            else:
                decision = own_decision(decided, part, measurement)
            session.publish(encode_decision(decision))
            if part is not None:
                say({"step": step, "doing": DECIDED})
            if keeps_forecasts:
                session.publish(encode_outlook(decision))
            states.offer(step, controller)


def _own_study(whole: Study, name: str | None) -> tuple[Study, int]:
    """The study as a controller sees it, and its place among several.

    Raises:
        ContractError: there is no controller of this name.
    """
    studies = whole.each_controller
    names = [study.part for study in studies]
    if name not in names:
        raise ContractError(
            f"no controller is called {name!r}; there are {', '.join(map(str, names))}: start the process "
            "with --name"
        )
    place = names.index(name)
    return studies[place], place


def _inbox(study: Study) -> Inbox | None:
    """For what a federate publishes, where the scenario has one and a forecaster listens to it."""
    publisher = study.scenario.publisher
    if publisher is None or "published" not in needs_of_study(study):
        return None
    return Inbox(publisher.name)
