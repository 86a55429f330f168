"""Exit codes of the commands."""

FINE, FAILED, INVALID = 0, 1, 2
REJECTED = 3
"""The run came to its end, and a limit under ``accept`` of its scenario is not kept."""
