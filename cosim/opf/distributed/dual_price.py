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
from cosim.model.arrays import FloatArray
from cosim.model.forecast import Forecast
from cosim.model.roles import ResumesAsInner, ResumesAsParts
from cosim.model.state import Measurement
from cosim.opf.distributed.admm import LEAST_PRICE_PER_KWH
from cosim.opf.distributed.area_planning import begin_anew, begins_anew
from cosim.opf.distributed.area_setting import AreaSetting
from cosim.opf.distributed.areas import Areas
from cosim.opf.distributed.consensus import Balance, Consensus
from cosim.opf.distributed.dual_price_options import SCALES, DualPriceOptions
from cosim.opf.distributed.exchange import slots_of
from cosim.opf.distributed.lockstep import Lockstep
from cosim.opf.distributed.messages import AreaAgent, AreaAnswer, Message, Slot
from cosim.opf.distributed.owner import Owner, Terms
from cosim.opf.distributed.planner import AreasPlanner
from cosim.opf.distributed.schedules import Requests, Schedules
from cosim.opf.distributed.sum_agents import CODES, agent_of_sums, slots_of_sums
from cosim.opf.problem import Solved
from cosim.plugins import needs, options


class Link(ResumesAsInner):
    """Prices and requests between the aggregator and one owner.

    Args:
        setting: of the area whose side it is.
        owner: position of the owner.
        sign: 1 for the owner, -1 for the aggregator.
    """

    def __init__(self, setting: AreaSetting[DualPriceOptions], owner: int, sign: float) -> None:
        chosen, names = setting.chosen, setting.names
        self._chosen, self._sign = chosen, sign
        self.owner, self.devices = names[owner], setting.areas.areas[owner].devices
        shape = (2, len(self.devices), len(setting.horizon))
        consensus = Consensus(shape, relaxation=chosen.relaxation, balance=Balance())
        self.lockstep = self._inner = Lockstep(
            consensus,
            perfect=chosen.always_heard(names[0], self.owner),
            receiver=setting.name,
            sender=self.owner if setting.name == names[0] else names[0],
        )

    @property
    def consensus(self) -> Consensus:
        """What is agreed."""
        return self.lockstep.consensus

    def begin(self, terms: Terms, at_rest: FloatArray | None = None) -> None:
        """Begin with the price of energy, or with the earlier plan.

        Args:
            terms: what every link begins a plan with.
            at_rest: powers of an owner that was silent for too long, of the shape of what is agreed.
        """
        consensus = self.consensus
        multiplier = np.zeros(consensus.agreed.shape)
        multiplier[0] = -self._sign * terms.charge * terms.unit_kva
        if consensus.started:
            consensus.shift(terms.periods, multiplier)
        else:
            cost = max(float(np.abs(terms.charge).mean()), LEAST_PRICE_PER_KWH) * terms.unit_kva
            consensus.start(
                np.zeros(multiplier.shape),
                multiplier,
                scale=cost * np.array(SCALES),
                penalty=self._chosen.penalty,
            )
        if at_rest is not None:
            consensus.agreed = at_rest
        self.lockstep.begin(terms.time_s)

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


class OwnerAgent(ResumesAsInner):
    """An owner that exchanges messages with the aggregator.

    Args:
        owner: its devices.
        aggregator: name.
    """

    def __init__(self, owner: Owner[Link], aggregator: str) -> None:
        self._owner = self._inner = owner
        self._aggregator = aggregator
        self.name, self.neighbours = owner.work.area.name, (aggregator,)

    def begin(self, measurement: Measurement, forecast: Forecast) -> None:
        """See :class:`AreaAgent`."""
        self._owner.begin(measurement, forecast)

    def round(self, number: int, received: Mapping[str, Message]) -> dict[str, Message]:
        """Answer the prices of the last round."""
        owner, lockstep = self._owner, self._owner.link.lockstep
        if lockstep.take(received.get(self._aggregator)) or owner.solved is None:
            owner.solve(number)
        lockstep.offer(owner.copies)
        messages = {self._aggregator: lockstep.message()}
        owner.work.count_sent(messages.values())
        return messages

    def answer(self, received: Mapping[str, Message]) -> AreaAnswer:
        """See :class:`AreaAgent`."""
        self._owner.link.lockstep.take(received.get(self._aggregator))
        return self._owner.answer()


class AggregatorAgent(ResumesAsParts):
    """The aggregator, and the owner of the area at the substation.

    Args:
        setting: of the area at the substation.
        owner: devices of its own area.
    """

    def __init__(self, setting: AreaSetting[DualPriceOptions], owner: Owner[Link]) -> None:
        self._owner, self._hold_s = owner, setting.chosen.hold_s
        places = range(len(setting.names))
        self._links = [Link(setting, place, -1.0) for place in places]
        self._parts = (owner, *self._links)
        devices = setting.site.devices
        schedules = Schedules(owner.schedules.unit_kva, (len(devices), len(setting.horizon)))
        self._requests = Requests(setting.site, setting.horizon, setting.shared, schedules)
        self.name, self.neighbours = setting.name, setting.names[1:]

    def begin(self, measurement: Measurement, forecast: Forecast) -> None:
        """See :class:`AreaAgent`."""
        self._owner.begin(measurement, forecast)
        begin_anew(self._requests.problem)
        self._requests.set_up(measurement, forecast)
        # Powers of sources count from what is available.
        rest = np.zeros((2, *self._requests.schedules.kw.shape))
        self._answered = np.zeros(rest.shape)
        for link in self._links:
            silent = link.lockstep.is_silent(measurement.time_s, self._hold_s)
            link.begin(self._owner.terms, rest[:, link.devices] if silent else None)
            # What an owner has agreed to is what it does as long as it says nothing else.
            self._answered[:, link.devices] = link.consensus.agreed
        self._solved: Solved | None = None
        self._asked = np.zeros(rest.shape)

    def round(self, number: int, received: Mapping[str, Message]) -> dict[str, Message]:
        """Publish requests; prices follow from request and answer."""
        moved = self._take(received) if number > 1 else True
        self._owner.solve(number)
        if self._solved is None or (moved and not all(link.agreed for link in self._links)):
            for link in self._links:
                self._requests.schedules.pull_to(link.consensus, link.devices)
            self._solved = solved = self._requests.problem.solve()
            self._owner.work.count_solve(
                number, build_s=0.0, solve_s=solved.solve_s, iterations=solved.iterations
            )
            if solved.found:
                self._asked = self._requests.schedules.values()
        for link in self._links[1:]:
            link.lockstep.offer(self._asked[:, link.devices])
        messages = {link.owner: link.lockstep.message() for link in self._links[1:]}
        self._owner.work.count_sent(messages.values())
        return messages

    def _take(self, received: Mapping[str, Message]) -> bool:
        """Take the answers of the owners; whether any has moved."""
        own, moved = self._links[0], False
        for link in self._links[1:]:
            if link.lockstep.take(received.get(link.owner)):
                moved = True
                self._answered[:, link.devices] = link.lockstep.theirs
        asked = self._asked[:, own.devices]
        moved |= own.consensus.update(asked, self._owner.copies)
        self._answered[:, own.devices] = self._owner.copies
        self._owner.link.consensus.update(self._owner.copies, asked)
        return moved

    def answer(self, received: Mapping[str, Message]) -> AreaAnswer:
        """See :class:`AreaAgent`; voltages are those of all nodes of the feeder."""
        self._take(received)
        found = self._owner.answer()
        apart = max(link.apart for link in self._links if np.isfinite(link.apart))
        flow = self._requests.expected(self._answered)
        return replace(
            found,
            voltage_pu=np.ascontiguousarray(flow.voltage_pu.T),
            import_kva=flow.import_kva,
            losses_kw=flow.losses_kw,
            figures=replace(found.figures, mismatch=apart, slack_pu=self._requests.network.slack_pu()),
        )

    @property
    def resumable(self) -> bool:
        """Whether the area can be carried on."""
        return super().resumable and begins_anew(self._requests.problem)


@needs("network", "areas")
@options(DualPriceOptions)
class DualPricePlanner(AreasPlanner[DualPriceOptions]):
    """Owners of areas that answer the prices of an aggregator with schedules."""

    name = "dual_price"
    indispensable = (0,)

    @classmethod
    def agent_of(cls, setting: AreaSetting[DualPriceOptions]) -> AreaAgent:
        """See :class:`AreasPlanner`."""
        if setting.chosen.privacy in CODES:
            return agent_of_sums(setting)
        unit_kva = float(each(setting.site.devices, "kva").mean())
        schedules = Schedules(unit_kva, (len(setting.area.devices), len(setting.horizon)))
        owner = Owner(setting, schedules, Link(setting, setting.position, 1.0))
        if setting.position:
            return OwnerAgent(owner, setting.names[0])
        return AggregatorAgent(setting, owner)

    @classmethod
    def slots_of(cls, areas: Areas, chosen: DualPriceOptions) -> tuple[Slot, ...]:
        """See :class:`AreasPlanner`."""
        if chosen.privacy in CODES:
            return slots_of_sums(areas, chosen)
        return slots_of(areas, "jacobi", chosen.rounds)

    def _voltage_pu(self, answers: Sequence[AreaAnswer]) -> FloatArray:
        """The aggregator alone knows the network."""
        return answers[0].voltage_pu
