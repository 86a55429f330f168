"""What the kits share: a study of a few steps, and user code whose failures become findings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from cosim.api.study import Study, load
from cosim.errors import CosimError
from cosim.model.arrays import FloatArray
from cosim.run import study as inner

STEPS = 6
SLACK = 1e-6
"""Part of a rating by which a value may exceed it."""

Mistakes = tuple[str, ...]


class Found(Exception):
    """A mistake after which the rest cannot be checked."""


def study_of(scenario: str | Study, steps: int) -> inner.Study:
    """A scenario of some steps."""
    found = load(scenario) if isinstance(scenario, str) else scenario
    return found.with_settings({"time.steps": steps}).inner


def made_with(make: Callable[[], Any], what: str, methods: tuple[str, ...]) -> Any:
    """What a user's class or function makes, with the methods it must have."""
    with named(f"making the {what}"):
        made = make()
    missing = [name for name in methods if not callable(getattr(made, name, None))]
    if missing:
        raise Found(f"the {what} has no {' and no '.join(missing)}: add {', '.join(missing)}")
    return made


@contextmanager
def named(place: str) -> Iterator[None]:
    """Turn what user code raises into a finding."""
    try:
        yield
    except Found:
        raise
    except CosimError as error:
        raise Found(str(error)) from error
    except ValueError as error:
        if "read-only" in str(error):
            raise Found(
                f"{place}: it writes into an array that it was given ({error}): copy it first, with .copy()"
            ) from error
        raise Found(f"{place} raised ValueError: {error}") from error
    except Exception as error:
        raise Found(f"{place} raised {type(error).__name__}: {error}") from error


def same(left: list[FloatArray], right: list[FloatArray]) -> bool:
    """Whether two lists of arrays are equal to the last bit."""
    return len(left) == len(right) and all(map(np.array_equal, left, right))
