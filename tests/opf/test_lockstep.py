"""Two areas agree step by step over links that lose, delay and repeat messages."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosim.errors import ContractError
from cosim.opf.distributed.area_links import AreaLink
from cosim.opf.distributed.consensus import Balance, Consensus
from cosim.opf.distributed.lockstep import Lockstep
from cosim.opf.distributed.planner_options import AreasOptions, LinkOptions, NamedLinkOptions
from tests.opf.test_consensus import SHAPE, copies

NAMES = ("area1", "area2")


def sides(*, perfect: bool = False) -> list[Lockstep]:
    made = []
    for place, sign in enumerate((1.0, -1.0)):
        consensus = Consensus(SHAPE, relaxation=1.6, balance=Balance())
        consensus.start(np.zeros(SHAPE), np.full(SHAPE, sign * 0.1), scale=np.full(3, 2.0), penalty=0.5)
        made.append(Lockstep(consensus, perfect=perfect, receiver=NAMES[place], sender=NAMES[1 - place]))
        made[-1].begin(0.0)
    return made


def played(pair: list[Lockstep], chosen: LinkOptions, rounds: int, seed: int) -> Iterator[bool]:
    """Let both sides exchange their copies over a link; whether both have made as many updates."""
    rng = np.random.default_rng(seed)
    curvature, wish = rng.uniform(0.5, 5.0, (2, *SHAPE)), rng.normal(0.0, 2.0, (2, *SHAPE))
    links = [AreaLink(chosen, (seed, place)) for place in range(2)]
    sent, updates = [None, None], [0, 0]
    for number in range(1, rounds + 1):
        arrived = [link.pass_on(number, sent[1 - place]) for place, link in enumerate(links)]
        for place, side in enumerate(pair):
            updates[place] += side.take(arrived[place])
            side.offer(copies(side.consensus, curvature[place], wish[place]))
            sent[place] = side.message()
        yield updates[0] == updates[1]


bad_links = st.builds(
    LinkOptions,
    loss=st.floats(0.0, 0.6),
    delay_rounds=st.integers(0, 4),
    jitter_rounds=st.integers(0, 3),
    stale=st.floats(0.0, 0.5),
)


@settings(max_examples=30, deadline=None)
@given(bad_links, st.integers(0, 10_000))
def test_after_as_many_updates_both_sides_hold_the_same_whatever_happened_to_messages(chosen, seed):
    pair = sides()
    compared = 0
    for equal in played(pair, chosen, 60, seed):
        if not equal:
            continue
        compared += 1
        one, other = (side.consensus for side in pair)
        assert np.array_equal(one.agreed, other.agreed)
        assert np.array_equal(one.penalty, other.penalty)
        assert np.array_equal(one.primal, other.primal)
        # Multipliers add up to zero up to rounding.
        assert np.allclose(one.multiplier, -other.multiplier, atol=1e-9)
    assert compared > 10


def test_delay_makes_fewer_updates_of_the_same_course():
    """With a delay of d rounds the values after R rounds are those after R / (d + 1) rounds without."""
    late, prompt = sides(), sides(perfect=True)
    list(played(late, LinkOptions(delay_rounds=2), 31, 5))
    list(played(prompt, LinkOptions(), 11, 5))
    assert np.array_equal(late[0].consensus.agreed, prompt[0].consensus.agreed)
    assert np.array_equal(late[0].consensus.multiplier, prompt[0].consensus.multiplier)


def test_sides_that_begin_with_different_values_meet_half_way():
    pair = sides()
    pair[0].consensus.agreed = np.full(SHAPE, 2.0)
    pair[0].consensus.penalty = 3.0 * pair[0].consensus.penalty
    for side in pair:
        side.begin(900.0)
        side.offer(np.zeros(SHAPE))
    messages = [side.message() for side in pair]
    for side, message in zip(pair, reversed(messages), strict=True):
        side.take(message)
    one, other = (side.consensus for side in pair)
    assert np.array_equal(one.agreed, other.agreed)
    assert np.array_equal(one.penalty, other.penalty)


def test_a_neighbour_is_silent_when_it_was_not_heard_in_the_last_plan_and_its_time_is_over():
    pair = sides()
    pair[1].offer(np.zeros(SHAPE))
    pair[0].take(pair[1].message())
    assert not pair[0].is_silent(900.0, 0.0), "heard in the last plan"
    pair[0].begin(900.0)
    assert not pair[0].is_silent(1800.0, 1800.0)
    assert pair[0].is_silent(1800.0, 900.0)
    assert not pair[0].is_silent(1800.0, None)


def test_a_message_of_another_length_is_refused():
    with pytest.raises(ContractError, match=r"area1 expected \d+ values from area2, got 5"):
        sides()[0].take(np.zeros(5))


# --- links ----------------------------------------------------------------------------------------


def arrivals(chosen: LinkOptions, rounds: int = 400) -> list[float | None]:
    """What arrives in each round of messages that say their round."""
    link = AreaLink(chosen, (7, 0, 1))
    arrived = [link.pass_on(number, np.array([float(number)])) for number in range(rounds)]
    return [None if message is None else float(message[0]) for message in arrived]


def test_a_link_loses_delays_and_repeats_what_it_is_told_to():
    assert arrivals(LinkOptions()) == [float(number) for number in range(400)]
    assert arrivals(LinkOptions(delay_rounds=3))[:5] == [None, None, None, 0.0, 1.0]
    lost = arrivals(LinkOptions(loss=0.3))
    # 400 draws: a standard deviation of 0.023.
    assert lost.count(None) / 400 == pytest.approx(0.3, abs=0.07)
    stale = arrivals(LinkOptions(stale=0.3))
    assert sum(value == number - 1 for number, value in enumerate(stale)) / 400 == pytest.approx(
        0.3, abs=0.07
    )
    assert lost == arrivals(LinkOptions(loss=0.3))


def test_over_a_link_with_jitter_an_older_message_never_follows_a_newer_one():
    heard = [value for value in arrivals(LinkOptions(jitter_rounds=5)) if value is not None]
    assert heard == sorted(set(heard))
    assert len(heard) > 100


def test_a_named_link_has_options_of_its_own():
    slow = NamedLinkOptions(between=("area2", "area1"), delay_rounds=4)
    chosen = AreasOptions(tolerance=1e-3, loss=0.1, links=(slow,))
    assert chosen.link("area1", "area2").delay_rounds == 4
    assert chosen.link("area1", "area2").loss == 0.0
    assert chosen.link("area2", "area3").loss == 0.1
