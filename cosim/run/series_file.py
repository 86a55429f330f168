"""Files of series as people have them: CSV and parquet, wide and long, in usual encodings."""

from __future__ import annotations

import codecs
import csv
import glob
import logging
import os
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from cosim.bounded import MEBIBYTE, Unreadable, must_be_bounded
from cosim.errors import SeriesError
from cosim.model.arrays import IntArray
from cosim.run.bounded import MOST_SERIES_BYTES, STRANGE
from cosim.run.input_config import FormatConfig
from cosim.run.series_times import seconds_of

log = logging.getLogger(__name__)

TIME_COLUMN, SEPARATOR, DECIMAL = "time", ",", "."
MOST_HEADER = 16 * MEBIBYTE
MOST_NAMED = 12
"""Names in a message."""
MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
PARQUET = (".parquet", ".pq")


@dataclass(frozen=True)
class SeriesFile:
    """A file of series that has been read.

    Attributes:
        source: name for messages.
        cells: without times and keys; of a long table the values alone.
        row: number of each row in the file; the header of CSV is row 1.
        second: time of each row, seconds since 1970, UTC.
        keys: of a long table: rows of each series, in their order in the file; None: a wide table.
    """

    source: str
    cells: pd.DataFrame
    row: IntArray
    second: IntArray
    keys: dict[str, IntArray] | None = None

    @cached_property
    def columns(self) -> list[str]:
        """Names of the series."""
        return list(self.cells.columns) if self.keys is None else list(self.keys)

    @cached_property
    def by_case(self) -> dict[str, list[str]]:
        """Names of the series that are equal but for upper and lower case."""
        return _by_case(self.columns)

    def match(self, wanted: str) -> str:
        """The series that is meant, see :func:`match_of`.

        Raises:
            SeriesError: there is none, or there are several.
        """
        return match_of(self.by_case, wanted, self.source)


def paths_of(folder: Path, files: Path | Iterable[Path]) -> list[Path]:
    """Files that an entry names, globs written out, in order of name.

    A file that is called like a glob is that file; what does not exist is handed back as it is.
    """
    found: list[Path] = []
    for file in [files] if isinstance(files, Path) else files:
        path = folder / file
        if path.exists() or not glob.has_magic(str(file)):
            found.append(path.resolve())
        else:
            pattern = str(Path(glob.escape(str(folder))) / file)
            found += [Path(one).resolve() for one in sorted(glob.glob(pattern, recursive=True))]  # noqa: PTH207 - absolute patterns
    return list(dict.fromkeys(path for path in found))


def read_series_file(path: Path, source: str, form: FormatConfig) -> SeriesFile:
    """Read a file of series.

    Args:
        path: of the file; parquet by its ending, else CSV.
        source: its name for messages.
        form: how it is written.

    Raises:
        SeriesError: it cannot be read, a column is missing or double, or a time is no time.
    """
    table, row = _table_of(path, source, form)
    if not len(table):
        raise SeriesError(f"{source} has no rows; a series needs at least two")
    times = table.pop(_column_of(table, form.time_column or TIME_COLUMN, source, "time_column"))
    if (form.key_column is None) != (form.value_column is None):
        raise SeriesError(f"{source}: a long table needs both 'key_column' and 'value_column'")
    if form.key_column is None:
        second = seconds_of(times, row, form, [np.arange(len(row))], source)
        return SeriesFile(source, table, row, second)
    key = table[_column_of(table, form.key_column, source, "key_column")]
    value = _column_of(table, str(form.value_column), source, "value_column")
    if key.isna().any():
        raise SeriesError(f"{source} row {row[int(key.isna().argmax())]} has no {form.key_column}; fill it")
    keys = {
        str(name): np.asarray(at, dtype=np.int64)
        for name, at in key.astype(str).str.strip().groupby(key.astype(str).str.strip()).indices.items()
    }
    return SeriesFile(
        source, table[[value]], row, seconds_of(times, row, form, keys.values(), source), keys
    )


def match_of(by_case: dict[str, list[str]], wanted: str, source: str) -> str:
    """The column that is meant: the very name, or the only one that is equal but for upper and lower case.

    Raises:
        SeriesError: there is none, or there are several.
    """
    near = by_case.get(wanted.strip().casefold(), [])
    if wanted.strip() in near:
        return wanted.strip()
    if len(near) > 1:
        both = " and ".join(repr(name) for name in near)
        raise SeriesError(f"{source}: columns {both} are both {wanted!r} but for upper and lower case")
    if not near:
        names = [name for group in by_case.values() for name in group]
        raise SeriesError(f"{source} has no column {wanted!r}; it has {some_of(names)}")
    return near[0]


def _by_case(names: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(name.casefold(), []).append(name)
    return found


def some_of(names: list[str]) -> str:
    """Names for a message, cut where they are many."""
    more = ", ..." if len(names) > MOST_NAMED else ""
    return f"{', '.join(names[:MOST_NAMED])[:500]}{more}"


def _column_of(table: pd.DataFrame, wanted: str, source: str, key: str) -> str:
    try:
        return match_of(_by_case(table.columns), wanted, source)
    except SeriesError as error:
        hint = f"; name it with 'format: {{{key}: ...}}'"
        for mark in (";", "\t", "|"):
            if len(table.columns) == 1 and mark in table.columns[0]:
                hint = f"; its cells seem to be separated by {mark!r}: 'format: {{separator: \"{mark}\"}}'"
        raise SeriesError(f"{error}{hint}") from None


def _table_of(path: Path, source: str, form: FormatConfig) -> tuple[pd.DataFrame, IntArray]:
    """All cells, and the number of each row in the file."""
    if not path.exists():
        raise SeriesError(f"{path} does not exist")
    try:
        must_be_bounded(path, MOST_SERIES_BYTES)
        with warnings.catch_warnings():
            # What pandas warns of, such as cells that have no column, are mistakes in the file.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            table = _parquet(path, form) if path.suffix.lower() in PARQUET else _csv(path, source, form)
    except Unreadable as error:
        raise SeriesError(f"{path} {error}") from error
    except (*STRANGE, OSError, csv.Error, pa.ArrowException, pd.errors.ParserWarning) as error:
        text = " ".join(str(error).split())[:300]
        raise SeriesError(f"{path} cannot be read: {text}") from error
    table.columns = [str(column).strip() for column in table.columns]
    if table.columns.has_duplicates:
        double = sorted(table.columns[table.columns.duplicated()])
        raise SeriesError(f"{source} has two columns {double[0]!r}; rename one or take it out")
    row = np.asarray(table.index, dtype=np.int64)
    return table.reset_index(drop=True), row


def _parquet(path: Path, form: FormatConfig) -> pd.DataFrame:
    table = pd.read_parquet(path)
    if table.index.name is not None and str(table.index.name) not in map(str, table.columns):
        table = table.reset_index()
    table.index = pd.RangeIndex(1, len(table) + 1)
    texts = [column for column in table.columns if str(column).strip() == form.key_column]
    return table.astype(dict.fromkeys(texts, "object"))


def _csv(path: Path, source: str, form: FormatConfig) -> pd.DataFrame:
    """The cells of a CSV file; the index is the number of the row."""
    encoding = _encoding(path, source, form)
    separator, decimal = form.separator or SEPARATOR, form.decimal or DECIMAL
    if separator == decimal:
        raise SeriesError(
            f"{source}: cells and decimals cannot both be marked by {decimal!r}; give the separator, "
            "e.g. 'format: {separator: \";\"}'"
        )
    above, header = _header(path, encoding, separator)
    as_text = {(form.time_column or TIME_COLUMN).casefold(), (form.key_column or "").casefold()}
    table = pd.read_csv(
        path,
        sep=separator,
        decimal=decimal,
        encoding=encoding,
        header=None,
        names=range(len(header)),
        skiprows=above,
        index_col=False,
        skip_blank_lines=False,
        low_memory=False,
        dtype={at: str for at, name in enumerate(header) if name.casefold() in as_text},
    )
    table.index = pd.RangeIndex(above + 1, above + 1 + len(table))
    table.columns = header
    nameless = [at for at, name in enumerate(header) if not name]
    filled = [at for at in nameless if table.iloc[:, at].notna().any()]
    if filled:
        raise SeriesError(f"{source}: column {filled[0] + 1} has no name; write one in row {above}")
    return table.iloc[:, [at for at, name in enumerate(header) if name]].dropna(how="all")


def _header(path: Path, encoding: str, separator: str) -> tuple[int, list[str]]:
    """Number of lines up to the names of the columns, and these names."""
    with path.open(encoding=encoding, newline="") as file:
        above = 0
        while line := file.readline(MOST_HEADER):
            above += 1
            if line.strip():
                return above, [name.strip() for name in next(csv.reader([line], delimiter=separator))]
    raise Unreadable("is empty")


def _encoding(path: Path, source: str, form: FormatConfig) -> str:
    """The encoding that is stated, or that the file shows."""
    with path.open("rb") as file:
        start = file.read(4)
        shown = next((name for mark, name in MARKS if start.startswith(mark)), None)
        if shown is not None and form.encoding in {None, "utf-8", "utf-16"}:
            return shown
        if form.encoding is not None:
            return form.encoding
        decoder = codecs.getincrementaldecoder("utf-8")()
        file.seek(0)
        try:
            while part := file.read(MEBIBYTE):
                decoder.decode(part)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            log.warning(
                "%s is no UTF-8 and is read as latin-1; say so with 'format: {encoding: latin-1}'", source
            )
            return "latin-1"
    return "utf-8"


def name_of(path: Path, folder: Path) -> str:
    """Name of a file for messages: from the folder of the study, where it lies there."""
    home = folder.resolve()
    return path.relative_to(home).as_posix() if path.is_relative_to(home) else os.fspath(path)
