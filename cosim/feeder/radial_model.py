"""The radial model of a feeder in operation, or why it has none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from cosim.errors import NoRadialModel
from cosim.feeder.branch import Watched
from cosim.feeder.circuit import Circuit
from cosim.feeder.extract import Connected, extract_network
from cosim.feeder.loads import LoadTable
from cosim.model.network import RadialNetwork
from cosim.twin.control_settings import SwitchedCapacitor


def radial_model(
    circuit: Circuit,
    watched: tuple[Watched, ...],
    loads: LoadTable,
    *,
    devices: list[Connected],
    taps: Mapping[str, float],
    banks: Sequence[SwitchedCapacitor | None],
    source_ratio: float,
) -> tuple[RadialNetwork | None, str]:
    """The radial model at an operating point, or None and why there is none.

    Args:
        circuit: at the operating point.
        watched: the voltages of the site's nodes.
        loads: of the circuit.
        devices: legs of the devices.
        taps: ratio of each tap that moves.
        banks: network devices of the site; None for one that is no capacitor bank.
        source_ratio: voltage of the sources now over what the master says.
    """
    try:
        network = extract_network(
            circuit,
            watched,
            loads=list(loads.connected),
            load_kva=np.hypot(loads.kw, loads.kvar),
            load_zip=(loads.zip_p, loads.zip_q),
            devices=devices,
            regulators=tuple(taps),
            tap=np.array(list(taps.values()), dtype=np.float64),
            banks=banks,
        )
    except NoRadialModel as error:
        return None, str(error)
    # The model is that of the master's source voltage, whatever it is at the reading.
    return replace(network, source_pu=network.source_pu / source_ratio), ""
