"""Contexts of the OpenDSS library: each holds one circuit and some megabytes."""

from __future__ import annotations

import contextlib
import threading
import weakref
from typing import Any

import opendssdirect
from dss._cffi_api_util import CffiApiUtil
from dss_python_backend.events import EventCallbackManager
from opendssdirect.OpenDSSDirect import OpenDSSDirect

REGISTRIES: tuple[Any, ...] = (
    OpenDSSDirect._ctx_to_dss,
    CffiApiUtil._ctx_to_util,
    EventCallbackManager._ctx_to_manager,
)
"""Where the packages remember every context. The keys are weak, but each value holds its key, so that no
context is ever freed (dss_python 0.15, dss_python_backend 0.14, opendssdirect 0.9)."""


_kept: list[tuple[weakref.ref[Any], Any]] = []
"""Every context with what reads it. The garbage collector may run in any thread, such as the event loop of
a campaign's worker; contexts are freed in threads that use the library alone."""
_lock = threading.Lock()


def new_context() -> Any:
    """A context of its own. When nothing refers to it any more, it is freed by a later call, in its thread.

    The packages serve callbacks of the library by their registries. The callbacks keep objects of elements
    valid, which nothing here uses.
    """
    free_unused()
    # A new context moves the working directory to where the library was loaded.
    with contextlib.chdir("."):
        dss = opendssdirect.dss.NewContext()
    util = dss._api_util
    util.unregister_callbacks()
    # Its destructor does this again, and would register the dying context anew.
    util.unregister_callbacks = _nothing
    for registry in REGISTRIES:
        registry.pop(util.ctx, None)
    with _lock:
        _kept.append((weakref.ref(util), util.ctx))
    return dss


def free_unused() -> None:
    """Free contexts that nothing reads any more."""
    with _lock:
        unused = [context for reader, context in _kept if reader() is None]
        _kept[:] = [pair for pair in _kept if pair[0]() is not None]
    # Here the last references end, and the contexts with them.
    unused.clear()


def _nothing() -> None:
    pass
