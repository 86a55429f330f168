"""The feeder federate: the plant's role, over HELICS."""

from __future__ import annotations

from cosim.errors import ContractError
from cosim.run.plant import build_plant
from cosim.run.study import Study
from federates.codec import (
    KEPT,
    SITE,
    Sizes,
    decision_quantities,
    decode_decision,
    encode_measurement,
    encode_outcome,
    measurement_quantities,
    outcome_quantities,
    site_to_text,
)
from federates.session import CONTROLLER, EPS_S, FEEDER, RECORDER, Address, Session, say


def run_feeder(study: Study, address: Address) -> None:
    """Join, publish the site, and go through all steps of the reference loop."""
    with Session(FEEDER, address, period_s=0.0, offset_s=0.0) as session:
        plant = build_plant(study)
        site = plant.site
        sizes = Sizes.of(site)
        session.publishes([SITE, *measurement_quantities(sizes), *outcome_quantities(sizes)])
        session.subscribes(CONTROLLER, decision_quantities(sizes))
        session.subscribes(RECORDER, [KEPT])
        session.initialize()
        session.publish({SITE.name: site_to_text(site)})
        session.execute()
        for step in range(site.grid.steps):
            time_s = float(site.grid.second(step))
            if step:
                session.advance(time_s)
                _check_kept(session, step - 1)
            say({"step": step, "doing": "measure"})
            session.publish(encode_measurement(plant.measure(step)))
            say({"step": step, "doing": "decide"})
            session.advance(time_s + EPS_S)
            decision = decode_decision(session.receive(CONTROLLER, of_step=step))
            say({"step": step, "doing": "commit"})
            session.publish(encode_outcome(plant.act(decision, step=step)))
        session.advance(float(site.grid.second(site.grid.steps)))
        _check_kept(session, site.grid.steps - 1)


def _check_kept(session: Session, step: int) -> None:
    """A step is over when the recorder has it on disk."""
    kept = session.receive(RECORDER, of_step=step)[KEPT.name]
    if kept != step:
        raise ContractError(f"the recorder kept step {kept} where the feeder finished step {step}")
