"""Which measured voltages are those of an inverter's own terminals."""

from __future__ import annotations

import numpy as np

from cosim.errors import ContractError
from cosim.model.arrays import FloatArray, IntArray
from cosim.model.device import Device
from cosim.model.site import Site
from cosim.model.state import Measurement


def nodes_of_devices(site: Site) -> tuple[IntArray, ...]:
    """Places of each device's own nodes in vectors per node.

    Raises:
        ContractError: nothing is measured at the bus of a device.
    """
    at_bus: dict[str, list[int]] = {}
    for place, node in enumerate(site.nodes):
        at_bus.setdefault(node.partition(".")[0].lower(), []).append(place)
    return tuple(_nodes_of(device, site, at_bus.get(device.bus.lower(), [])) for device in site.devices)


def _nodes_of(device: Device, site: Site, here: list[int]) -> IntArray:
    if not here:
        raise ContractError(f"no voltage is measured at bus {device.bus} of {device.name}")
    wanted = {str(phase) for phase in device.phases}
    # Between phases a node is called 775.1-2.
    own = [at for at in here if set(site.nodes[at].partition(".")[2].split("-")) & wanted]
    return np.array(own or here, dtype=np.int64)


def mean_voltage_pu(nodes: tuple[IntArray, ...], measurement: Measurement) -> FloatArray:
    """Mean voltage of each device's own nodes, shape (device,)."""
    return np.array([measurement.voltage_pu[own].mean() for own in nodes], dtype=np.float64)
