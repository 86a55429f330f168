"""The devices of one kind in operation: their elements in the circuit, written and read together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cosim.devices.kind import DeviceKind
from cosim.errors import FeederError
from cosim.feeder.compiled import FeederModel
from cosim.feeder.elements.element import element_of
from cosim.feeder.engine import Batch
from cosim.model.arrays import FloatArray, IntArray
from cosim.model.device import Device


class Group:
    """Devices of one kind.

    Args:
        model: the compiled feeder they belong to.
        kind: theirs.
        place: in vectors per device.
        devices: of the kind.

    Attributes:
        element: the kind's side in OpenDSS.
        as_is: those that set-points are not written to, by their place in the group.
        commanded: whether set-points are written to each device.
        batch, at: all elements of the class in the circuit, and where ours are; after :meth:`open`.
    """

    def __init__(
        self, model: FeederModel, kind: DeviceKind, place: slice, devices: Sequence[Device]
    ) -> None:
        self._model, self._kind = model, kind
        self.element = element_of(kind)
        self.place, self.devices = place, tuple(devices)
        self.as_is = [i for i, device in enumerate(devices) if model.leaves_alone(device)]
        self.commanded = np.full(len(devices), model.commanded)
        self.batch: Batch
        self.at: IntArray

    def add(self) -> None:
        """Add the devices that the master does not define."""
        for device in self.devices:
            if not self._model.is_found(device):
                self.element.add(self._model.engine, device)

    def open(self, batch: Batch) -> None:
        """Find the devices among all elements of their class; kinds of one class share the batch."""
        self.batch = batch
        self.at = positions(self.batch, [device.name for device in self.devices])

    def write(self, kw: FloatArray, kvar: FloatArray) -> None:
        """Write accepted set-points to all devices but those left as they are."""
        if len(self.as_is) == len(self.devices):
            return
        kw, kvar = kw.copy(), kvar.copy()
        kw[self.as_is] = kvar[self.as_is] = np.nan
        self.element.write(self.batch, self.at, self.devices, kw, kvar)


def positions(batch: Batch, names: Sequence[str]) -> IntArray:
    """Place of each name in a batch.

    Raises:
        FeederError: a name is not there.
    """
    place = {name: i for i, name in enumerate(batch.names)}
    missing = [name for name in names if name not in place]
    if missing:
        raise FeederError(f"the circuit has no {batch.class_name} named {', '.join(missing)}")
    return np.array([place[name] for name in names], dtype=np.int64)
