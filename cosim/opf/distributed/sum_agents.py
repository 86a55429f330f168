"""Owners and an aggregator that exchange one price and one sum, see :mod:`cosim.opf.distributed.sum_price`.

In a round the owners answer first, then the aggregator. With a *collector* the owners send to one of them,
which adds its own answer and sends the sum on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cosim.devices.bounds import each
from cosim.errors import FormulationRefused
from cosim.model.arrays import FloatArray
from cosim.model.forecast import Forecast
from cosim.model.roles import ResumesAsInner
from cosim.model.state import Measurement
from cosim.opf.distributed.area_planning import begin_anew, begins_anew
from cosim.opf.distributed.area_setting import AreaSetting
from cosim.opf.distributed.areas import Areas
from cosim.opf.distributed.dual_price_options import DualPriceOptions, Privacy
from cosim.opf.distributed.messages import AreaAgent, AreaAnswer, Message, Slot
from cosim.opf.distributed.owner import Owner
from cosim.opf.distributed.paillier import CipherOpener, CipherSeal
from cosim.opf.distributed.schedules import AlikeSchedules, Requests, SummedSchedules
from cosim.opf.distributed.sum_codes import MaskSeal, Moment, Opener, OpenSeal, Seal, SumOpener
from cosim.opf.distributed.sum_price import KINDS, OwnerOfSum, RequestedSum
from cosim.opf.problem import Solved


@dataclass(frozen=True)
class Code:
    """A way to send sums.

    Attributes:
        seal: of an owner, by its name, the names of all that send, and the seed.
        opener: of the aggregator, by the number of owners that send.
        collected: whether a collector adds the answers.
        least_owners: that must send, so that the sum hides one of them.
    """

    seal: Callable[[str, tuple[str, ...], int], Seal]
    opener: Callable[[int], Opener]
    collected: bool
    least_owners: int


CODES: dict[Privacy, Code] = {
    "sums": Code(lambda _name, owners, _seed: OpenSeal(len(owners)), lambda _owners: SumOpener(), False, 0),
    "masking": Code(MaskSeal, lambda _owners: SumOpener(), False, 2),
    "paillier": Code(lambda _name, owners, _seed: CipherSeal(len(owners)), CipherOpener, True, 2),
}


def slots_of_sums(areas: Areas, chosen: DualPriceOptions) -> tuple[Slot, ...]:
    """The owners act, then the collector if there is one, then the aggregator."""
    owners = tuple(range(1, len(areas.areas)))
    if not CODES[chosen.privacy].collected:
        each_round = [here for here in (owners, (0,)) if here]
        return tuple(Slot(number, here) for number in range(1, chosen.rounds + 1) for here in each_round)
    rounds = [
        Slot(number, here)
        for number in range(1, chosen.rounds + 1)
        for here in (owners[1:], owners[:1], (0,))
    ]
    return (Slot(0, (0,)), *rounds)


def agent_of_sums(setting: AreaSetting[DualPriceOptions]) -> AreaAgent:
    """The controller of one area.

    Raises:
        FormulationRefused: so few owners send that the sum hides none of them, or a sum may miss an owner.
    """
    chosen, names, site = setting.chosen, setting.names, setting.site
    code, senders = CODES[chosen.privacy], names[1:]
    if len(senders) < code.least_owners:
        raise FormulationRefused(
            f"privacy: {chosen.privacy} hides an owner in the sum of at least {code.least_owners} owners "
            f"besides the aggregator's, and there are {len(senders)}; cut the feeder into more areas"
        )
    if chosen.hold_s is not None or not chosen.all_perfect:
        raise FormulationRefused(
            f"privacy: {chosen.privacy} needs the message of every owner in every round; leave out hold_s, "
            "loss, delay_rounds, jitter_rounds, stale and links, or use privacy: none"
        )
    rated_kva = each(site.devices, "kva")
    unit_kva, periods = float(rated_kva.mean()), len(setting.horizon)
    schedules = SummedSchedules(unit_kva, (len(setting.area.devices), periods))
    owner = Owner(setting, schedules, OwnerOfSum(periods, chosen))
    if setting.name in senders:
        collects = code.collected and setting.name == senders[0]
        to = senders[0] if code.collected and not collects else names[0]
        hears = (names[0], *(senders[1:] if collects else ()))
        return SumOwnerAgent(owner, code.seal(setting.name, senders, chosen.seed), to=to, neighbours=hears)
    split = sum(device.has_energy for device in site.devices)
    alike = AlikeSchedules(unit_kva, rated_kva, periods=periods, split=split)
    requests = Requests(site, setting.horizon, setting.shared, alike)
    wanted = RequestedSum(periods, len(names), chosen)
    hears = senders[:1] if code.collected else senders
    return SumAggregatorAgent(
        owner, requests, wanted, code.opener(len(senders)), neighbours=hears, owners=senders
    )


class SumOwnerAgent(ResumesAsInner):
    """An owner that sends the sum of its devices, sealed.

    Args:
        owner: its devices.
        seal: closes its messages.
        to: who gets them.
        neighbours: from whom it hears, the aggregator first.
    """

    def __init__(
        self, owner: Owner[OwnerOfSum], seal: Seal, *, to: str, neighbours: tuple[str, ...]
    ) -> None:
        self._owner = self._inner = owner
        self._seal, self._to = seal, to
        self.name, self.neighbours = owner.work.area.name, neighbours
        self._time_s, self._sent = 0, np.zeros(0)

    def begin(self, measurement: Measurement, forecast: Forecast) -> None:
        """See :class:`AreaAgent`."""
        self._time_s = int(measurement.time_s)
        self._owner.begin(measurement, forecast)

    def round(self, number: int, received: Mapping[str, Message]) -> dict[str, Message]:
        """Answer the price of the last round."""
        aggregator, *others = self.neighbours
        if aggregator in received:
            if number == 1:
                self._seal.learn(received[aggregator])
            else:
                self._owner.link.hear(received[aggregator])
        # An owner that agrees moves no more. It repeats its message: the same value under the same mask.
        if not self._owner.link.agreed:
            self._owner.solve(number)
            sealed = [received[other] for other in others]
            self._sent = self._seal.close(self._owner.copies.ravel(), Moment(self._time_s, number), sealed)
        messages = {self._to: self._sent}
        self._owner.work.count_sent(messages.values())
        return messages

    def answer(self, received: Mapping[str, Message]) -> AreaAnswer:
        """See :class:`AreaAgent`."""
        aggregator = self.neighbours[0]
        if aggregator in received:
            self._owner.link.hear(received[aggregator])
        return self._owner.answer()


class SumAggregatorAgent:
    """The aggregator, and the owner of the area at the substation.

    Args:
        owner: devices of its own area.
        requests: its program.
        wanted: the sum that it asks for, and the price.
        opener: opens the sum of the others.
        neighbours: from whom it hears.
        owners: all others, who get the price.
    """

    def __init__(
        self,
        owner: Owner[OwnerOfSum],
        requests: Requests,
        wanted: RequestedSum,
        opener: Opener,
        *,
        neighbours: tuple[str, ...],
        owners: tuple[str, ...],
    ) -> None:
        self._owner, self._requests, self._wanted, self._opener = owner, requests, wanted, opener
        self.name, self.neighbours, self._owners = owner.work.area.name, neighbours, owners
        self._solved: Solved | None = None
        self._powers = np.zeros((KINDS, *requests.schedules.kw.shape))

    def begin(self, measurement: Measurement, forecast: Forecast) -> None:
        """See :class:`AreaAgent`."""
        self._owner.begin(measurement, forecast)
        begin_anew(self._requests.problem)
        self._requests.set_up(measurement, forecast)
        self._wanted.begin(self._owner.terms)
        self._solved = None

    def round(self, number: int, received: Mapping[str, Message]) -> dict[str, Message]:
        """Take the sum, and publish the price that follows."""
        message = self._price(number, received) if number else self._opener.opening()
        messages = dict.fromkeys(self._owners, message)
        self._owner.work.count_sent(messages.values())
        return messages

    @property
    def resumable(self) -> bool:
        """Whether the area can be carried on."""
        return self._owner.resumable and begins_anew(self._requests.problem)

    def state(self) -> tuple[Any, Any, FloatArray]:
        """See :class:`cosim.model.roles.Resumable`."""
        return self._owner.state(), self._wanted.state(), self._powers

    def restore(self, state: tuple[Any, Any, FloatArray]) -> None:
        """See :class:`cosim.model.roles.Resumable`."""
        self._owner.restore(state[0])
        self._wanted.restore(state[1])
        self._powers = state[2]

    def _price(self, number: int, received: Mapping[str, Message]) -> Message:
        """Price, penalty and distance after a round."""
        wanted, owner = self._wanted, self._owner
        owner.solve(number)
        if self._solved is None or not wanted.known.agreed:
            wanted.take(owner.copies + self._sum(received, owner.copies))
            self._requests.schedules.pull_to(wanted, slice(None))
            self._solved = solved = self._requests.problem.solve()
            owner.work.count_solve(
                number, build_s=0.0, solve_s=solved.solve_s, iterations=solved.iterations
            )
            if solved.found:
                self._powers = self._requests.schedules.values()
            wanted.ask(self._powers.sum(axis=1, keepdims=True))
        message = wanted.known.message()
        owner.link.hear(message)
        return message

    def _sum(self, received: Mapping[str, Message], like: FloatArray) -> FloatArray:
        """The sum of all others."""
        return self._opener.total(list(received.values()), like.size).reshape(like.shape)

    def answer(self, received: Mapping[str, Message]) -> AreaAnswer:
        """See :class:`AreaAgent`; voltages hold if all devices of a sort do alike."""
        del received
        found, wanted = self._owner.answer(), self._wanted
        flow = self._requests.expected(self._powers)
        more = (wanted.answered - wanted.asked)[:, 0] * self._requests.schedules.unit_kva
        return replace(
            found,
            voltage_pu=np.ascontiguousarray(flow.voltage_pu.T),
            import_kva=flow.import_kva - (more[0] + 1j * more[1]),
            losses_kw=flow.losses_kw,
            figures=replace(found.figures, slack_pu=self._requests.network.slack_pu()),
        )
