"""A federate of somebody else: listens to the feeder's import and writes it down."""

from __future__ import annotations

import sys
from pathlib import Path

from cosim.run.study import Study
from federates.address import Address
from federates.codec import Quantity
from federates.session import KEEP_S, Session


def main(core: str, port: str, key: str, name: str, study_file: str, out: str) -> None:
    study = Study.from_json(Path(study_file).read_text(encoding="utf-8"))
    grid, heard = study.grid, []
    with Session(name, Address(core, int(port), key), period_s=grid.step_s, offset_s=KEEP_S) as session:
        session.subscribes(
            study.scenario.federate("feeder"), [Quantity("result_import_kw", "double", "kW")]
        )
        session.initialize()
        session.execute()
        for step in range(grid.steps):
            session.advance(grid.second(step) + KEEP_S)
            heard.append(
                session.receive(study.scenario.federate("feeder"), of_step=step)["result_import_kw"]
            )
    Path(out).write_text("\n".join(map(repr, heard)), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
