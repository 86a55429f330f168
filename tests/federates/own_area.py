"""An area controller of an owner: it trusts only a part of its forecast of the sun, and tells nobody."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from cosim.model.forecast import Forecast
from cosim.model.state import Measurement
from cosim.opf.distributed.messages import AreaAgent, AreaAnswer, AreaPart, Message
from cosim.run.area_part import make_area_part
from cosim.run.knowledge import Knowledge
from cosim.run.study import Study
from federates.address import Address
from federates.area import MakePart, run_area

TRUSTED = 1.0


class Careful:
    def __init__(self, agent: AreaAgent) -> None:
        self._agent, self.name, self.neighbours = agent, agent.name, agent.neighbours

    def begin(self, measurement: Measurement, forecast: Forecast) -> None:
        less = replace(forecast, available_kw=TRUSTED * forecast.available_kw)
        self._agent.begin(measurement, less)

    def round(self, number: int, received: Mapping[str, Message]) -> dict[str, Message]:
        return self._agent.round(number, received)

    def answer(self, received: Mapping[str, Message]) -> AreaAnswer | None:
        return self._agent.answer(received)


def my_part(study: Study, knowledge: Knowledge, position: int) -> AreaPart:
    part = make_area_part(study, knowledge, position)
    return replace(part, agent=Careful(part.agent))


def main(
    core: str, port: str, key: str, name: str, study_file: str, *, make_part: MakePart = my_part
) -> None:
    study = Study.from_json(Path(study_file).read_text(encoding="utf-8"))
    run_area(study, Address(core, int(port), key), name, make_part=make_part)


if __name__ == "__main__":
    main(*sys.argv[1:])
