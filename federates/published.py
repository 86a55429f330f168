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
    """Everything a federate published that may still be asked for.

    A measurement that is late on its link is answered with what was published for its step.

    Args:
        name: of the federate.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._kept: dict[int, Published] = {}

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
        self._kept[step] = published_of(step, {name: values[name] for name in PUBLISHED}, self.name)

    def at(self, step: int) -> Published:
        """See :class:`cosim.model.published.Publisher`."""
        if step not in self._kept:
            raise ContractError(f"{self.name} published no forecast for step {step}")
        for earlier in [one for one in self._kept if one < step]:
            del self._kept[earlier]
        return self._kept[step]
