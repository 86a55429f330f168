"""How far a linear program may step, and what is made of where it led."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from cosim.model.arrays import ComplexArray, FloatArray

WHOLE = 4.0
"""Half the width of a box that keeps nobody back: powers range over twice the rating."""


@dataclass(frozen=True)
class Step:
    """What a program promised and what came of it.

    Attributes:
        before: exact cost where the program was made, violations paid for, currency; None where that
            point is no plan.
        promised: the same of the answer, by the linear model.
        reached: the same by the exact flow; infinite where there is none.
        moved: change of the powers, share of the rating, P and Q as complex numbers, shape
            (period, device).
        tolerance: what counts as no difference, currency.
        jumped: whether a tap or a bank moved, which no program promises.
    """

    before: float | None
    promised: float
    reached: float
    moved: ComplexArray
    tolerance: float
    jumped: bool = False


@dataclass(frozen=True)
class Verdict:
    """What follows from a step: whether it is taken, and whether it is the last one."""

    accepted: bool
    done: bool


class StepRule(Protocol):
    """Decides about steps; begins anew at every search."""

    @property
    def repeats(self) -> bool:
        """Whether there is more than one step, and steps have a box."""
        ...

    def begin(self, shape: tuple[int, int]) -> None:
        """A search over powers of shape (period, device) begins."""
        ...

    def free(self) -> None:
        """No plan is that near the first point: let the next step go anywhere."""
        ...

    @property
    def width(self) -> tuple[FloatArray, FloatArray]:
        """Half the width of the box for P and Q, share of the rating, shape (period, device) each."""
        ...

    def judge(self, step: Step) -> Verdict:
        """Look at a step, and set the width of the next one."""
        ...


class OneStep:
    """The answer of the first program is the plan."""

    repeats = False

    def begin(self, shape: tuple[int, int]) -> None:
        """Nothing to keep."""
        self._whole = np.full(shape, WHOLE)

    def free(self) -> None:
        """It goes anywhere already."""

    @property
    def width(self) -> tuple[FloatArray, FloatArray]:
        """No limit."""
        return self._whole, self._whole

    def judge(self, step: Step) -> Verdict:
        """Taken as it is."""
        del step
        return Verdict(accepted=True, done=True)


class MoveLimits:
    """A limit for every power of every period, halved where the power turns back.

    Steps are always taken. Source: move limits of successive linear programming, Griffith and Stewart,
    1961; the rule by which they change is after Riedmiller and Braun, 1993 (shrink on a change of sign,
    grow otherwise), here with factors 0.5 and 2, the latter for steps that reach their limit.
    """

    repeats = True
    FIRST, SHRINK, GROW, SMALLEST = 0.5, 0.5, 2.0, 1e-7

    def begin(self, shape: tuple[int, int]) -> None:
        """Start with a quarter of the range."""
        self._width = np.full((2, *shape), self.FIRST)
        self._earlier = np.zeros((2, *shape))

    def free(self) -> None:
        """See :class:`StepRule`."""
        self._width[:] = WHOLE

    @property
    def width(self) -> tuple[FloatArray, FloatArray]:
        """See :class:`StepRule`."""
        return self._width[0], self._width[1]

    def judge(self, step: Step) -> Verdict:
        """See the class."""
        moved = np.stack([step.moved.real, step.moved.imag])
        turned = moved * self._earlier < 0.0
        pressed = (moved * self._earlier > 0.0) & (np.abs(moved) > 0.99 * self._width)
        most = np.minimum(self._width, np.maximum(np.abs(moved), self.SMALLEST))
        self._width = np.where(turned, self.SHRINK * most, self._width)
        self._width = np.minimum(np.where(pressed, self.GROW * self._width, self._width), WHOLE)
        self._earlier = np.where(np.abs(moved) > 0.0, moved, self._earlier)
        agrees = abs(step.promised - step.reached) <= step.tolerance
        gains = np.inf if step.before is None else step.before - step.promised
        return Verdict(accepted=True, done=bool(agrees and gains <= step.tolerance))


class TrustRegion:
    """A box of one radius; a step is taken if the exact cost falls as the program promised.

    A step that moves a tap is taken even if the cost rises, because no program foresees the tap: the next
    one sees what it did. The radius shrinks all the same, so that a search comes to an end.

    Source: Nocedal and Wright, 2006, Algorithm 4.1 with the ratio of actual to predicted reduction of
    eq. 4.4, thresholds 1/4 and 3/4, factors 1/4 and 2; here with a linear model and a box, as in
    successive linear programming (Fletcher and Sainz de la Maza, 1989). A step from a point that is no
    plan is always taken.

    Args:
        radius: of the first step, share of the rating.
    """

    repeats = True
    LEAST_RATIO, POOR, GOOD = 1e-4, 0.25, 0.75
    SHRINK, GROW, LARGEST, SMALLEST = 0.25, 2.0, 2.0, 1e-7

    def __init__(self, radius: float) -> None:
        self._first = radius

    def begin(self, shape: tuple[int, int]) -> None:
        """Start with the first radius."""
        self._shape, self._radius, self._free = shape, self._first, False

    def free(self) -> None:
        """See :class:`StepRule`."""
        self._free = True

    @property
    def width(self) -> tuple[FloatArray, FloatArray]:
        """See :class:`StepRule`."""
        box = np.full(self._shape, WHOLE if self._free else self._radius)
        return box, box

    def judge(self, step: Step) -> Verdict:
        """See the class."""
        self._free = False
        if step.before is None:
            return Verdict(accepted=bool(np.isfinite(step.reached)), done=False)
        promised = step.before - step.promised
        if promised <= step.tolerance:
            return Verdict(accepted=False, done=True)
        ratio = (step.before - step.reached) / promised
        length = max(np.abs(step.moved.real).max(initial=0.0), np.abs(step.moved.imag).max(initial=0.0))
        if ratio < self.POOR:
            self._radius *= self.SHRINK
        elif ratio > self.GOOD and length > 0.99 * self._radius:
            self._radius = min(self.GROW * self._radius, self.LARGEST)
        accepted = ratio > self.LEAST_RATIO or (step.jumped and np.isfinite(step.reached))
        return Verdict(accepted=bool(accepted), done=self._radius < self.SMALLEST)
