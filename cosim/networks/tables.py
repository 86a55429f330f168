"""A balanced feeder in four CSV tables.

========================  ===================================================
``branches.csv``          ``from_bus,to_bus,r_ohm,x_ohm`` and, if known, ``normal_amps``
``loads.csv``             ``bus,p_kw,q_kvar``
``pv.csv``                ``bus,p_rated_kw,s_rated_kva``
``storage.csv``           ``bus,p_rated_kw,e_rated_kwh,s_rated_kva``
========================  ===================================================

``pv.csv`` and ``storage.csv`` may be missing. Coordinates come from ``buses.csv`` (``bus,x,y``
without a heading, as OpenDSS reads it), or from :func:`cosim.networks.layout.tree_layout`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from cosim.errors import FeederError
from cosim.model.arrays import FloatArray, IntArray
from cosim.networks.balanced import BalancedFeeder, Branches, Loads, Places, Pvs, Storages
from cosim.networks.layout import tree_layout
from cosim.networks.tree import outward_order

BRANCHES = ("from_bus", "to_bus", "r_ohm", "x_ohm")
LOADS = ("bus", "p_kw", "q_kvar")
PVS = ("bus", "p_rated_kw", "s_rated_kva")
STORAGES = ("bus", "p_rated_kw", "e_rated_kwh", "s_rated_kva")


def read_tables(folder: Path, *, name: str, title: str, base_kv: float, source_pu: float) -> BalancedFeeder:
    """Read a feeder. The bus that no branch feeds is the substation.

    Args:
        folder: where the tables are.
        name, title, base_kv, source_pu: what the tables do not say, see :class:`BalancedFeeder`.

    Raises:
        FeederError: a table, a column or a bus is missing, a value is no number, or no tree.
    """
    path = folder / "branches.csv"
    table = _read(path, BRANCHES)
    buses, rows = outward_order(table["from_bus"].tolist(), table["to_bus"].tolist())
    position = {bus: i for i, bus in enumerate(buses)}
    amps = _numbers(path, table, "normal_amps") if "normal_amps" in table else np.zeros(len(rows))
    branches = Branches(
        _positions(path, table["from_bus"], position)[rows],
        _numbers(path, table, "r_ohm")[rows],
        _numbers(path, table, "x_ohm")[rows],
        amps[rows],
    )
    load_bus, (load_kw, load_kvar) = _devices(folder / "loads.csv", LOADS, position)
    pv_bus, (pv_kw, pv_kva) = _devices(folder / "pv.csv", PVS, position)
    storage_bus, (storage_kw, storage_kwh, storage_kva) = _devices(
        folder / "storage.csv", STORAGES, position
    )
    return BalancedFeeder(
        name=name,
        title=title,
        base_kv=base_kv,
        source_pu=source_pu,
        buses=buses,
        branches=branches,
        loads=Loads(load_bus, load_kw, load_kvar),
        pvs=Pvs(pv_bus, pv_kw, pv_kva),
        storages=Storages(storage_bus, storage_kw, storage_kva, storage_kwh),
        places=_places(folder / "buses.csv", position) or tree_layout(branches.from_bus),
    )


def write_tables(feeder: BalancedFeeder, folder: Path) -> None:
    """Write the tables that :func:`read_tables` reads, and ``buses.csv``."""
    folder.mkdir(parents=True, exist_ok=True)
    names = np.array(feeder.buses)
    branches, loads, pvs, storages = feeder.branches, feeder.loads, feeder.pvs, feeder.storages
    tables = {
        "branches": {
            "from_bus": names[branches.from_bus],
            "to_bus": names[branches.to_bus],
            "r_ohm": branches.r_ohm,
            "x_ohm": branches.x_ohm,
            "normal_amps": branches.normal_amps,
        },
        "loads": dict(zip(LOADS, (names[loads.bus], loads.kw, loads.kvar), strict=True)),
        "pv": dict(zip(PVS, (names[pvs.bus], pvs.kw, pvs.kva), strict=True)),
        "storage": dict(
            zip(STORAGES, (names[storages.bus], storages.kw, storages.kwh, storages.kva), strict=True)
        ),
    }
    for stem, columns in tables.items():
        pd.DataFrame(columns).to_csv(folder / f"{stem}.csv", index=False, lineterminator="\n")
    write_places(feeder, folder / "buses.csv")


def write_places(feeder: BalancedFeeder, path: Path) -> None:
    """Write coordinates as OpenDSS reads them: ``bus,x,y`` without a heading."""
    rows = zip(feeder.buses, feeder.places.x.tolist(), feeder.places.y.tolist(), strict=True)
    text = "".join(f"{bus},{x:g},{y:g}\n" for bus, x, y in rows)
    path.write_text(text, encoding="utf-8", newline="\n")


def _read(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    """A table with bus names as lower-case text; pv.csv and storage.csv may be missing."""
    if not path.is_file():
        if columns in (PVS, STORAGES):
            return pd.DataFrame({column: [] for column in columns})
        raise FeederError(f"{path} does not exist; a feeder has branches.csv and loads.csv")
    named = [column for column in columns if column.endswith("bus")]
    try:
        # As text, because the reader's own floats may be off in the last digit.
        table = pd.read_csv(path, dtype=str)
    except ValueError as error:
        raise FeederError(f"{path} cannot be read: {error}") from error
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise FeederError(f"{path} has no column {', '.join(missing)}; it has {', '.join(table.columns)}")
    for column in named:
        table[column] = table[column].fillna("").str.strip().str.lower()
    return table


def _devices(
    path: Path, columns: tuple[str, ...], position: dict[str, int]
) -> tuple[IntArray, list[FloatArray]]:
    """Positions of the buses and the other columns of a table of devices."""
    table = _read(path, columns)
    return _positions(path, table["bus"], position), [
        _numbers(path, table, column) for column in columns[1:]
    ]


def _positions(path: Path, names: pd.Series[str], position: dict[str, int]) -> IntArray:
    unknown = [bus for bus in names if bus not in position]
    if unknown:
        raise FeederError(f"{path} names bus {unknown[0]}, which no branch reaches")
    return np.array([position[bus] for bus in names], dtype=np.int64)


def _numbers(path: Path, table: pd.DataFrame, column: str) -> FloatArray:
    try:
        return np.array([float(text) for text in table[column]], dtype=np.float64)
    except ValueError as error:
        raise FeederError(f"{path}: column {column}: {error}") from error


def _places(path: Path, position: dict[str, int]) -> Places | None:
    """Coordinates of all buses, or None where there is no file."""
    if not path.is_file():
        return None
    table = pd.read_csv(path, names=["bus", "x", "y"], dtype=str)
    known = {str(bus).lower(): row for row, bus in enumerate(table["bus"])}
    missing = [bus for bus in position if bus not in known]
    if missing:
        raise FeederError(f"{path} has no coordinates of bus {missing[0]}; give all, or no such file")
    rows = [known[bus] for bus in position]
    return Places(_numbers(path, table, "x")[rows], _numbers(path, table, "y")[rows])
