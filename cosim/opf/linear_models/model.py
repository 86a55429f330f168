"""A network that is affine in the device powers, and the one that comes from the twin's slopes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from cosim.model.arrays import ComplexArray, FloatArray, IntArray
from cosim.model.twin import Prices, Quantity, Slope, Twin, TwinFlow
from cosim.opf.expected import Expected


@dataclass(frozen=True)
class Prediction(Expected):
    """What a linear model says of a dispatch, or the exact flow in the same form.

    Attributes:
        line_share: currents of lines, share of the rating, shape (conductor, period); no rows where a
            method has no model of them.
    """

    line_share: FloatArray

    def values(self, quantity: Quantity) -> FloatArray:
        """Voltages in pu, or currents of lines, shape (place, period)."""
        return self.voltage_pu if quantity is Quantity.VOLTAGE else self.line_share


class LinearModel(Protocol):
    """Voltages, line currents, import and losses of all periods, affine in the device injections."""

    @property
    def import_slope(self) -> Slope:
        """Change of the import, kW per kW and kvar of each device, shape (period, device) each."""
        ...

    @property
    def losses_slope(self) -> Slope:
        """Loss factors: change of the losses, kW per kW and kvar, shape (period, device) each."""
        ...

    def predict(self, device_kva: ComplexArray) -> Prediction:
        """What the model says of device injections, shape (period, device)."""
        ...

    def slope(self, quantity: Quantity, place: IntArray, period: IntArray) -> Slope:
        """Change of some voltages or line currents per kW and kvar of each device, one row each."""
        ...


@dataclass(frozen=True)
class Expansion:
    """First order of the power flow about an operating point, capacitors held.

    Slopes of import and losses are those with taps that follow, as far as the twin lets them: with taps
    held, a plan could earn by a lower voltage what a regulator then undoes. Voltages and currents are those
    with taps held.

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
        none = np.zeros(len(about.losses_kw))
        imported = Prices(import_kw=none + 1.0, losses_kw=none, deviation_pu2=none, centre_pu=1.0)
        lost = Prices(import_kw=none, losses_kw=none + 1.0, deviation_pu2=none, centre_pu=1.0)
        slopes = [
            twin.cost_slope(slopes_of, prices, twin.tap_worth(slopes_of, prices))
            for prices in (imported, lost)
        ]
        return cls(twin, about, slopes_of, *slopes)

    def predict(self, device_kva: ComplexArray) -> Prediction:
        """See :class:`LinearModel`."""
        about, moved = self.about, device_kva - self.about.device_kva
        change = self.twin.first_order(self.slopes_of, moved)
        import_kw, losses_kw = (
            (p * moved.real + q * moved.imag).sum(axis=1) for p, q in (self.import_slope, self.losses_slope)
        )
        return Prediction(
            about.import_kva + import_kw + 1j * change.import_kva.imag,
            about.losses_kw + losses_kw,
            about.voltage_pu + change.voltage_pu,
            self.twin.values(about, Quantity.LINE) + change.line_share,
        )

    def slope(self, quantity: Quantity, place: IntArray, period: IntArray) -> Slope:
        """See :class:`LinearModel`."""
        return self.twin.slope(self.slopes_of, quantity, place, period)


def exact_of(twin: Twin, flow: TwinFlow) -> Prediction:
    """What an exact flow says."""
    line_share = twin.values(flow, Quantity.LINE)
    return Prediction(flow.import_kva, flow.losses_kw, flow.voltage_pu, line_share)
