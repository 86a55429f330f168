"""Contexts of the OpenDSS library: each holds one circuit and some megabytes."""

from __future__ import annotations

import contextlib
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


def new_context() -> Any:
    """A context of its own, which is freed together with the last object that refers to it.

    The packages serve callbacks of the library by their registries. The callbacks keep objects of elements
    valid, which nothing here uses.
    """
    # A new context moves the working directory to where the library was loaded.
    with contextlib.chdir("."):
        dss = opendssdirect.dss.NewContext()
    util = dss._api_util
    util.unregister_callbacks()
    # Its destructor does this again, and would register the dying context anew.
    util.unregister_callbacks = _nothing
    for registry in REGISTRIES:
        registry.pop(util.ctx, None)
    return dss


def _nothing() -> None:
    pass
