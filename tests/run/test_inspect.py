"""What ``cosim inspect`` says of a feeder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.console import Console

from cosim import plugins
from cosim.errors import RecordError
from cosim.run.begin import begin
from cosim.run.check import check_study
from cosim.run.execute import execute
from cosim.run.inspect import inspect_feeder, inspect_scenario
from cosim.run.record import read_record
from cosim.run.shipped import find_scenario, named_scenario
from cosim.run.study import open_study
from tests.conftest import shipped_master


def facts(name_or_master: str | Path) -> dict[str, str]:
    """The rows as a mapping."""
    found = inspect_feeder(Path(name_or_master), ask_planners=False)
    return {fact.title: fact.text for fact in found.facts}


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
    assert by_name["loads"] == "18, 3466 kW + 2102 kvar, 0 with a shape"
    # 671 carries 1155 kW and a third of the distributed 200 kW.
    assert by_name["where DER could go"].startswith(
        "9 load buses, the largest: 671 (1222 kW), 675 (843 kW)"
    )


def test_the_table_can_be_printed():
    console = Console(width=200, record=True)
    console.print(inspect_feeder(Path("ieee13"), ask_planners=False).table())
    assert "voltage at nominal load" in console.export_text()


def test_a_scenario_with_several_controllers_shows_who_commands_what():
    found = inspect_scenario(find_scenario("ieee13_owners"), ask_planners=False)
    own = {fact.title.partition(" (")[0]: fact.text for fact in found.facts if "commanded by" in fact.title}
    assert own == {
        "commanded by aggregator": "bess_675, bess_671",
        "commanded by utility": "pv_634, pv_680, pv_652",
        "commanded by household": "bess_611, bess_645",
    }
    assert facts("ieee13").items() <= {fact.title: fact.text for fact in found.facts}.items()


def test_a_name_of_a_feeder_and_of_a_scenario_means_the_feeder():
    assert named_scenario(Path("ieee13")) is None
    assert named_scenario(Path("ieee13_owners")) == find_scenario("ieee13_owners")
    assert named_scenario(Path("other/master.dss")) is None


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
    assert text["not reached from the source"].startswith("6 nodes have no voltage (675.1, 675.2")
    assert text["where DER could go"].startswith("7 load buses, the largest: 671 (1222 kW), 634 (400 kW)")


def test_a_feeder_without_load_is_described(tmp_path):
    master = tmp_path / "bare.dss"
    master.write_text(
        "clear\nnew circuit.bare basekv=12.47 bus1=a\nnew line.l bus1=a bus2=b length=1 units=km\n"
        "set voltagebases=[12.47]\ncalcvoltagebases\nsolve\n",
        encoding="utf-8",
    )
    found = inspect_feeder(master)
    assert found.solved
    assert {fact.title: fact.text for fact in found.facts}["loads"] == "none"
    assert not any(verdict.accepts for verdict in found.planners)
    assert all("no load to site" in verdict.detail for verdict in found.planners)


def test_every_planner_says_whether_it_would_take_the_feeder():
    found = inspect_feeder(Path("ieee13")).planners
    asked = {verdict.planner: verdict for verdict in found}
    assert set(asked) == set(plugins.names("cosim.planners"))
    assert asked["tangent"].accepts
    assert "differs from the feeder by" in asked["tangent"].detail
    assert asked["lindistflow"].accepts
    assert not asked["branch_flow_soc"].accepts
    assert "cosim feeder balanced" in asked["branch_flow_soc"].detail


SMALL = (
    "new circuit.c basekv=12.47 bus1=a",
    "new line.l bus1=a bus2=b length=1 r1=10 x1=10",
    "new load.x bus1=b kv=12.47 kw=10",
)
ENDS = ("set voltagebases=[12.47]", "calcvoltagebases")
BROKEN = {
    "no file at all": (None, "does not exist"),
    "no circuit": ("clear\n", "defines no circuit"),
    "a line that the engine refuses": (
        "new circuit.c\nnew line.l bus1=a linecode=none\n",
        "refused the line",
    ),
    "no solution": (
        "\n".join((*SMALL, "new load.y bus1=b kv=12.47 kw=1e6 vminpu=0 vlowpu=0", *ENDS)),
        "converge",
    ),
    "source at another frequency": ("\n".join((*SMALL, "set defaultbasefrequency=50", *ENDS)), "no node"),
    "native code": ("new circuit.c\nnew generator.g bus1=sourcebus usermodel=x.so\n", "native code"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_cannot_be_solved_is_a_row_with_the_reason(name, tmp_path):
    text, reason = BROKEN[name]
    master = tmp_path / "broken.dss"
    if text is not None:
        master.write_text(text, encoding="utf-8")
    found = inspect_feeder(master)
    failed = [fact.text for fact in found.facts if fact.level == "failed"]
    assert any(reason in text for text in failed), failed
    json.dumps(found.to_json())


def test_devices_that_cannot_be_controlled_do_not_hide_the_rest(tmp_path):
    line = "new storage.cell bus1=675.1.2.3 phases=3 kv=0.48 kwrated=50 kwhrated=200"
    found = inspect_feeder(on_top_of_ieee13(tmp_path, line))
    rows = {fact.title: fact for fact in found.facts}
    assert "storage.cell has kv=0.48" in rows["devices of the master"].text
    assert rows["radial"].text == "yes"
    assert {v.planner: v for v in found.planners}["tangent"].accepts, "asked without them"


def test_suspicious_data_are_named(tmp_path):
    found = inspect_feeder(
        on_top_of_ieee13(
            tmp_path,
            "new load.wrong bus1=675.1.2.3 phases=3 kv=13.8 kw=10 pf=0.95",
            "new load.still bus1=675.1.2.3 phases=3 kv=4.16 kw=0 kvar=10",
            "new load.heavy bus1=652.1 phases=1 kv=2.4 kw=900 pf=0.8",
            "new line.bar bus1=680.1.2.3 bus2=681.1.2.3 r1=1e-9 x1=1e-9 r0=1e-9 x0=1e-9 c1=0 c0=0 length=1",
        ),
        ask_planners=False,
    )
    said = " ".join(fact.text for fact in found.facts if fact.title == "looks wrong")
    for words in (
        "another voltage level than their bus: wrong", "reactive power alone, which follow no table of kW: still",
        "almost without impedance", "bar (", "beyond their rating at nominal load: line.",
        "nodes outside 0.9 .. 1.1 pu",
    ):  # fmt: skip
        assert words in said


@pytest.mark.parametrize("feeder", ["ieee13", "ads10_1ph", "ieee123", "ieee123_1ph"])
def test_a_first_scenario_runs_as_it_was_written(feeder, tmp_path):
    made, series = begin(Path(feeder), tmp_path / "mine.yaml")
    assert series.name == "mine_series.csv"
    study = open_study(made, steps=2)
    execute(study, tmp_path / "run", over="local", overwrite=False, progress=lambda _done: None)
    assert read_record(tmp_path / "run").steps.source.eq("PLAN").all()
    with pytest.raises(RecordError, match="is there already"):
        begin(Path(feeder), tmp_path / "mine.yaml")


def test_a_first_scenario_chooses_the_planner_by_the_feeder(tmp_path):
    """An element without a law for tangent: lindistflow, and why."""
    master = on_top_of_ieee13(tmp_path, "new isource.x bus1=680 amps=1")
    made, _ = begin(master, tmp_path / "mine.yaml")
    text = made.read_text()
    assert "type: lindistflow" in text
    assert "# Planner tangent does not take it: planner tangent has no law for isource.x" in text
    assert "feeder: {master: 'changed.dss'}" in text
    study = open_study(made, steps=2)
    execute(study, tmp_path / "run", over="local", overwrite=False, progress=lambda _done: None)


def test_a_template_needs_no_feeder(tmp_path):
    made, _ = begin(None, tmp_path / "mine.yaml")
    problems, assembly = check_study(open_study(made))
    assert problems == []
    assert assembly is not None
    assembly.__exit__()
