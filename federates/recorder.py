"""The recorder federate: writes every finished step, and says so."""

from __future__ import annotations

from pathlib import Path

from cosim.run.loop import StepRecord
from cosim.run.parts import parts_of
from cosim.run.record import RecordWriter
from cosim.run.resume import earlier_record
from cosim.run.study import Study
from federates.address import Address
from federates.codec import (
    OUTLOOK,
    SITE,
    TELEMETRY,
    Sizes,
    decode_measurement,
    decode_outcome,
    measurement_quantities,
    outcome_quantities,
    text_to_site,
)
from federates.decisions import DecisionsOverHelics
from federates.events import say
from federates.session import KEEP_S, Session, kept


def run_recorder(study: Study, address: Address, folder: Path) -> None:
    """Join, learn the site, and keep one row per step."""
    grid, names = study.grid, study.scenario.federate
    recorder, feeder = names("recorder"), names("feeder")
    with Session(recorder, address, period_s=grid.step_s, offset_s=KEEP_S) as session:
        none = Sizes(meters=len(study.scenario.metrics.meters))
        session.subscribes(feeder, [SITE, *measurement_quantities(none), *outcome_quantities(none)])
        beside = [*TELEMETRY, *([OUTLOOK] if study.scenario.record.forecasts else [])]
        decisions = DecisionsOverHelics(session, study.scenario.controller_names, beside)
        session.initialize()
        session.execute()
        site = text_to_site(session.receive(feeder, of_step=None, only=SITE.name)[SITE.name])
        sizes = Sizes.of(site, none.meters)
        session.expects(feeder, [*measurement_quantities(sizes), *outcome_quantities(sizes)])
        decisions.expects(parts_of(study, site), sizes)
        config, earlier = study.scenario.record, earlier_record(study, folder)
        writer = RecordWriter(folder, site, config, earlier, in_parts=study.kept_whole)
        try:
            for step in range(study.resumes_at or 0, grid.steps):
                session.advance(grid.second(step) + KEEP_S)
                seen = session.receive(feeder, of_step=step)
                decision = decisions.of_step(step)
                writer.keep(StepRecord(decode_measurement(seen), decision, decode_outcome(seen)))
                session.tell(feeder, kept(step))
                say({"kept": step})
        finally:
            writer.close()
