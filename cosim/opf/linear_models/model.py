"""A network that is affine in the device powers, and the one that comes from the twin's slopes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from cosim.model.arrays import ComplexArray, IntArray
from cosim.model.twin import Prices, Quantity, Slope, Twin, TwinFlow
from cosim.opf.expected import Expected


class LinearModel(Protocol):
    """Voltages, import and losses of all periods, affine in the device injections."""

    @property
    def import_slope(self) -> Slope:
        """Change of the import, kW per kW and kvar of each device, shape (period, device) each."""
        ...

    @property
    def losses_slope(self) -> Slope:
        """Loss factors: change of the losses, kW per kW and kvar, shape (period, device) each."""
        ...

    def predict(self, device_kva: ComplexArray) -> Expected:
        """What the model says of device injections, shape (period, device)."""
        ...

    def voltage_slope(self, place: IntArray, period: IntArray) -> Slope:
        """Change of some voltages, pu per kW and kvar of each device, one row each."""
        ...


@dataclass(frozen=True)
class Expansion:
    """First order of the power flow about an operating point, taps and capacitors held.

    Attributes:
        twin: gives exact slopes.
        about: the operating point, whose values are exact.
        slopes_of: flow that the slopes are of; that of ``about``, or an older one.
        import_slope, losses_slope: see :class:`LinearModel`.
    """

    twin: Twin
    about: TwinFlow
    slopes_of: TwinFlow
    import_slope: Slope
    losses_slope: Slope

    @classmethod
    def of(cls, twin: Twin, about: TwinFlow, slopes_of: TwinFlow | None = None) -> Expansion:
        """The expansion about a flow."""
        slopes_of = slopes_of or about
        nothing = np.zeros(len(about.losses_kw))
        losses = Prices(import_kw=nothing, losses_kw=nothing + 1.0, deviation_pu2=nothing, centre_pu=1.0)
        free = np.zeros_like(twin.regulated(slopes_of))
        return cls(
            twin, about, slopes_of, twin.import_slope(slopes_of), twin.cost_slope(slopes_of, losses, free)
        )

    def predict(self, device_kva: ComplexArray) -> Expected:
        """See :class:`LinearModel`."""
        about = self.about
        change = self.twin.first_order(self.slopes_of, device_kva - about.device_kva)
        return Expected(
            about.import_kva + change.import_kva,
            about.losses_kw + change.losses_kw,
            about.voltage_pu + change.voltage_pu,
        )

    def voltage_slope(self, place: IntArray, period: IntArray) -> Slope:
        """See :class:`LinearModel`."""
        return self.twin.slope(self.slopes_of, Quantity.VOLTAGE, place, period)


def expected_of(flow: TwinFlow) -> Expected:
    """What an exact flow says."""
    return Expected(flow.import_kva, flow.losses_kw, flow.voltage_pu)
