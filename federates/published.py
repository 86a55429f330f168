"""What a federate publishes of the coming steps, as the controller keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cosim.errors import ContractError
from cosim.model.published import PUBLISHED, Published, published_of
from federates.codec import ANY_SIZE, Quantity

UNITS = {"load_kw": "kW", "irradiance": "kW/m2", "price_per_kwh": "1/kWh"}
PUBLISHED_QUANTITIES = (
    Quantity("step", "int"),
    *(Quantity(name, "vector", UNITS[name], ANY_SIZE) for name in PUBLISHED),
)
"""What a federate with role forecast publishes before the controller decides a step."""


class Inbox:
    """What a federate published last.

    Args:
        name: of the federate.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._last: Published | None = None

    def take(self, values: Mapping[str, Any], step: int) -> None:
        """Keep what came for a step.

        Raises:
            ContractError: it is for another step.
        """
        if values["step"] != step:
            raise ContractError(
                f"{self.name} published the forecast of step {values['step']} where step {step} is due; it "
                "must publish once per step, at the start of the step"
            )
        self._last = published_of(step, {name: values[name] for name in PUBLISHED}, self.name)

    def at(self, step: int) -> Published:
        """See :class:`cosim.model.published.Publisher`."""
        if self._last is None or self._last.step != step:
            raise ContractError(f"{self.name} published no forecast for step {step}")
        return self._last
