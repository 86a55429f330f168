"""Compilation of kernels to machine code, kept on disk where the system allows it."""

from __future__ import annotations

import logging
import pickle
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

from cosim.twin.compilation import COMPILATION

log = logging.getLogger(__name__)

F = TypeVar("F", bound=Callable[..., Any])
NO_PLACE = "no locator available"
DAMAGED = (pickle.UnpicklingError, EOFError, ValueError, KeyError, IndexError, AttributeError, ImportError)
"""What reading a damaged file of compiled code raises."""


def kernel(function: F) -> F:
    """Compile a function of numbers and arrays; a division by zero gives an infinity, as in numpy.

    Compiled code is kept between processes. Where the system gives no place for it (a package that may not
    be written to, and no home), it is kept in a temporary folder; a damaged file is compiled anew.
    """
    try:
        made = numba.njit(cache=True, error_model="numpy")(function)
    except RuntimeError as error:
        if NO_PLACE not in str(error):
            raise
        place = str(Path(tempfile.gettempdir()) / "cosim-kernels")
        numba.config.CACHE_DIR = place  # type: ignore[attr-defined,unused-ignore]
        made = numba.njit(cache=True, error_model="numpy")(function)
    _forgive(made)
    _announce(made)
    return cast("F", made)


def _announce(made: Any) -> None:
    """Say when a kernel is really compiled, which takes a while and is done once per machine."""
    kept: Any = getattr(made, "_cache", None)
    load = getattr(kept, "load_overload", None)
    if load is None:
        return

    def load_or_say(signature: Any, context: Any) -> Any:
        found = load(signature, context)
        if found is None:
            _say_that_it_compiles()
        return found

    kept.load_overload = load_or_say


def _say_that_it_compiles() -> None:
    if COMPILATION.begun:
        return
    COMPILATION.begin()
    log.warning("compiles kernels to machine code; that takes up to a minute, and is kept for later starts")


def _forgive(made: Any) -> None:
    """Let damaged files of compiled code count as absent; numba (0.61 to 0.63) raises what it meets."""
    file = getattr(getattr(made, "_cache", None), "_cache_file", None)
    if file is None:
        return
    index, data = file._load_index, file._load_data

    def load_index() -> dict[Any, str]:
        try:
            return cast("dict[Any, str]", index())
        except DAMAGED:
            return {}

    def load_data(name: str) -> Any:
        try:
            return data(name)
        except DAMAGED as error:
            raise OSError(f"{name} is damaged") from error

    file._load_index, file._load_data = load_index, load_data
