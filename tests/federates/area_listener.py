"""A curious federate: lists what two areas publish, and writes down every message between them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import helics as h

from cosim.run.study import Study
from federates.address import Address
from federates.area import TICK_S
from federates.area_codec import to_neighbour
from federates.session import Session


def main(core: str, port: str, key: str, name: str, study_file: str, slots: str, out: str) -> None:
    study = Study.from_json(Path(study_file).read_text(encoding="utf-8"))
    first, second, *_ = study.scenario.area_federates
    heard: dict[str, list[list[float]]] = {first: [], second: []}
    with Session(name, Address(core, int(port), key), period_s=0.0, offset_s=0.0) as session:
        session.subscribes(first, [to_neighbour(second)])
        session.subscribes(second, [to_neighbour(first)])
        session.initialize()
        session.execute()
        published = {area: _publications(session, area) for area in heard}
        for step in range(study.grid.steps):
            for slot in range(int(slots)):
                session.advance(study.grid.second(step) + (2 * slot + 3) * TICK_S)
                for area, other in ((first, second), (second, first)):
                    handle = session._inputs[area][to_neighbour(other).name][1]
                    if h.helicsInputIsUpdated(handle):
                        heard[area].append(h.helicsInputGetVector(handle))
    Path(out).write_text(json.dumps({"published": published, "heard": heard}), encoding="utf-8")


def _publications(session: Session, federate: str) -> list[str]:
    answer = h.helicsQueryExecute(h.helicsCreateQuery(federate, "publications"), session._federate)
    return json.loads(answer) if isinstance(answer, str) else list(answer)


if __name__ == "__main__":
    main(*sys.argv[1:])
