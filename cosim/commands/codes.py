"""Exit codes of the commands."""

FINE, FAILED, INVALID = 0, 1, 2
