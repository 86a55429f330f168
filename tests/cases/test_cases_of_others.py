"""Small inputs that went wrong for somebody: each works with the right value, or is refused by name.

The inputs are a collection beside the repository, which is not part of it; without it these tests are
skipped. The kinds behind them are tested with inputs of our own in ``tests/feeder``, ``tests/laws``,
``tests/script`` and ``tests/run``.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cosim.errors import CosimError
from cosim.run.check import check_file
from cosim.run.execute import execute
from cosim.run.record import read_record
from cosim.run.study import open_study
from tests.conftest import ROOT

CASES = ROOT.parent / "shared" / "cases"

RIGHT = {
    "base_irradiance": ("pv_kw", 0, 100.0),
    "generator_daily_shape": ("import_kw", 0, 0.0),
    "storage_follow_discover_false": ("import_kw", 0, 586.9),
    "capcontrol_time": ("import_kvar", 9, -112.0),
    "growth_year": ("load_kw", 0, 900.0),
    "shape_8760_from_january": ("demand_kw", 0, 582.5),
    "memory_mapped_shape": ("demand_kw", 0, 265.0),
    "fourwire_to_earth": ("import_kw", 0, None),
}
"""Column of the record, step and value (summed over loads or devices); None: that it runs."""

RUNS = (
    "bases_move", "case_redirect", "daily_solve_in_master", "dangling_node_tangent", "debugtrace_two_engines",
    "device_model_2", "expcontrol", "export_meters", "generator_load_level", "generator_outside_voltage",
    "inspect_no_voltagebases", "invcontrol_without_der", "kvarmax", "latin1_names", "no_vbases",
    "no_voltage_bases", "open_switch_island",
    "open_switch_no_cap", "own_solve_control_limit", "pv_curves", "pv_of_master_discover_false",
    "pv_power_factor", "pv_shape_feeder", "regulator_debugtrace", "setkvbase_lost", "setkvbase_overruled",
    "show_export", "source_island_dgprot", "tangent_load_on_dead_bus", "tertiary_three_buses",
    "three_winding_sub", "three_winding_three_buses", "two_phase_delta_load", "two_sources",
    "undefined_bus_load", "useactual_shapes", "uuids_relative", "writes_anywhere",
    "wye_load_on_delta_winding", "yearly_only",
)  # fmt: skip

REFUSED = {
    "battery_on_dead_bus": ("'isle2.1' has no voltage", "storages.0.bus"),
    "clear_in_middle": ("'b' is no bus", "nearest"),
    "cktmodel_positive": ("positive-sequence model",),
    "dead_source": ("no node of the feeder has a voltage", "50 Hz"),
    "delta_on_one_node": ("'c.1.1' is not a bus with phases",),
    "device_kv_line_to_neutral": ("storage.bat has kv=0.277", "needs 0.48 kV"),
    "duplicate_storages": ("storage.s", "rename one"),
    "found_storage_effcurve": ("%EffCharge=87.3 %EffDischarge=87.3",),
    "missing_voltage_base": ("add 4.16 to 'set voltagebases'",),
    "naive_csv": ("timezone",),
    "open_conductor_base": ("'c.1' has no voltage", "storages.0.bus"),
    "regulator_without_taps": ("transformer reg has numtaps=0",),
    "resample_finer_rows": ("resample: mean",),
    "semicolon_csv": ("separator",),
    "siting_on_dead_phase": ("siting.0",),
    "storage_kwh_zero": ("storage s is rated 0 kWh",),
    "table_columns_equal_but_case": ("columns A and a are the same load",),
    "tiny_busbar_twin": ("line.hv couples its buses", "at least 1e-6 ohm"),
    "user_model": ("native code", "--trust", "line 16"),
    "voltagebase_level_missing": ("add 0.48 to 'set voltagebases'",),
    "yaml_latin1": ("is no UTF-8 text", "save it as UTF-8"),
    "controller_returns_lists": ("would be executed", "--trust"),
    "controller_writes_into_pv_available": ("would be executed", "--trust"),
    "own_controller_import": ("would be executed", "--trust"),
}
MASTERS_ONLY = {"j1_with_pv_fallback": "its master is not part of the collection"}


def scenario_of(name: str) -> Path:
    folder = CASES / name
    if not folder.is_dir():
        pytest.skip(f"no case {name}: the collection of small inputs is not at hand")
    found = sorted(folder.glob("s*.yaml"))
    return found[0]


def problems_of(path: Path) -> str:
    try:
        problems, assembly = check_file(path, None, trusted=False)
    except CosimError as error:
        return str(error)
    if assembly is not None:
        assembly.__exit__()
    return "\n".join(problems)


def run_of(path: Path, out: Path, steps: int):
    study = replace(open_study(path, steps=steps)).without_baseline()
    execute(study, out, over="local", overwrite=False, progress=lambda _done: None)
    return read_record(out)


def test_every_case_is_in_the_table():
    if not CASES.is_dir():
        pytest.skip("the collection of small inputs is not at hand")
    known = {*RIGHT, *RUNS, *REFUSED, *MASTERS_ONLY}
    assert {path.name for path in CASES.iterdir() if path.is_dir()} == known


@pytest.mark.parametrize("name", [*RUNS, *RIGHT])
def test_it_runs_and_the_figure_is_right(name, tmp_path):
    column, step, value = RIGHT.get(name, ("import_kw", 0, None))
    record = run_of(scenario_of(name), tmp_path / "run", step + 1)
    assert record.manifest["status"] == "complete"
    assert not [event for events in record.steps.events for event in events]
    if value is not None:
        found = record.steps[column].iloc[step]
        total = float(found if isinstance(found, float) else sum(found))
        assert total == pytest.approx(value, rel=2e-3, abs=0.05)


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_by_name(name):
    said = problems_of(scenario_of(name))
    for words in REFUSED[name]:
        assert words in said
