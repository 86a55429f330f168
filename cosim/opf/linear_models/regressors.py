"""Names of the regressions that a linear power flow can be learned with."""

from __future__ import annotations

from typing import Literal

Regressor = Literal["svr", "ridge"]
"""Support-vector regression with squared epsilon-insensitive loss, or least squares."""
