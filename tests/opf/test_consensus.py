"""Two areas agree on boundary values: known optimum, and the same state on both sides."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cosim.opf.distributed.consensus import Balance, Consensus

SHAPE = (3, 2, 4)


def pair(relaxation: float = 1.6, penalty: float = 0.5) -> tuple[Consensus, Consensus]:
    both = tuple(Consensus(SHAPE, relaxation=relaxation, balance=Balance()) for _ in range(2))
    for sign, side in zip((1.0, -1.0), both, strict=True):
        side.start(np.zeros(SHAPE), np.full(SHAPE, sign * 0.1), scale=np.full(3, 2.0), penalty=penalty)
    return both[0], both[1]


def copies(side: Consensus, curvature: np.ndarray, wish: np.ndarray) -> np.ndarray:
    """Minimum of ``curvature / 2 (x - wish)²`` plus the squares of the consensus, element by element."""
    return (curvature * wish + 2.0 * side.weight * side.center) / (curvature + 2.0 * side.weight)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.floats(1.0, 1.9), st.floats(0.05, 20.0))
def test_agreed_values_are_the_weighted_mean_of_wishes(seed, relaxation, penalty):
    rng = np.random.default_rng(seed)
    curvature = rng.uniform(0.5, 5.0, (2, *SHAPE))
    wish = rng.normal(0.0, 2.0, (2, *SHAPE))
    sides = pair(relaxation, penalty)
    for _ in range(300):
        first, second = (copies(*each) for each in zip(sides, curvature, wish, strict=True))
        sides[0].update(first, second)
        sides[1].update(second, first)
    optimum = (curvature * wish).sum(axis=0) / curvature.sum(axis=0)
    # Linear convergence; the penalty changes at most a factor of 1e4 from its start.
    assert np.abs(sides[0].agreed - optimum).max() < 1e-6
    # The multiplier is the price at which the area wants what is agreed.
    price = -curvature[0] * (optimum - wish[0])
    assert np.abs(sides[0].multiplier - price).max() < 1e-5


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_both_sides_hold_the_same_values_and_penalties_to_the_last_bit(seed):
    rng = np.random.default_rng(seed)
    sides = pair()
    for _ in range(10):
        first, second = rng.normal(size=SHAPE), rng.normal(size=SHAPE)
        sides[0].update(first, second)
        sides[1].update(second, first)
    assert np.array_equal(sides[0].agreed, sides[1].agreed)
    assert np.array_equal(sides[0].penalty, sides[1].penalty)
    assert np.array_equal(sides[0].primal, sides[1].primal)
    # Multipliers add up to zero up to rounding.
    assert np.allclose(sides[0].multiplier, -sides[1].multiplier, atol=1e-10)


def test_a_later_plan_begins_with_the_values_of_its_periods_and_its_own_price():
    side = pair()[0]
    agreed = np.arange(24.0).reshape(SHAPE)
    price = np.broadcast_to([1.0, 2.0, 3.0, 4.0], SHAPE)
    side.start(agreed, price, scale=np.ones(3), penalty=1.0)
    side.multiplier = price + 0.5
    side.shift(np.array([1, 2, 3, 3]), np.broadcast_to([2.0, 3.0, 4.0, 9.0], SHAPE))
    assert side.agreed[0, 0].tolist() == [1.0, 2.0, 3.0, 3.0]
    # What a neighbour's limits add to the price stays; the price itself is the new one.
    assert side.multiplier[0, 0].tolist() == [2.5, 3.5, 4.5, 9.5]


def test_areas_that_do_not_plan_again_leave_multipliers_as_they_are():
    """Otherwise a small difference that both accept would be added to the multiplier in every round."""
    side = pair()[0]
    first, second = np.full(SHAPE, 1.0), np.full(SHAPE, 1.001)
    side.update(first, second)
    before = side.multiplier.copy()
    side.update(first.copy(), second.copy())
    assert np.array_equal(side.multiplier, before)


def test_areas_that_missed_different_messages_meet_half_way():
    sides = pair()
    rng = np.random.default_rng(1)
    first, second = rng.normal(size=SHAPE), rng.normal(size=SHAPE)
    sides[0].update(first, second)  # the other side has missed this round
    known = [(side.agreed, side.multiplier, side.penalty) for side in sides]
    sides[0].meet(*known[1])
    sides[1].meet(*known[0])
    assert np.array_equal(sides[0].agreed, sides[1].agreed)
    assert np.allclose(sides[0].multiplier, -sides[1].multiplier, atol=1e-12)
