"""Meters beside the one at the head of the feeder, each with its tariff."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, PositiveInt, model_validator

from cosim.devices.kind import Config, Name
from cosim.model.meter import MeterPlace
from cosim.run.tariff import Tariff, read_tariff

Element = Annotated[str, Field(pattern=r"^[A-Za-z]+\.\S+$"), AfterValidator(lambda name: str(name).lower())]


class MeterConfig(Config):
    """Power at one terminal of an element, and what its energy costs."""

    name: Name
    element: Element = Field(description="of the master, e.g. line.l650_632 or transformer.sub")
    terminal: PositiveInt = Field(1, description="power into the element at this terminal is import")
    tariff: Path | Tariff | None = Field(
        None, description="here, or in a file beside the scenario; default: the price of the run"
    )

    def place(self) -> MeterPlace:
        """Where it is."""
        return MeterPlace(self.name, self.element, self.terminal)

    def settled_by(self, folder: Path) -> Tariff | None:
        """Its tariff; None: the price of the run.

        Args:
            folder: that a file is relative to.

        Raises:
            SeriesError: its file cannot be read, or is wrong.
        """
        return read_tariff(folder / self.tariff) if isinstance(self.tariff, Path) else self.tariff


class MetersConfig(Config):
    """Meters with names of their own."""

    meters: tuple[MeterConfig, ...] = Field(
        (), description="beside the one at the head of the feeder, each with its tariff"
    )

    @model_validator(mode="after")
    def _meter_names_differ(self) -> MetersConfig:
        names = [meter.name for meter in self.meters]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two meters are called {name}")
        return self
