"""Files of strangers: bounded, refused in a sentence; a short run of the fuzz benchmark."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import pytest

from benchmarks import fuzz
from cosim.errors import RecordError, ScenarioError, SeriesError
from cosim.run.checkpoint import Checkpoints
from cosim.run.input_config import FormatConfig
from cosim.run.scenario_file import load_scenario
from cosim.run.series_file import read_series_file


def refused(path: Path) -> str:
    with pytest.raises(ScenarioError) as error:
        load_scenario(path)
    return str(error.value)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"\xff\xfes\x00", "is no UTF-8 text: byte 0 is 0xff"),
        (b"a: &x [1]\nb: [" + b"*x, " * 5 + b"*x]", "schema: is missing"),
        (b"a: " + b"[" * 20_000, "is nested more than 60 deep"),
        (b"time: 2024-13-45T00:00:00", "is not YAML: ValueError: month must be in 1..12"),
        (b"n: " + b"9" * 5000, "is not YAML: ValueError: Exceeds the limit"),
        (b"x: !!python/object/apply:os.system ['echo executed']", "could not determine a constructor"),
        (b"\n".join(b"key%d: 1" % i for i in range(20_000)), "more; mend these first"),
        (b"#" + b"x" * 2_000_000, "has 2 MiB, at most 1 are read"),
    ],
)
def test_strange_scenarios_are_refused_at_once(tmp_path, text, why):
    path = tmp_path / "s.yaml"
    path.write_bytes(text)
    assert why in refused(path)


def test_aliases_cannot_outgrow_memory(tmp_path):
    lines = ["a0: &a0 [1, 2, 3, 4, 5, 6, 7, 8, 9]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 10)]
    path = tmp_path / "s.yaml"
    path.write_text("\n".join(lines))
    assert "has more than 200000 values" in refused(path)


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no /dev/zero")
def test_devices_and_pipes_are_no_files(tmp_path):
    assert "is no regular file" in refused(Path("/dev/zero"))
    os.mkfifo(tmp_path / "pipe.yaml")
    assert "is no regular file" in refused(tmp_path / "pipe.yaml")
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(SeriesError, match="is no regular file"):
        read_series_file(tmp_path / "pipe.csv", "pipe.csv", FormatConfig())


def test_bounds_of_numbers_are_checked_before_memory_is_taken(scenario_file):
    path = scenario_file(time={"start": "2024-06-21T12:00:00+00:00", "step_s": 900, "steps": 10**9})
    assert "time.steps: 1000000000: input should be less than or equal to 4000000" in refused(path)


@pytest.mark.parametrize(
    "body",
    [
        b"\x80\x05r\xff\xff\xff\x7f.",  # a memo of two billion entries
        b"\x80\x05}\x94(\x8c\x01a\x94cposix\nsystem\n\x94\x8c\x04true\x85R.",
        b"I99\n.",
        b"",
    ],
)
def test_a_hostile_state_takes_no_memory_and_executes_nothing(tmp_path, body):
    states = Checkpoints(tmp_path)
    states.keep_bytes(0, body)
    tracemalloc.start()
    try:
        with pytest.raises(RecordError, match="holds no state of a controller"):
            states.read(0)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 10_000_000


@pytest.fixture(scope="module")
def targets(tmp_path_factory) -> dict[str, fuzz.Target]:
    return fuzz.targets(tmp_path_factory.mktemp("fuzz"))


@pytest.mark.parametrize(
    "name", ["scenarios", "series", "plans", "records", "sites", "messages", "states", "events"]
)
def test_mutations_are_read_or_refused(targets, name, tmp_path):
    tally = fuzz.fuzz(name, targets[name], 150, seed=99, kept=tmp_path)
    assert not tally.broken, tally.broken
    assert tally.read + tally.refused == 150
