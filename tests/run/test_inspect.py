"""What ``cosim inspect`` says of a feeder."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from cosim.errors import FeederError
from cosim.run.inspect import inspect_feeder
from tests.conftest import shipped_master


def facts(name_or_master: str | Path) -> dict[str, str]:
    """The table as a mapping."""
    table = inspect_feeder(Path(name_or_master))
    titles, texts = (list(column.cells) for column in table.columns)
    return dict(zip(map(str, titles), map(str, texts), strict=True))


def on_top_of_ieee13(folder: Path, *lines: str) -> Path:
    master = folder / "changed.dss"
    text = "\n".join([f'redirect "{shipped_master("ieee13")}"', *lines, "solve"])
    master.write_text(text + "\n", encoding="utf-8")
    return master


def test_a_shipped_feeder_is_described_by_name_and_by_file():
    by_name = facts("ieee13")
    assert by_name == facts(shipped_master("ieee13"))
    assert by_name["radial"] == "yes"
    # The published IEEE 13 has 3466 kW and 2102 kvar; loads.dss has 12 spot loads and 6 distributed ones.
    assert by_name["loads"] == "18, 3466 kW + 2102 kvar, 0 with a daily shape"
    # 671 carries 1155 kW and a third of the distributed 200 kW.
    assert by_name["where DER could go"].startswith(
        "9 load buses, the largest: 671 (1222 kW), 675 (843 kW)"
    )


def test_the_table_can_be_printed():
    console = Console(width=200, record=True)
    console.print(inspect_feeder(Path("ieee13")))
    assert "voltage at nominal load" in console.export_text()


def test_a_loop_is_named_by_its_buses(tmp_path):
    text = facts(on_top_of_ieee13(tmp_path, "new line.tie bus1=680.1.2.3 bus2=675.1.2.3 length=1 units=km"))
    assert text["radial"].startswith("no, loop ")
    assert {"671", "675", "680", "692"} <= set(text["radial"].removeprefix("no, loop ").split(" - "))


def test_devices_of_the_master_are_named(tmp_path):
    text = facts(
        on_top_of_ieee13(
            tmp_path,
            "new pvsystem.roof bus1=680.1.2.3 phases=3 kv=4.16 kva=100 pmpp=100",
            "new storage.cell bus1=675.1.2.3 phases=3 kv=4.16 kwrated=50 kwhrated=200",
        )
    )
    found = {words for title, words in text.items() if title.endswith(" found")}
    assert found == {"roof", "cell"}


def test_what_no_source_feeds_is_counted_and_no_place_for_devices(tmp_path):
    assert "not reached from the source" not in facts("ieee13")
    text = facts(on_top_of_ieee13(tmp_path, "disable line.sw671_692"))
    # 692 and 675 behind it.
    assert text["not reached from the source"] == "2 buses"
    assert text["where DER could go"].startswith("7 load buses, the largest: 671 (1222 kW), 634 (400 kW)")


def test_a_feeder_without_load_is_refused(tmp_path):
    master = tmp_path / "bare.dss"
    master.write_text(
        "clear\nnew circuit.bare basekv=12.47 bus1=a\nnew line.l bus1=a bus2=b length=1 units=km\n"
        "set voltagebases=[12.47]\ncalcvoltagebases\nsolve\n",
        encoding="utf-8",
    )
    with pytest.raises(FeederError, match=r"bare\.dss has no loads"):
        inspect_feeder(master)
