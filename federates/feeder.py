"""The feeder federate: the plant's role, over HELICS."""

from __future__ import annotations

from pathlib import Path

from cosim.run.assembly import Assembly
from cosim.run.knowledge import knowledge_to_text
from cosim.run.resume import repeat_steps
from cosim.run.study import Study
from federates.address import Address
from federates.codec import (
    SITE,
    Sizes,
    encode_measurement,
    encode_outcome,
    knowledge_for,
    measurement_quantities,
    outcome_quantities,
    site_to_text,
)
from federates.decisions import DecisionsOverHelics
from federates.events import say
from federates.session import ACT_S, Session, kept


def run_feeder(study: Study, address: Address, folder: Path) -> None:
    """Join, publish the site, and go through all steps of the reference loop.

    Args:
        study: what is run.
        address: of the broker.
        folder: of the record; read where a run is carried on.

    No step is committed before the one before it is on disk. The recorder says so by a command: a
    subscription would make feeder and recorder wait for each other's time, and HELICS 3.6.1 spends a
    whole core on such a pair while the controller computes.
    """
    names = study.scenario.federate
    feeder, studies = names("feeder"), study.each_controller
    with Session(feeder, address, period_s=0.0, offset_s=0.0) as session, Assembly(study) as assembly:
        plant, site = assembly.plant, assembly.site
        sizes = Sizes.of(site, len(study.scenario.metrics.meters))
        known = [knowledge_for(own.part) for own in studies]
        session.publishes([SITE, *known, *measurement_quantities(sizes), *outcome_quantities(sizes)])
        decisions = DecisionsOverHelics(session, study.scenario.controller_names, [])
        session.initialize()
        decisions.expects(assembly.parts, sizes)
        session.publish({SITE.name: site_to_text(site)})
        for quantity, own in zip(known, studies, strict=True):
            session.publish({quantity.name: knowledge_to_text(assembly.knowledge_of(own))})
        first = study.resumes_at or 0
        repeat_steps(plant, study, folder, lambda step: say({"step": step, "doing": "repeat"}))
        session.execute()
        for step in range(first, site.grid.steps):
            time_s = float(site.grid.second(step))
            if step:
                session.advance(time_s)
            say({"step": step, "doing": "measure"})
            session.publish(encode_measurement(plant.measure(step)))
            if step > first:  # asked for only now, while the controller computes
                session.await_told(kept(step - 1))
            say({"step": step, "doing": "decide"})
            session.advance(time_s + ACT_S)
            decision = decisions.of_step(step)
            say({"step": step, "doing": "commit"})
            session.publish(encode_outcome(plant.act(decision, step=step)))
        session.advance(float(site.grid.second(site.grid.steps)))
        session.await_told(kept(site.grid.steps - 1))
