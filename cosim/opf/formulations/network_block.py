"""What a formulation of the network offers the planner."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import cvxpy as cp

from cosim.errors import FormulationRefused
from cosim.model.arrays import ComplexArray, FloatArray
from cosim.model.device import Device
from cosim.model.forecast import Forecast
from cosim.model.network import RadialNetwork
from cosim.model.site import Site
from cosim.model.state import Measurement
from cosim.model.timegrid import Horizon
from cosim.opf.devices.energy_block import EnergyBlock
from cosim.opf.devices.source_block import SourceBlock
from cosim.opf.expected import Expected
from cosim.opf.options import PlannerOptions
from cosim.opf.program import Block


class Injections(Protocol):
    """Devices of one sort, as a network sees them."""

    @property
    def ratings(self) -> Sequence[Device]:
        """The devices; without any there are no powers."""
        ...

    @property
    def change_kw(self) -> cp.Expression:
        """Active power beyond what is data, shape (device, period)."""
        ...

    @property
    def kvar(self) -> cp.Expression:
        """Reactive power, shape (device, period)."""
        ...


class NetworkBlock(Block, Protocol):
    """Network equations and limits of one compiled program."""

    @property
    def import_kw(self) -> cp.Expression:
        """The part of the import that the program decides, shape (period,)."""
        ...

    @property
    def blind_to(self) -> tuple[str, ...]:
        """Options of :meth:`PlannerOptions.asked` that change nothing here."""
        ...

    @property
    def caution(self) -> str:
        """What is doubtful about the present data, a sentence for a refusal; empty if nothing."""
        ...

    def update(self, measurement: Measurement, forecast: Forecast) -> FloatArray:
        """Set the data; returns the part of the import that is data, shape (period,)."""
        ...

    def expected(self, energy_kva: ComplexArray, source_kva: ComplexArray) -> Expected:
        """What the model says of a plan; arguments of shape (device, period)."""
        ...

    def slack_pu(self) -> float:
        """Largest voltage violation the program allowed itself."""
        ...

    def over_kw(self) -> float:
        """Largest violation of a line's rating the program allowed itself, kVA."""
        ...

    def relaxation_gap(self) -> FloatArray | None:
        """Losses in kVA that the relaxation invents, per branch and period; None if nothing is relaxed.

        Zero everywhere means that the relaxed solution is a solution. In kVA, because on a jumper of
        a millionth of an ohm the current is free to be anything and nobody loses by it.
        """
        ...


@runtime_checkable
class AreaBlock(NetworkBlock, Protocol):
    """A formulation that can describe an area of a feeder, fed from nodes of another area."""

    def drawn_kva(self) -> ComplexArray:
        """Power that the area draws at each head, of the plan that :meth:`expected` was asked about.

        Shape (head, period). A model that is corrected by the measurement puts what it says of the moment
        of the measurement before the first period.
        """
        ...


@runtime_checkable
class CoupledBlock(AreaBlock, Protocol):
    """A formulation whose boundary values are variables, see :mod:`cosim.opf.formulations.coupling`."""

    def drawn_now_kva(self, measurement: Measurement) -> ComplexArray:
        """Power that the area draws at each head at a measurement, by the lossless model, shape (head,)."""
        ...


Formulation = Callable[[Site, EnergyBlock, SourceBlock, Horizon, PlannerOptions], NetworkBlock]


def radial_network(site: Site, formulation: str) -> RadialNetwork:
    """The site's tree.

    Raises:
        FormulationRefused: it has none; the message repeats why and says what to use.
    """
    if site.network is None:
        raise FormulationRefused(
            f"planner {formulation} needs a radial feeder: {site.no_network_reason}; "
            "planner copper_plate needs no network"
        )
    return site.network
