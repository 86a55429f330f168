"""Whether this process compiles kernels: who waits for it grants more time then."""

from __future__ import annotations

from collections.abc import Callable

Heard = Callable[[], None]


class Compilation:
    """Begins when this process compiles its first kernel; kernels that are kept on disk do not count."""

    def __init__(self) -> None:
        self._begun = False
        self._listeners: list[Heard] = []

    @property
    def begun(self) -> bool:
        """Whether a kernel was compiled."""
        return self._begun

    def on_begin(self, heard: Heard) -> None:
        """Call somebody when it begins."""
        self._listeners.append(heard)

    def begin(self) -> None:
        """Note it, and tell; later calls do nothing."""
        if self._begun:
            return
        self._begun = True
        for heard in self._listeners:
            heard()


COMPILATION = Compilation()
"""Of this process, as compiled code is."""
