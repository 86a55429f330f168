"""One registry for controllers, planners, forecasters and runners, and what each declares about itself.

A package adds a planner by declaring an entry point in the group ``cosim.planners``; nothing here
changes. A class of a user's own is named ``module:Class`` instead. What the program must know about a
plug-in stands on the plug-in, as attributes of a class or set by the decorators here, see
:class:`Declaration`: no other module compares names of plug-ins.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from pathlib import Path
from typing import Any, Literal, TypeVar, cast, get_args

from pydantic import BaseModel, ConfigDict

from cosim.errors import UnknownPlugin, WrongDeclaration

Group = Literal[
    "cosim.controllers",
    "cosim.planners",
    "cosim.forecasters",
    "cosim.devices",
    "cosim.runners",
    "cosim.metrics",
]
GROUPS: tuple[Group, ...] = get_args(Group)

Need = Literal["network", "twin", "truth", "exact_twin", "history", "vintages", "areas", "published"]
"""What a planner, a forecaster or a controller wants to know beside the site's names and ratings: the
radial network model, a twin of the feeder, the series that the plant will meet, the series before the run,
forecasts of others, the answers of areas in other processes, what a federate publishes of the coming steps;
``exact_twin``: the twin has none of the
errors that a scenario gives it, for bounds that no controller can reach."""
ANY_NETWORK: frozenset[Need] = frozenset({"network"})
"""What a plug-in gets that declares nothing."""

T = TypeVar("T")


class Options(BaseModel):
    """Base for the options of a plug-in: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


OptionsModel = type[BaseModel] | type[dict[str, Any]]


@dataclass(frozen=True)
class Declaration:
    """What a plug-in declares about itself; each attribute has the name of the plug-in's own.

    Attributes:
        needs: what it wants to know; what nobody needs is not built.
        options: model of the options that it takes from a scenario, or ``dict`` for the mapping as it is
            written. It gets them as keyword ``options``. None: it takes none.
        seeded: it gets ``control.seed`` of the scenario as keyword ``seed``.
        commands: of a controller, whether it commands devices; if not, the feeder stays as its master
            says.
        engine_led: of such a controller, whether the plant's own controls act on the devices of the
            scenario instead; its options are :class:`cosim.model.engine_controls.SetsUpEngineControls`.
        plans: of a controller, whether it is made of a forecaster, a planner and a rhythm.
        own_horizon: of a controller that plans, whether it chooses the horizon of each plan itself. It gets
            a :class:`cosim.control.planning.Planning` instead of the three.
        own_planner: of such a controller, whether it brings its planner: that of the scenario is not made.
        planner_option: name of its option that names the planner; empty: that of the scenario.
        forecaster: name of the forecaster that it always has; empty: that of the scenario.
        bound: of a controller, whether no other can do better by cost: runs are scored by it.
        in_process: of a driver, whether it keeps everything in one process.
        many_futures: of a planner, whether it takes ``planner.uncertainty``.
        tells_errors: of a forecaster, whether its forecasts carry the law of their errors.
    """

    needs: frozenset[Need] = ANY_NETWORK
    options: OptionsModel | None = None
    seeded: bool = False
    commands: bool = True
    engine_led: bool = False
    plans: bool = False
    own_horizon: bool = False
    own_planner: bool = False
    planner_option: str = ""
    forecaster: str = ""
    bound: bool = False
    in_process: bool = False
    many_futures: bool = False
    tells_errors: bool = False


# --- how to declare -------------------------------------------------------------------------------


def needs(*parts: Need) -> Callable[[T], T]:
    """Declare what a plug-in (a class, or a factory) wants to know; what nobody needs is not built."""
    return _declare("needs", frozenset(parts))


def options(model: OptionsModel) -> Callable[[T], T]:
    """Declare the options that a plug-in takes from a scenario, best a model derived from Options."""
    return _declare("options", model)


def seeded(plugin: T) -> T:
    """Declare that a plug-in takes the scenario's seed."""
    return _declare("seeded", True)(plugin)


def plans(plugin: T) -> T:
    """Declare that a controller is made of a forecaster, a planner and a rhythm."""
    return _declare("plans", True)(plugin)


def plans_its_own_horizons(
    *, brings_planner: bool = False, planner_option: str = "", forecaster: str = ""
) -> Callable[[T], T]:
    """Declare that a controller plans over horizons that it chooses itself.

    Args:
        brings_planner: the planner of the scenario is not made.
        planner_option: name of its option that names the planner.
        forecaster: name of the forecaster that it always has.
    """

    def declare(plugin: T) -> T:
        for name in ("plans", "own_horizon"):
            _declare(name, True)(plugin)
        _declare("own_planner", brings_planner)(plugin)
        _declare("planner_option", planner_option)(plugin)
        return _declare("forecaster", forecaster)(plugin)

    return declare


def is_bound(plugin: T) -> T:
    """Declare that no other controller can do better by cost, so that runs are scored by this one."""
    return _declare("bound", True)(plugin)


def commands_nothing(plugin: T) -> T:
    """Declare that a controller leaves every device as the master says."""
    return _declare("commands", False)(plugin)


def leaves_to_engine(plugin: T) -> T:
    """Declare that the plant's own controls act on devices, set up by the options of this controller."""
    return _declare("engine_led", True)(plugin)


def in_process(plugin: T) -> T:
    """Declare that a driver keeps everything in one process, so that it can take objects of it."""
    return _declare("in_process", True)(plugin)


def plans_many_futures(plugin: T) -> T:
    """Declare that a planner takes ``PlannerOptions.uncertainty``; other planners refuse it."""
    return _declare("many_futures", True)(plugin)


def tells_errors(plugin: T) -> T:
    """Declare that forecasts carry the law of their errors, so that scenarios can be drawn from them."""
    return _declare("tells_errors", True)(plugin)


def _declare(name: str, value: object) -> Callable[[T], T]:
    def declare(plugin: T) -> T:
        setattr(plugin, name, value)
        return plugin

    return declare


# --- what was declared ----------------------------------------------------------------------------


FLAGS = (
    "seeded", "commands", "engine_led", "plans", "own_horizon", "own_planner", "bound", "in_process",
    "many_futures", "tells_errors",
)  # fmt: skip
NAMES = ("planner_option", "forecaster")


def declared(plugin: Any) -> Declaration:
    """What a plug-in declares, with the usual answer where it says nothing.

    Raises:
        WrongDeclaration: an attribute of that name means something else.
    """
    usual = Declaration()
    flags = {name: getattr(plugin, name, getattr(usual, name)) for name in FLAGS}
    for name, value in flags.items():
        if not isinstance(value, bool):
            raise _wrong(plugin, name, value, "True or False")
    texts: dict[str, Any] = {name: getattr(plugin, name, "") for name in NAMES}
    for name, value in texts.items():
        if not isinstance(value, str):
            raise _wrong(plugin, name, value, "a text")
    return Declaration(needs=needs_of(plugin), options=options_of(plugin), **flags, **texts)


def needs_of(plugin: Any) -> frozenset[Need]:
    """What a plug-in wants to know.

    Raises:
        WrongDeclaration: it declares something else under this name.
    """
    found = getattr(plugin, "needs", ANY_NETWORK)
    if not isinstance(found, set | frozenset | tuple | list) or not set(found) <= set(get_args(Need)):
        raise _wrong(plugin, "needs", found, f"a set of {', '.join(get_args(Need))}")
    return frozenset(found)


def options_of(plugin: Any) -> OptionsModel | None:
    """Model of the options that a plug-in takes; None if it takes none.

    Raises:
        WrongDeclaration: it declares something else under this name.
    """
    found = getattr(plugin, "options", None)
    if found is None or found is dict:
        return cast("OptionsModel | None", found)
    if not (isinstance(found, type) and issubclass(found, BaseModel)):
        raise _wrong(plugin, "options", found, "a pydantic model, or dict")
    return found


def _wrong(plugin: Any, name: str, found: object, expected: str) -> WrongDeclaration:
    who = getattr(plugin, "__qualname__", repr(plugin))
    return WrongDeclaration(
        f"{who}.{name} is {found!r}, expected {expected}; {name!r} is a name for what a plug-in declares "
        "(see cosim.plugins.Declaration), rename what is meant otherwise"
    )


# --- by name --------------------------------------------------------------------------------------


def _points(group: Group) -> EntryPoints:
    return _points_on(tuple(sys.path), group)


@lru_cache(maxsize=64)
def _points_on(path: tuple[str, ...], group: Group) -> EntryPoints:
    """Entry points of packages on a path, searched once: a search opens a file of every package."""
    del path
    return entry_points(group=group)


def names(group: Group) -> tuple[str, ...]:
    """Installed plug-ins of a group."""
    return tuple(sorted({point.name for point in _points(group)}))


def installed(group: Group) -> tuple[EntryPoint, ...]:
    """Installed plug-ins of a group with where they come from, sorted by name."""
    return tuple(sorted(set(_points(group)), key=lambda point: point.name))


def load_all(group: Group) -> list[Any]:
    """The objects of all installed plug-ins of a group, sorted by name: the packages are searched once.

    Raises:
        ImportError: one cannot be imported.
    """
    first: dict[str, EntryPoint] = {}
    for point in _points(group):
        first.setdefault(point.name, point)
    return [first[name].load() for name in sorted(first)]


def kind(group: Group) -> str:
    """What a plug-in of a group is called in a sentence."""
    return group.removeprefix("cosim.").removesuffix("s")


def load(group: Group, name: str, beside: Path | None = None, *, trusted: bool = False) -> Any:
    """The object a plug-in name stands for.

    Args:
        group: what kind of plug-in.
        name: of an entry point, or ``module:Class``.
        beside: folder in which a module may lie that is not installed.
        trusted: whether a module of that folder may be executed.

    Raises:
        UnknownPlugin: not installed, or it cannot be imported.
    """
    if ":" in name:
        return _imported(group, name, beside, trusted=trusted)
    for point in _points(group):
        if point.name == name:
            return point.load()
    installed = names(group)
    near = difflib.get_close_matches(name, installed, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise UnknownPlugin(
        f"no {kind(group)} {name!r}{hint} (installed: {', '.join(installed) or 'none'}; "
        "name one of your own module:Class)"
    )


def _imported(group: Group, name: str, beside: Path | None, *, trusted: bool) -> Any:
    module, _, attribute = name.partition(":")
    if not all(part.isidentifier() for part in (*module.split("."), attribute)):
        raise UnknownPlugin(f"{kind(group)} {name!r} is no module:Class, e.g. my_module:MyClass")
    if beside is not None and str(beside.resolve()) not in sys.path and not _is_importable(module):
        first = module.partition(".")[0]
        there = [path for path in (beside / first, beside / f"{first}.py") if path.exists()]
        if there and not trusted:
            raise UnknownPlugin(
                f"{kind(group)} {name!r} lies beside the scenario ({there[0]}) and is not installed: it "
                "would be executed. Read it, then add --trust"
            )
        if there:
            sys.path.append(str(beside.resolve()))
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise UnknownPlugin(f"{kind(group)} {name!r} cannot be imported: {error}") from error


def _is_importable(module: str) -> bool:
    """Whether a module can be found without a folder of a scenario; nothing of it is executed."""
    try:
        return importlib.util.find_spec(module.partition(".")[0]) is not None
    except (ImportError, ValueError):
        return False
