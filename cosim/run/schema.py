"""The JSON schema of scenario files, with the options of every installed plug-in."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from cosim import plugins
from cosim.run.scenario import Scenario

PLACES: dict[str, plugins.Group] = {
    "ControlConfig": "cosim.controllers",
    "ControllerConfig": "cosim.controllers",
    "ForecastConfig": "cosim.forecasters",
    "PlannerConfig": "cosim.planners",
}
"""Parts of a scenario that name a plug-in by ``type`` and give it ``options``."""


def scenario_schema() -> dict[str, Any]:
    """The schema; where ``type`` is an installed plug-in, ``options`` are those that it declares."""
    schema = Scenario.model_json_schema(by_alias=True)
    for place, group in PLACES.items():
        rules = [
            {
                "if": {"properties": {"type": {"const": name}}, "required": ["type"]},
                "then": {"properties": {"options": _options(group, name, schema["$defs"])}},
            }
            for name in plugins.names(group)
        ]
        _mapping_of(schema["$defs"][place])["allOf"] = rules
    return schema


def _mapping_of(definition: dict[str, Any]) -> dict[str, Any]:
    """The mapping among the forms that a part of a scenario may take."""
    forms: list[dict[str, Any]] = definition.get("anyOf", [])
    return next((form for form in forms if "properties" in form), definition)


def _options(group: plugins.Group, name: str, definitions: dict[str, Any]) -> dict[str, Any]:
    """What a plug-in takes; its own definitions join those of the scenario."""
    model = plugins.options_of(plugins.load(group, name))
    if model is None:
        return {"type": "object", "additionalProperties": False, "description": f"{name} takes none"}
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        return {"type": "object"}
    found = model.model_json_schema()
    definitions.update(found.pop("$defs", {}))
    return found
