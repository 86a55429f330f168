"""``accept`` and ``metrics`` of a scenario: limits that decide on a run, and facts for metrics."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from typing import Any, ClassVar, Literal

from pydantic import Field, GetJsonSchemaHandler, NonNegativeFloat, PositiveFloat, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from cosim.devices.kind import Config
from cosim.run.battery_ageing import BatteryAgeing
from cosim.run.lean import Lean
from cosim.run.meter_config import MetersConfig
from cosim.run.tariff import DemandConfig

Sign = Literal["<=", ">=", "<", ">"]
SHORT = re.compile(
    r"\s*(?P<metric>[a-z][a-z0-9_]*)\s*(?P<sign><=|>=|<|>)\s*"
    r"(?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(?P<baseline>\*\s*baseline)?\s*"
)


class WrittenLimit(Config):
    """A limit that may be written as a sentence."""

    form: ClassVar[str]
    """How the sentence looks."""

    @classmethod
    def parts(cls, sentence: str) -> dict[str, Any] | None:
        """Values of the fields that a sentence stands for; None where it is none."""
        raise NotImplementedError

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        found = cls.parts(value)
        if found is None:
            raise ValueError(f"{value!r} is no limit; write {cls.form}")
        return found

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """A text or a mapping."""
        return {"anyOf": [{"type": "string", "description": cls.form}, handler(schema)]}


class AcceptLimit(WrittenLimit, Lean):
    """A limit on one metric; ``energy_cost <= 1.05 * baseline`` stands for it."""

    later: ClassVar[frozenset[str]] = frozenset({"tolerance"})
    form: ClassVar[str] = "METRIC <= NUMBER or METRIC <= NUMBER * baseline; also >=, < and >"

    metric: str = Field(description="name of a metric, see the page Metrics")
    sign: Sign = Field("<=", description="how the metric must compare with the bound")
    number: float = Field(description="the bound, or its factor, in the unit of the metric")
    times_baseline: bool = Field(False, description="the bound is number times the run without control")
    tolerance: NonNegativeFloat | None = Field(
        None, description="by which the bound may be missed, same unit; default 0"
    )

    @classmethod
    def parts(cls, sentence: str) -> dict[str, Any] | None:
        """See :class:`WrittenLimit`."""
        match = SHORT.fullmatch(sentence)
        if match is None:
            return None
        return {
            "metric": match["metric"],
            "sign": match["sign"],
            "number": float(match["number"]),
            "times_baseline": match["baseline"] is not None,
        }

    def __str__(self) -> str:
        tolerance = f" (tolerance {self.tolerance:g})" if self.tolerance else ""
        times = " * baseline" if self.times_baseline else ""
        return f"{self.metric} {self.sign} {self.number:g}{times}{tolerance}"


class MetricsConfig(DemandConfig, MetersConfig, Lean):
    """What some metrics need to know beside the run."""

    later: ClassVar[frozenset[str]] = frozenset({"demand_windows", "meters", "battery_ageing"})

    demand_charge_per_kw: NonNegativeFloat = Field(
        0.0, description="price of the highest import of the run"
    )
    transformer_kva: PositiveFloat | None = Field(
        None, description="rating of the transformer at the substation, for its loss of life"
    )
    ambient_c: float = Field(30.0, description="temperature of the air around it, degrees Celsius")
    battery_ageing: BatteryAgeing | None = Field(
        None, description="law for the ageing of batteries; default: its default values"
    )


def problems_of(
    limits: tuple[AcceptLimit, ...], names: tuple[str, ...], *, baseline: bool
) -> Iterator[tuple[int, str]]:
    """What is wrong with limits, each with its place in the list.

    Args:
        limits: of a scenario.
        names: of the metrics that are installed.
        baseline: whether there will be a run without control.
    """
    for place, limit in enumerate(limits):
        if limit.metric not in names:
            near = difflib.get_close_matches(limit.metric, names, n=3)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            yield place, f"no metric is called {limit.metric!r}{hint}"
        elif limit.times_baseline and not baseline:
            yield place, f"{limit}: there is no run without control to compare with; set baseline: true"


def plain(limits: tuple[AcceptLimit, ...]) -> list[dict[str, Any]]:
    """The limits as plain values, for the manifest."""
    return [limit.model_dump() for limit in limits]
