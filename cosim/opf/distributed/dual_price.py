"""An aggregator publishes prices, owners answer with the schedules of their devices.

The aggregator knows the network, the loads and the price of energy, and no owner's battery or cost. In
every round it publishes a requested power for each device and period, which tells the price as well. An
owner answers with the schedule that is best for it. Prices follow the difference of request and answer:

    owner        x  minimises  own cost - price x + r / 2 (x - z)²
    aggregator   w  minimises  cost of the import and of limits + price w + r / 2 (w - z)²
    both         z  and price from the two, see :mod:`cosim.opf.distributed.consensus`

Without the squares (r = 0) owners would answer with full power or none at almost every price. The
aggregator is in the area at the substation, and plans the devices there as one of the owners.

Source: after Boyd, Parikh, Chu, Peleato and Eckstein, 2011, doi 10.1561/2200000016, section 7.3.2 (exchange
and its prices).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from cosim.devices.bounds import each
from cosim.errors import ContractError
from cosim.model.arrays import FloatArray, IntArray
from cosim.model.forecast import Forecast
from cosim.model.site import Site
from cosim.model.state import Measurement
from cosim.model.timegrid import Horizon
from cosim.opf.distributed.admm import LEAST_PRICE_PER_KWH
from cosim.opf.distributed.area_site import area_site
from cosim.opf.distributed.areas import Areas
from cosim.opf.distributed.consensus import Balance, Consensus
from cosim.opf.distributed.dual_price_options import SCALES, DualPriceOptions
from cosim.opf.distributed.exchange import slots_of
from cosim.opf.distributed.messages import AreaAgent, AreaAnswer, Message, Slot
from cosim.opf.distributed.owner import Owner
from cosim.opf.distributed.planner import AreasPlanner
from cosim.opf.distributed.schedules import Requests, Schedules
from cosim.opf.distributed.sum_agents import CODES, agent_of_sums, slots_of_sums
from cosim.opf.options import PlannerOptions
from cosim.opf.problem import Solved
from cosim.plugins import needs, options


class Link:
    """Prices and requests between the aggregator and one owner.

    Args:
        owner: name.
        devices: positions of its devices in the site.
        periods: of the horizon.
        chosen: options of the planner.
        sign: 1 for the owner, -1 for the aggregator.
    """

    def __init__(
        self, owner: str, devices: IntArray, periods: int, chosen: DualPriceOptions, sign: float
    ) -> None:
        self.owner, self.devices, self._chosen, self._sign = owner, devices, chosen, sign
        shape = (2, len(devices), periods)
        self.consensus = Consensus(shape, relaxation=chosen.relaxation, balance=Balance())

    def begin(self, charge: FloatArray, unit_kva: float, periods: IntArray) -> None:
        """Begin with the price of energy, or with the earlier plan.

        Args:
            charge: price of a kW in each period, currency.
            unit_kva: of all powers.
            periods: of the earlier plan, see :meth:`Consensus.shift`.
        """
        consensus = self.consensus
        multiplier = np.zeros(consensus.agreed.shape)
        multiplier[0] = -self._sign * charge * unit_kva
        if consensus.started:
            consensus.shift(periods, multiplier)
            return
        cost = max(float(np.abs(charge).mean()), LEAST_PRICE_PER_KWH) * unit_kva
        consensus.start(
            np.zeros(multiplier.shape),
            multiplier,
            scale=cost * np.array(SCALES),
            penalty=self._chosen.penalty,
        )

    @property
    def agreed(self) -> bool:
        """Whether both residuals are small."""
        primal, dual = float(self.consensus.primal.max()), float(self.consensus.dual.max())
        return primal <= self._chosen.tolerance and dual <= self._chosen.dual_tolerance

    @property
    def apart(self) -> float:
        """Largest difference of request and answer, units."""
        return float(self.consensus.primal.max())

    @property
    def resting(self) -> FloatArray:
        """What an owner without a solution answers."""
        return self.consensus.agreed

    def pull(self, schedules: Schedules) -> None:
        """Pull the devices of the owner."""
        schedules.pull_to(self.consensus, slice(None))

    def read(self, schedules: Schedules) -> FloatArray:
        """What the owner answers: powers of its devices, shape (2, device, period), in units."""
        return schedules.values()


class OwnerAgent:
    """An owner that exchanges messages with the aggregator.

    Args:
        owner: its devices.
        aggregator: name.
    """

    def __init__(self, owner: Owner[Link], aggregator: str) -> None:
        self._owner, self._aggregator = owner, aggregator

    @property
    def name(self) -> str:
        """Of its area."""
        return self._owner.work.area.name

    @property
    def neighbours(self) -> tuple[str, ...]:
        """The aggregator alone."""
        return (self._aggregator,)

    def begin(self, measurement: Measurement, forecast: Forecast) -> None:
        """See :class:`AreaAgent`."""
        self._owner.begin(measurement, forecast)

    def round(self, number: int, received: Mapping[str, Message]) -> dict[str, Message]:
        """Answer the prices of the last round."""
        self._take(received)
        self._owner.solve(number)
        messages = {self._aggregator: self._owner.copies.ravel()}
        self._owner.work.count_sent(messages.values())
        return messages

    def answer(self, received: Mapping[str, Message]) -> AreaAnswer:
        """See :class:`AreaAgent`."""
        self._take(received)
        return self._owner.answer()

    def _take(self, received: Mapping[str, Message]) -> None:
        for sender, message in received.items():
            own = self._owner.copies
            self._owner.link.consensus.update(own, reshaped(message, own, self.name, sender))


def reshaped(message: Message, like: FloatArray, receiver: str, sender: str) -> FloatArray:
    """A message in the shape of an array.

    Raises:
        ContractError: it has another length.
    """
    if message.shape != (like.size,):
        raise ContractError(
            f"{receiver} expected {like.size} powers from {sender}, got {message.size}; all areas must "
            "have the same horizon and the same cut"
        )
    return message.reshape(like.shape)


class AggregatorAgent:
    """The aggregator, and the owner of the area at the substation.

    Args:
        site: of the feeder.
        owner: devices of its own area.
        others: devices of the other areas by name.
        horizon: the periods of every plan.
        shared: options that planners share.
        chosen: options of the planner.
    """

    def __init__(
        self,
        site: Site,
        owner: Owner[Link],
        others: Mapping[str, IntArray],
        horizon: Horizon,
        shared: PlannerOptions,
        chosen: DualPriceOptions,
    ) -> None:
        self._owner = owner
        own = {owner.work.area.name: owner.work.area.devices}
        self._links = [
            Link(name, devices, len(horizon), chosen, -1.0)
            for name, devices in (own | dict(others)).items()
        ]
        schedules = Schedules(owner.schedules.unit_kva, (len(site.devices), len(horizon)))
        self._requests = Requests(site, horizon, shared, schedules)

    @property
    def name(self) -> str:
        """Of the area at the substation."""
        return self._owner.work.area.name

    @property
    def neighbours(self) -> tuple[str, ...]:
        """All other owners."""
        return tuple(link.owner for link in self._links[1:])

    def begin(self, measurement: Measurement, forecast: Forecast) -> None:
        """See :class:`AreaAgent`."""
        self._owner.begin(measurement, forecast)
        self._requests.set_up(measurement, forecast)
        for link in self._links:
            link.begin(*self._owner.terms)
        self._solved: Solved | None = None
        self._asked = self._answered = np.zeros((2, *self._requests.schedules.kw.shape))

    def round(self, number: int, received: Mapping[str, Message]) -> dict[str, Message]:
        """Publish requests; prices follow from request and answer."""
        if number > 1:
            self._take(received)
        self._owner.solve(number)
        if self._solved is None or not all(link.agreed for link in self._links):
            for link in self._links:
                self._requests.schedules.pull_to(link.consensus, link.devices)
            self._solved = solved = self._requests.problem.solve()
            self._owner.work.count_solve(
                number, build_s=0.0, solve_s=solved.solve_s, iterations=solved.iterations
            )
            if solved.found:
                self._asked = self._requests.schedules.values()
        messages = {link.owner: self._asked[:, link.devices].ravel() for link in self._links[1:]}
        self._owner.work.count_sent(messages.values())
        return messages

    def _take(self, received: Mapping[str, Message]) -> None:
        own = self._links[0]
        answers = {own.owner: self._owner.copies}
        for link in self._links[1:]:
            if link.owner in received:
                like = link.consensus.agreed
                answers[link.owner] = reshaped(received[link.owner], like, self.name, link.owner)
        self._answered = self._answered.copy()
        for link in self._links:
            if link.owner in answers:
                link.consensus.update(self._asked[:, link.devices], answers[link.owner])
                self._answered[:, link.devices] = answers[link.owner]
        self._owner.link.consensus.update(self._owner.copies, self._asked[:, own.devices])

    def answer(self, received: Mapping[str, Message]) -> AreaAnswer:
        """See :class:`AreaAgent`; voltages are those of all nodes of the feeder."""
        self._take(received)
        found = self._owner.answer()
        apart = max(float(link.consensus.primal.max()) for link in self._links)
        flow = self._requests.expected(self._answered)
        return replace(
            found,
            voltage_pu=np.ascontiguousarray(flow.voltage_pu.T),
            import_kva=flow.import_kva,
            losses_kw=flow.losses_kw,
            figures=replace(found.figures, mismatch=apart, slack_pu=self._requests.network.slack_pu()),
        )


@needs("network", "areas")
@options(DualPriceOptions)
class DualPricePlanner(AreasPlanner[DualPriceOptions]):
    """Owners of areas that answer the prices of an aggregator with schedules."""

    name = "dual_price"

    @classmethod
    def agent_of(
        cls,
        site: Site,
        areas: Areas,
        position: int,
        horizon: Horizon,
        shared: PlannerOptions,
        chosen: DualPriceOptions,
    ) -> AreaAgent:
        """See :class:`AreasPlanner`."""
        names = tuple(area.name for area in areas.areas)
        area = area_site(site, areas, position)
        if chosen.privacy in CODES:
            return agent_of_sums(site, area, areas, horizon, shared, chosen)
        unit_kva = float(each(site.devices, "kva").mean())
        schedules = Schedules(unit_kva, (len(area.devices), len(horizon)))
        link = Link(area.name, area.devices, len(horizon), chosen, 1.0)
        owner = Owner(area, names, horizon, shared, schedules, link)
        if position:
            return OwnerAgent(owner, names[0])
        others = {other.name: other.devices for other in areas.areas[1:]}
        return AggregatorAgent(site, owner, others, horizon, shared, chosen)

    @classmethod
    def slots_of(cls, areas: Areas, shared: PlannerOptions, chosen: DualPriceOptions) -> tuple[Slot, ...]:
        """See :class:`AreasPlanner`."""
        del shared
        if chosen.privacy in CODES:
            return slots_of_sums(areas, chosen)
        return slots_of(areas, "jacobi", chosen.rounds)

    def _voltage_pu(self, answers: Sequence[AreaAnswer]) -> FloatArray:
        """The aggregator alone knows the network."""
        return answers[0].voltage_pu
