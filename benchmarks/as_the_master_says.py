"""A plant that commands nothing against plain OpenDSS, feeder by feeder.

    python -m benchmarks.as_the_master_says MASTER.dss [MASTER.dss ...]

For each master: the largest difference of a node voltage in pu of the master's own bases, and of import
P and Q relative to the larger of 100 kVA and the import, between a plant without commands and the same
circuit compiled and solved by OpenDSS alone, at nominal load and at the irradiance 0.7 kW/m².
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from cosim.errors import FeederError
from cosim.feeder.compiled import FeederModel
from cosim.feeder.engine import Engine
from cosim.feeder.plant import Feeder
from cosim.model.device import Device
from cosim.model.exogenous import Exogenous
from cosim.model.state import Setpoints
from cosim.model.timegrid import TimeGrid

IRRADIANCE = 0.7
TOLERANCE = 1e-8


@dataclass(frozen=True)
class Apart:
    """How far the plant is from plain OpenDSS.

    Attributes:
        voltage_pu: largest difference of a node voltage.
        node: where.
        import_part: difference of the import as a part of it.
        nodes: how many were compared.
    """

    voltage_pu: float
    node: str
    import_part: float
    nodes: int


def apart(master: Path, devices: tuple[Device, ...] = ()) -> Apart:
    """Compare one master.

    Args:
        master: OpenDSS master file.
        devices: added to the plant only; nobody commands them, so they must not matter.
    """
    model = FeederModel(master, tolerance=TOLERANCE, commanded=False)
    loads = model.loads
    exogenous = Exogenous(
        3600,
        loads.kw,
        loads.kvar,
        np.ones((1, 1)),
        np.zeros(len(loads.names), dtype=np.int64),
        np.full(1, IRRADIANCE),
        np.zeros(1),
    )
    with Feeder(
        model,
        devices=(*devices, *model.found),
        exogenous=exogenous,
        grid=TimeGrid(datetime(2024, 6, 21, tzinfo=UTC), 3600, 1),
    ) as feeder:
        solves = feeder.settling_solves
        feeder.measure(0)
        feeder.apply(Setpoints.idle(feeder.site))
        result = feeder.commit()
        mine = dict(zip(model.engine.node_names(), model.engine.voltages().copy(), strict=True))
    plain = Engine()
    if model.script.notes:  # the engine alone would write files, or not find them
        plain.compile(model.script)
    else:
        plain.command(f'redirect "{master.resolve()}"')
    plain.command("set mode=snapshot controlmode=static maxiterations=100 maxcontroliter=100")
    plain.solve(controls=True)
    plain.refresh_nodes()
    if any(device.kind == "pv" for device in model.found):
        plain.command(f"batchedit pvsystem..* irradiance={IRRADIANCE}")
    plain.command(f"set tolerance={TOLERANCE}")
    # Inverter controls stop at a tolerance of their own, so the same number of solves is made.
    for controls in (*[True] * solves, False, True):
        plain.solve(controls=controls)
    p, q = plain.dss.Circuit.TotalPower()
    names, volts, base = plain.node_names(), plain.voltages(), plain.node_base_kv() * 1e3
    scale = np.where(base > 0, base, np.maximum(np.abs(volts), 1.0))
    difference = np.abs(volts - np.array([mine[name] for name in names])) / scale
    worst = int(np.argmax(difference))
    both = complex(result.import_kw, result.import_kvar), complex(-p, -q)
    return Apart(
        float(difference[worst]),
        names[worst],
        abs(both[0] - both[1]) / max(abs(both[1]), 100.0),
        len(names),
    )


def main(masters: list[str]) -> None:
    """Print one line per master."""
    for text in masters:
        try:
            found = apart(Path(text))
        except FeederError as error:
            print(f"{text}: refused: {error}")
            continue
        print(
            f"{text}: {found.nodes} nodes, {found.voltage_pu:.1e} pu at {found.node}, "
            f"import {found.import_part:.1e}"
        )


if __name__ == "__main__":
    main(sys.argv[1:])
