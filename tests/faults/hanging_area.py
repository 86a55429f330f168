"""An area controller that sleeps from a step on, and whose process stays alive."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import replace

from cosim.model.forecast import Forecast
from cosim.model.state import Measurement
from cosim.opf.distributed.messages import AreaPart, Message
from cosim.run.area_part import make_area_part
from cosim.run.knowledge import Knowledge
from cosim.run.study import Study
from tests.federates.own_area import Careful, main

HANGS_AT = 2
LONG_S = 3600.0


class Hanging(Careful):
    def begin(self, measurement: Measurement, forecast: Forecast) -> None:
        self._step = measurement.step
        super().begin(measurement, forecast)

    def round(self, number: int, received: Mapping[str, Message]) -> dict[str, Message]:
        if self._step >= HANGS_AT and number:
            time.sleep(LONG_S)
        return super().round(number, received)


def my_part(study: Study, knowledge: Knowledge, position: int) -> AreaPart:
    part = make_area_part(study, knowledge, position)
    return replace(part, agent=Hanging(part.agent))


if __name__ == "__main__":
    main(*sys.argv[1:], make_part=my_part)
