"""The key ``control.forecast`` of a scenario: one forecaster, or one for each quantity."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Discriminator, Field, GetJsonSchemaHandler, Tag, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from cosim.devices.kind import Config

PluginOptions = dict[str, Any]
"""Read by the model that the plug-in declares, see :mod:`cosim.plugins`."""


class ForecastConfig(Config):
    """What the controller believes about the coming periods; only a name stands for its type."""

    type: str = Field("perfect", description="an installed forecaster, or module:Class")
    options: PluginOptions = Field({}, description="of this forecaster; it says which it takes")

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: object) -> object:
        return {"type": value} if isinstance(value, str) else value

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """A name or a mapping."""
        mapping = handler(schema)
        return {"anyOf": [{"type": "string", "description": "name of the forecaster"}, mapping]}


class ForecastByQuantity(Config):
    """A forecaster for each quantity. Those of one name and the same options are one object."""

    load: ForecastConfig = Field(description="of kW and kvar of the loads, and of flexible demand")
    irradiance: ForecastConfig = Field(description="of what the sun offers")
    price: ForecastConfig = Field(description="of the price; perfect for a tariff that is known in advance")


FORMS = ONE, BY_QUANTITY = "forecaster", "by_quantity"
"""Names of the two forms; pydantic puts them into the places of mistakes, where no user wrote them."""


def _forecast_form(value: object) -> str:
    """Which form of ``control.forecast`` is meant: a mapping with a quantity is one by quantity."""
    keys = set(value) if isinstance(value, dict) else set()
    by_quantity = bool(keys & set(ForecastByQuantity.model_fields)) and "type" not in keys
    return BY_QUANTITY if by_quantity or isinstance(value, ForecastByQuantity) else ONE


Forecasts = Annotated[
    Annotated[ForecastConfig, Tag(ONE)] | Annotated[ForecastByQuantity, Tag(BY_QUANTITY)],
    Discriminator(_forecast_form),
]
