"""The section ``inputs`` of a scenario: which series there are, and how their files are written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal
from zoneinfo import ZoneInfo

from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    GetJsonSchemaHandler,
    Tag,
    field_validator,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from cosim.devices.kind import Config
from cosim.run.lean import Lean
from cosim.run.tariff import Tariff, read_tariff

Resample = Literal["refuse", "hold", "mean", "linear"]
"""What may be done where the rows of a series are not the steps of a run."""
GapFill = Literal["refuse", "hold", "interpolate"]
"""What may be done where rows are missing or cells are empty."""
ISO = "ISO8601"
"""The time format of a file that states none."""
MOST_FILLED = 50_000
"""Steps of a gap: more than a year of quarters of an hour."""
MOST_HISTORY_S = 3_162_240_000
"""A century."""
DEVICE = "{name}"
"""Stands for the name of a load or of a device in the name of a column."""


def _also_alone(value: object) -> object:
    return (value,) if isinstance(value, dict | str) else value


def _schema_also_alone(schema: dict[str, Any]) -> None:
    """One entry stands for a list of one."""
    several = {key: schema.pop(key) for key in ("type", "items")}
    schema["anyOf"] = [several["items"], several]


_ALSO_ALONE: Callable[[dict[str, Any]], None] = _schema_also_alone


def _one_or_list(value: object) -> str:
    return "list" if isinstance(value, list | tuple) else "name"


Files = Annotated[
    Annotated[Path, Tag("name")] | Annotated[tuple[Path, ...], Tag("list"), Field(min_length=1)],
    Discriminator(_one_or_list),
]
"""A file, a glob, or a list of both, which are joined in time."""


Names = Annotated[
    tuple[str, ...], BeforeValidator(_also_alone), Field(min_length=1, json_schema_extra=_ALSO_ALONE)
]


class FormatConfig(Config):
    """How a file of series is written; a key that is not given is that of ``inputs.format``."""

    separator: str | None = Field(None, description="between the cells of CSV; default a comma")
    decimal: Literal[".", ","] | None = Field(None, description="mark in numbers; default a point")
    encoding: Literal["utf-8", "utf-16", "latin-1", "cp1252"] | None = Field(
        None, description="default: UTF-8, or UTF-16 with its mark; else latin-1, with a warning"
    )
    time_column: str | None = Field(None, description="default time")
    time_format: str | None = Field(
        None, description="as for strptime, e.g. %d.%m.%Y %H:%M; default ISO8601"
    )
    timezone: str | None = Field(
        None, description="IANA name for times without UTC offset, e.g. Europe/Berlin; default: refused"
    )
    key_column: str | None = Field(
        None, description="of a long table: says to which series a row belongs; with value_column"
    )
    value_column: str | None = Field(None, description="of a long table: holds the values")

    @field_validator("separator")
    @classmethod
    def _one_mark(cls, mark: str | None) -> str | None:
        if mark is not None and (len(mark) != 1 or not mark.isascii() or mark in '"\r\n\0'):
            raise ValueError('give one character, e.g. ";" or, for a tab, "\\t"')
        return mark

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, name: str | None) -> str | None:
        if name is not None:
            try:
                ZoneInfo(name)
            except (KeyError, ValueError, OSError):
                raise ValueError("no time zone of this name; write one like Europe/Berlin or UTC") from None
        return name

    def over(self, shared: FormatConfig) -> FormatConfig:
        """This format, completed by the shared one."""
        return FormatConfig.model_validate(
            shared.model_dump(exclude_none=True) | self.model_dump(exclude_none=True)
        )


class GapConfig(Config):
    """What may be done where rows are missing or cells are empty; only a word stands for its rule."""

    rule: GapFill = Field("refuse", description="hold the value before, or draw a straight line")
    up_to: Annotated[int, Field(gt=0, le=MOST_FILLED)] | None = Field(
        None, description="longest gap that is filled, in steps of the run"
    )

    @model_validator(mode="before")
    @classmethod
    def _from_word(cls, value: object) -> object:
        return {"rule": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _bounded(self) -> GapConfig:
        if self.rule != "refuse" and self.up_to is None:
            raise ValueError(f"say how many steps it may fill, e.g. {{rule: {self.rule}, up_to: 4}}")
        if self.rule == "refuse" and self.up_to is not None:
            raise ValueError("'up_to' fills nothing without 'rule: hold' or 'rule: interpolate'")
        return self

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """A word or a mapping."""
        mapping = handler(schema)
        return {"anyOf": [{"const": "refuse"}, mapping]}


class ReadingConfig(Lean):
    """How one entry is read; what is not given is that of the section."""

    later: ClassVar[frozenset[str]] = frozenset({"format", "resample", "gaps"})

    format: FormatConfig | None = Field(None, description="how the file is written")
    resample: Resample | None = Field(None, description="where rows are not steps; default inputs.resample")
    gaps: GapConfig | None = Field(None, description="where values are missing; default inputs.gaps")


class ColumnConfig(ReadingConfig):
    """One column of a file, or one number for all steps."""

    file: Files | None = Field(
        None, description="CSV or parquet with a column of times; several, or a glob, are joined in time"
    )
    column: str | None = Field(None, description="column of the file, or key of a long table")
    constant: float | None = Field(None, description="the same value at every step")
    scale: float = Field(1.0, description="every value is multiplied by this")

    @model_validator(mode="after")
    def _file_or_constant(self) -> ColumnConfig:
        if (self.file is None) == (self.constant is None):
            raise ValueError("give either 'file' and 'column' or 'constant'")
        if self.file is not None and self.column is None:
            raise ValueError("name the 'column' of the file")
        return self


class PriceConfig(ColumnConfig):
    """Price of energy: a tariff, one column of a file, or one number for all steps."""

    later: ClassVar[frozenset[str]] = ReadingConfig.later | {"tariff"}

    tariff: Path | Tariff | None = Field(
        None, description="prices by season, weekday and hour: here, or in a file beside the scenario"
    )

    @model_validator(mode="after")
    def _file_or_constant(self) -> PriceConfig:
        if sum(part is not None for part in (self.file, self.constant, self.tariff)) != 1:
            raise ValueError("give either 'file' and 'column', or 'constant', or 'tariff'")
        if self.file is not None and self.column is None:
            raise ValueError("name the 'column' of the file")
        return self

    def read_tariff(self, folder: Path) -> Tariff | None:
        """The tariff as it is written, without ``scale``; None where prices are no tariff.

        Args:
            folder: that a file is relative to.

        Raises:
            SeriesError: its file cannot be read, or is wrong.
        """
        if self.tariff is None:
            return None
        return read_tariff(folder / self.tariff) if isinstance(self.tariff, Path) else self.tariff


IrradianceUnit = Literal["kw_per_m2", "w_per_m2"]


class IrradianceConfig(ColumnConfig):
    """Irradiance: one column of a file, or one number for all steps."""

    later: ClassVar[frozenset[str]] = ReadingConfig.later | {"unit"}

    unit: IrradianceUnit | None = Field(None, description="of the values; default kw_per_m2")


class LoadInput(Config):
    """Demand: one multiplier for all loads, the feeder's own shapes, or a table of kW per load."""

    multiplier: ColumnConfig | None = Field(None, description="multiplies every variable load")
    feeder_shapes: bool = Field(
        False,
        description="use the shapes of the master: of its loads, and of the sun on its PV systems",
    )
    table_kw: Files | None = Field(None, description="file with one column of kW per load")

    @model_validator(mode="after")
    def _exactly_one(self) -> LoadInput:
        if sum([self.multiplier is not None, self.feeder_shapes, self.table_kw is not None]) != 1:
            raise ValueError("give exactly one of 'multiplier', 'feeder_shapes' and 'table_kw'")
        return self


class LoadSeries(ReadingConfig):
    """Series of some loads' own; ``{name}`` in a column stands for the name of the load."""

    names: Names = Field(("*",), description="names or globs of loads, e.g. s67*")
    file: Files = Field(description="CSV or parquet; several, or a glob, are joined in time")
    kw: str | None = Field(None, description="column of kW, e.g. {name}_kw")
    kvar: str | None = Field(
        None, description="column of kvar; default: at the nominal power factor of each load"
    )
    scale: float = Field(1.0, description="every value is multiplied by this")

    @model_validator(mode="after")
    def _something(self) -> LoadSeries:
        if self.kw is None and self.kvar is None:
            raise ValueError("name the column of 'kw', of 'kvar' or of both, e.g. '{name}_kw'")
        return self


class PvSeries(ReadingConfig):
    """Series of some PV systems' own; ``{name}`` in a column stands for the name of the system."""

    names: Names = Field(("*",), description="names or globs of PV systems, e.g. roof_*")
    file: Files = Field(description="CSV or parquet; several, or a glob, are joined in time")
    irradiance: str | None = Field(None, description="column of irradiance in the plane of the panels")
    available_kw: str | None = Field(None, description="column of kW that the panels could give")
    unit: IrradianceUnit | None = Field(None, description="of irradiance; default kw_per_m2")
    scale: float = Field(1.0, description="every value is multiplied by this")

    @model_validator(mode="after")
    def _exactly_one(self) -> PvSeries:
        if (self.irradiance is None) == (self.available_kw is None):
            raise ValueError("name the column of exactly one of 'irradiance' and 'available_kw'")
        if self.unit is not None and self.irradiance is None:
            raise ValueError("'unit' is that of irradiance; 'available_kw' is in kW, see 'scale'")
        return self


class HistoryConfig(Lean):
    """Series of the time before the run, for forecasters that learn or look back.

    An entry that is not given is that of ``inputs``, read for the earlier time. What a file holds from the
    start of the run on is not read.
    """

    later: ClassVar[frozenset[str]] = frozenset({"load", "loads", "irradiance", "pvs", "price"})

    length_s: Annotated[int, Field(gt=0, le=MOST_HISTORY_S)] = Field(
        description="how long before the start of the run it begins; it ends at the start"
    )
    load: LoadInput | None = Field(None, description="default inputs.load")
    loads: Annotated[tuple[LoadSeries, ...], BeforeValidator(_also_alone)] = Field(
        (), description="default inputs.loads", json_schema_extra=_ALSO_ALONE
    )
    irradiance: IrradianceConfig | None = Field(None, description="kW/m²; default inputs.irradiance")
    pvs: Annotated[tuple[PvSeries, ...], BeforeValidator(_also_alone)] = Field(
        (), description="default inputs.pvs", json_schema_extra=_ALSO_ALONE
    )
    price: PriceConfig | None = Field(None, description="currency per kWh; default inputs.price")


class VintageConfig(Lean):
    """Forecasts of one quantity as they were issued: a row for each issue time and target time."""

    later: ClassVar[frozenset[str]] = frozenset({"format"})

    file: Files = Field(description="CSV or parquet; several, or a glob, are read together")
    column: str = Field(description="column of the values")
    issue_column: str = Field("issue_time", description="column of the times at which they became known")
    format: FormatConfig | None = Field(
        None, description="how the file is written; time_column is that of the target times"
    )
    scale: float = Field(1.0, description="every value is multiplied by this")


class VintagesConfig(Lean):
    """Forecasts of others, for forecaster file."""

    later: ClassVar[frozenset[str]] = frozenset({"load", "irradiance", "price"})

    load: VintageConfig | None = Field(None, description="kW of all loads together")
    irradiance: VintageConfig | None = Field(None, description="kW/m² that all devices see")
    price: VintageConfig | None = Field(None, description="currency per kWh")


class InputsConfig(Lean):
    """What the world does: demand, sun, price, source voltage."""

    later: ClassVar[frozenset[str]] = frozenset({"format", "gaps", "loads", "pvs", "history", "vintages"})

    load: LoadInput = Field(LoadInput(multiplier=ColumnConfig(constant=1.0)))
    loads: Annotated[tuple[LoadSeries, ...], BeforeValidator(_also_alone)] = Field(
        (),
        description="series of some loads' own; the others follow load",
        json_schema_extra=_ALSO_ALONE,
    )
    irradiance: IrradianceConfig = Field(IrradianceConfig(constant=0.0), description="kW/m²")
    pvs: Annotated[tuple[PvSeries, ...], BeforeValidator(_also_alone)] = Field(
        (),
        description="series of some PV systems' own; the others follow irradiance",
        json_schema_extra=_ALSO_ALONE,
    )
    price: PriceConfig = Field(PriceConfig(constant=0.1), description="currency per kWh")
    source_pu: ColumnConfig | None = Field(
        None,
        description="voltage of the source in per unit; several move alike; default as the master says",
    )
    resample: Resample = Field("refuse", description="what may be done where rows are not steps")
    gaps: GapConfig | None = Field(None, description="where values are missing; default refuse")
    format: FormatConfig | None = Field(None, description="how the files are written, unless they say")
    history: HistoryConfig | None = Field(None, description="series before the run; default none")
    vintages: VintagesConfig | None = Field(None, description="forecasts of others; default none")

    def before_run(self) -> InputsConfig:
        """The entries that hold for the history."""
        given = {} if self.history is None else self.history.model_dump(exclude={"length_s"})
        names = [name for name, value in given.items() if value]
        changes = {name: getattr(self.history, name) for name in names}
        return self.model_copy(update={"source_pu": None, "history": None, "vintages": None} | changes)

    def may_fill_gaps(self) -> bool:
        """Whether some entry, or the section, lets gaps be filled."""
        entries = [
            self.load.multiplier,
            self.irradiance,
            self.price,
            self.source_pu,
            *self.loads,
            *self.pvs,
        ]
        if self.history is not None and self.before_run().may_fill_gaps():
            return True
        rules = [self.gaps, *(entry.gaps for entry in entries if entry is not None)]
        return any(gaps is not None and gaps.rule != "refuse" for gaps in rules)
