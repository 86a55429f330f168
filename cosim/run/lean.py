"""Sections of a scenario whose text does not grow by keys that nobody uses."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import SerializerFunctionWrapHandler, model_serializer

from cosim.devices.kind import Config


class Lean(Config):
    """Keys that came after records were first written are left out of a record where nothing is given.

    So a scenario that does not use them has the same text, and the same hash, in every release.
    """

    later: ClassVar[frozenset[str]] = frozenset()

    @model_serializer(mode="wrap")
    def _without_unset(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        data: dict[str, Any] = handler(self)
        return {key: value for key, value in data.items() if key not in self.later or _is_given(value)}


def _is_given(value: object) -> bool:
    """Whether a value says something: it is not None, False or an empty list."""
    return not (value is None or value is False or value in ((), []))
