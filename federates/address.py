"""Where a broker is and what is agreed with it: known to all, also to who has no use for HELICS itself."""

from __future__ import annotations

from dataclasses import dataclass

GLOBAL_ERROR_CODE = 42
MAX_MESSAGE_BYTES = 64_000_000
DISTURBED = "was disturbed while it started"
"""What the error of a broker says that may start if it is tried again."""
TAKEN = "another program may use it"
"""What the error of a broker says that may start on another port."""


@dataclass(frozen=True)
class Address:
    """Where the broker is.

    Attributes:
        core: HELICS core type.
        port: of the broker.
        key: shared secret, so that nobody joins a stranger's broker.
    """

    core: str
    port: int
    key: str

    def broker_options(self, federates: int) -> str:
        """Options of the broker."""
        return (
            f"-f {federates} --port={self.port} --brokerkey={self.key} --tick=1s --timeout=10s "
            f"--loglevel=error --maxsize={MAX_MESSAGE_BYTES}"
        )

    def core_options(self, federates: int = 1) -> str:
        """Options of a core with so many federates."""
        return (
            f"-f {federates} --broker_address=127.0.0.1 --brokerport={self.port} --brokerkey={self.key} "
            "--tick=1s --timeout=10s --network_timeout=4s --networkretries=2 --loglevel=error "
            f"--maxsize={MAX_MESSAGE_BYTES}"
        )
