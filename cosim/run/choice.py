"""The plug-ins that a scenario names, each with the options that it gets."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from cosim import plugins
from cosim.errors import CosimError, ScenarioError
from cosim.plugins import Declaration, Group
from cosim.run.forecast_config import ForecastConfig
from cosim.run.scenario_file import line_of, message_of
from cosim.run.study import Study

Place = tuple[str | int, ...]
PLANNERS: Group = "cosim.planners"


@dataclass(frozen=True)
class Choice:
    """A plug-in as a scenario names it.

    Attributes:
        group: what kind of plug-in.
        name: of an installed one, or ``module:Class``.
        place: of the name in the scenario.
        options: as written.
        options_place: of the options in the scenario.
        seed: of the scenario.
        file: the scenario.
        folder: in which the module may lie.
        trusted: whether it may be executed there.
        made: what is taken instead of what the name stands for.
    """

    group: Group
    name: str
    place: Place
    options: Mapping[str, Any]
    options_place: Place
    seed: int
    file: Path
    folder: Path
    trusted: bool
    made: Any = None

    @cached_property
    def plugin(self) -> Any:
        """The class or factory.

        Raises:
            UnknownPlugin: there is none of this name.
        """
        if self.made is not None:
            return self.made
        return plugins.load(self.group, self.name, self.folder, trusted=self.trusted)

    @property
    def module(self) -> str | None:
        """Of ``module:Class``; None for an installed one."""
        module, _, attribute = self.name.partition(":")
        return module if attribute else None

    @cached_property
    def declared(self) -> Declaration:
        """What the plug-in declares about itself.

        Raises:
            UnknownPlugin, WrongDeclaration: there is none of this name, or it is none.
        """
        return plugins.declared(self.plugin)

    @property
    def who(self) -> str:
        """The plug-in in a sentence."""
        return f"{plugins.kind(self.group)} {self.name!r}"

    def problems(self) -> list[str]:
        """What is wrong with the name or with the options, each with its place."""
        try:
            return self._read_options()[1]
        except CosimError as error:
            return [self._at(self.place, str(error))]

    def keywords(self) -> dict[str, Any]:
        """Arguments that the plug-in declares: ``options``, ``seed``, both or none.

        Raises:
            UnknownPlugin, WrongDeclaration: there is none of this name, or it is none.
            ScenarioError: the options are wrong.
        """
        read, problems = self._read_options()
        if problems:
            raise ScenarioError(str(self.file), problems)
        found = {} if self.declared.options is None else {"options": read}
        return {**found, "seed": self.seed} if self.declared.seeded else found

    def _read_options(self) -> tuple[BaseModel | dict[str, Any] | None, list[str]]:
        model = self.declared.options
        if model is None:
            refusal = [self._at(self.options_place, f"{self.who} takes no options")]
            return None, refusal if self.options else []
        if not issubclass(model, BaseModel):
            return dict(self.options), []
        keys = _keys_of(model)
        # A model that ignores unknown keys would swallow what is misspelt.
        open_to_all = model.model_config.get("extra") == "allow"
        unknown = [key for key in self.options if key not in keys and not open_to_all]
        problems = [
            self._at((*self.options_place, key), f"unknown option{_hint(key, keys)} ({self._takes(keys)})")
            for key in unknown
        ]
        try:
            given = {key: value for key, value in self.options.items() if key not in unknown}
            return model.model_validate(given), problems
        except ValidationError as error:
            problems += [
                self._at((*self.options_place, *item["loc"]), message_of(dict(item)))
                for item in error.errors()
            ]
            return None, problems

    def _takes(self, keys: list[str]) -> str:
        return f"{self.who} takes {', '.join(keys) or 'none'}"

    def _at(self, place: Place, sentence: str) -> str:
        return f"{line_of(self.file, place)}{'.'.join(str(part) for part in place)}: {sentence}"


def _hint(key: str, keys: list[str]) -> str:
    near = difflib.get_close_matches(key, keys, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _keys_of(model: type[BaseModel]) -> list[str]:
    """Keys that a model reads, in the order of its fields."""
    keys: list[str] = []
    by_name = model.model_config.get("populate_by_name") or model.model_config.get("validate_by_name")
    for name, field in model.model_fields.items():
        alias = field.validation_alias or field.alias
        if alias is None or by_name:
            keys.append(name)
        if isinstance(alias, str):
            keys.append(alias)
        elif alias is not None:
            paths = alias.convert_to_aliases()
            keys += [str(path[0]) for path in (paths if isinstance(paths[0], list) else [paths])]
    return keys


def choices_of(study: Study) -> tuple[Choice, ...]:
    """The controllers of a study, and for one that plans also its forecasters and its planner.

    Raises:
        UnknownPlugin, WrongDeclaration: there is no such controller.
    """
    return tuple(choice for own in study.each_controller for choice in _choices_of(own))


def _choices_of(study: Study) -> tuple[Choice, ...]:
    controller = controller_of(study)
    if not controller.declared.plans:
        return (controller,)
    if controller.declared.own_planner:
        return controller, *forecasters_of(study)
    return controller, *forecasters_of(study), planner_of(study)


def controller_of(study: Study) -> Choice:
    """The controller that a study names.

    Raises:
        ScenarioError: it names several.
    """
    study.must_have_one_controller("this")
    control = study.scenario.control
    return Choice(
        group="cosim.controllers",
        name=control.type,
        place=(*study.control_place, "type"),
        options=control.options,
        options_place=(*study.control_place, "options"),
        seed=control.seed,
        file=study.path,
        folder=study.plugin_folder,
        trusted=study.trusted,
        made=None if study.made is None else type(study.made),
    )


def planner_of(study: Study) -> Choice:
    """The planner that a study names; that of an option of its controller where there is one."""
    control = study.scenario.control
    config, place = control.planner, (*study.control_place, "planner", "type")
    named = _named_by_option(controller_of(study))
    if named is not None:
        config, place = config.of_type(named[1]), (*study.control_place, "options", named[0])
    return Choice(
        group="cosim.planners",
        name=config.type,
        place=place,
        options=config.options,
        options_place=(*study.control_place, "planner", "options"),
        seed=control.seed,
        file=study.path,
        folder=study.plugin_folder,
        trusted=study.trusted,
    )


def _named_by_option(controller: Choice) -> tuple[str, str] | None:
    """The option of a controller that names a planner, and the planner; None where there is none."""
    try:
        key, model = controller.declared.planner_option, controller.declared.options
    except CosimError:
        return None
    if not key or model is None or not issubclass(model, BaseModel):
        return None
    return key, str(controller.options.get(key, model.model_fields[key].default))


def planner_name(study: Study) -> str | None:
    """Name of the planner that the scenario gives to a controller; None where it needs none."""
    return next((choice.name for choice in _choices_of(study) if choice.group == PLANNERS), None)


def forecasters_of(study: Study) -> tuple[Choice, ...]:
    """The forecaster that a controller always has, or that a study names, or those of its quantities.

    Quantities are load, irradiance and price, in this order.
    """
    config, place = study.scenario.control.forecast, (*study.control_place, "forecast")
    try:
        always = controller_of(study).declared.forecaster
    except CosimError:
        always = ""
    if always:
        return (_forecaster(study, ForecastConfig(type=always), place),)
    if isinstance(config, ForecastConfig):
        return (_forecaster(study, config, place),)
    return tuple(
        _forecaster(study, getattr(config, quantity), (*place, quantity))
        for quantity in ("load", "irradiance", "price")
    )


def _forecaster(study: Study, config: ForecastConfig, place: Place) -> Choice:
    return Choice(
        group="cosim.forecasters",
        name=config.type,
        place=place,
        options=config.options,
        options_place=(*place, "options"),
        seed=study.scenario.control.seed,
        file=study.path,
        folder=study.plugin_folder,
        trusted=study.trusted,
    )


def uncertainty_problems(study: Study) -> list[str]:
    """Why the planner or the forecaster of a study cannot do what ``control.planner.uncertainty`` asks.

    Raises:
        UnknownPlugin, WrongDeclaration: a name is wrong.
    """
    asked = study.scenario.control.planner.uncertainty
    place = (*study.control_place, "planner", "uncertainty")
    if asked is None:
        return []
    at = f"{line_of(study.path, place)}{'.'.join(place)}: "
    planner, forecasters = planner_of(study), forecasters_of(study)
    if not planner.declared.many_futures:
        return [f"{at}{planner.who} plans for one future; use lindistflow or tangent, or leave it out"]
    if not any(forecaster.declared.tells_errors for forecaster in forecasters):
        said = " and ".join(dict.fromkeys(forecaster.who for forecaster in forecasters))
        return [f"{at}{said} says nothing about errors; use forecaster noisy, or leave it out"]
    return []


def part_problems(study: Study) -> list[str]:
    """Why a controller or its planner cannot have a part of the devices only.

    Raises:
        UnknownPlugin, WrongDeclaration: a name is wrong.
    """
    if study.part is None:
        return []
    controller, *others = _choices_of(study)
    at = f"{line_of(study.path, controller.place)}{'.'.join(map(str, controller.place))}: "
    declared = controller.declared
    if declared.engine_led or declared.bound:
        led = declared.engine_led
        why = "sets up controls of the simulator" if led else "is a bound of all controllers"
        return [f"{at}{controller.who} {why} and needs all devices; use it in 'control'"]
    planner = [choice for choice in others if choice.group == PLANNERS]
    return [
        f"{at}{choice.who} needs the true series, which holds for a controller of all devices; use another"
        for choice in (controller, *planner)
        if "truth" in choice.declared.needs
    ]
