"""Mutated inputs: every one is read, or refused with a sentence; none is a traceback, none hangs.

    python -m benchmarks.fuzz [--count 100000] [--seed 1] [--target NAME ...] [--out FILE]
    python -m benchmarks.fuzz --guided [--seconds 600] [--target NAME ...] [--out FILE]

Targets: masters (OpenDSS, up to the engine), scenarios (YAML), series (CSV), plans and sites (JSON),
records (a run's folder), messages on the wire, states of controllers, events of federates. A mutation
changes bytes, swaps or repeats pieces, or puts in values that parsers stumble over. Inputs that raise
anything but an error of this package, or take over 10 s, are kept in a folder with their traceback. With
--guided mutations follow coverage (libFuzzer by way of atheris, see :mod:`benchmarks.guided`).
"""

from __future__ import annotations

import argparse
import json
import logging
import queue
import re
import resource
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from cosim.errors import CosimError
from cosim.experiments.open_loop import plan_day, read_plan
from cosim.feeder.script.reader import read_script
from cosim.model.state import NoPlan
from cosim.run.assembly import Assembly
from cosim.run.checkpoint import Checkpoints
from cosim.run.contract import checked
from cosim.run.execute import execute
from cosim.run.input_config import FormatConfig
from cosim.run.knowledge import knowledge_to_text, text_to_knowledge
from cosim.run.record import read_record
from cosim.run.repeat import open_recorded
from cosim.run.scenario_file import load_scenario
from cosim.run.series import Rules, Span, at_steps, points_of
from cosim.run.series_file import read_series_file
from cosim.run.shipped import find_scenario, shipped
from cosim.run.study import Study, open_study
from federates.codec import decode_decision, encode_decision, site_to_text, text_to_site
from federates.events import _event

LONGEST_S = 10.0
SPLICES = (
    b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\r\n", b"\t", b"!!python/object:os.system ", b"!!binary ",
    b"&a ", b"*a ", b"[" * 50, b"{" * 50, b"]", b"}", b": ", b"- ", b"? ", b"<<: ", b"null", b"~",
    b"true", b".nan", b".inf", b"-.inf", b"1e308", b"-1e308", b"1e999", b"9" * 400, b"0x" + b"f" * 40,
    b"-1", b"0", b"1_000", b"12:30:45", b"2024-13-45", b"0001-01-01T00:00:00+00:00",
    b"9999-12-31T23:59:59-23:59", b"2024-06-21", b"NaN", b"Infinity", b'"', b"'", b"\\",
    b"\xf0\x9f\x94\x8b", b"%", b"#", b",", b",,,", b"\n\n", b"../../etc/passwd", b"/dev/zero",
    b"module:Class",
)  # fmt: skip


def mutate(data: bytes, random: np.random.Generator) -> bytes:
    """A few small damages."""
    out = bytearray(data)
    for _ in range(int(random.integers(1, 6))):
        at = int(random.integers(0, len(out) + 1))
        kind = int(random.integers(0, 7))
        if kind == 0 and out:
            out[at % len(out)] = int(random.integers(0, 256))
        elif kind == 1:
            del out[at : at + int(random.integers(1, 40))]
        elif kind == 2:
            out[at:at] = SPLICES[int(random.integers(0, len(SPLICES)))]
        elif kind == 3:
            end = at + int(random.integers(1, 80))
            out[at:at] = out[at:end] * int(random.integers(1, 4))
        elif kind == 4:
            lines = bytes(out).split(b"\n")
            i, j = (int(random.integers(0, len(lines))) for _ in range(2))
            lines[i], lines[j] = lines[j], lines[i]
            out = bytearray(b"\n".join(lines))
        elif kind == 5:
            parts = bytes(out).split(b" ")
            parts[int(random.integers(0, len(parts)))] = SPLICES[int(random.integers(0, len(SPLICES)))]
            out = bytearray(b" ".join(parts))
        else:
            del out[at:]
    return bytes(out)


@dataclass
class Target:
    """What is fed with mutations.

    Attributes:
        seeds: sound inputs.
        feed: reads one; raises an error of the package where it refuses.
        share: of all mutations.
    """

    seeds: list[bytes]
    feed: Callable[[bytes], object]
    share: float


@dataclass
class Tally:
    """What came of a target's inputs."""

    read: int = 0
    refused: int = 0
    broken: dict[str, int] = field(default_factory=dict)
    slowest_s: float = 0.0


def targets(home: Path) -> dict[str, Target]:
    """All targets, with sound inputs made for the purpose."""
    study = _small_study(home)
    run = home / "run"
    execute(study, run, over="local", overwrite=False, progress=lambda _done: None)
    plan = plan_day(study)
    if isinstance(plan, NoPlan):
        raise SystemExit(f"no plan to mutate: {plan.reason}")
    plan.write(home / "plan.json")
    configs = shipped("configs")
    scenarios = [path.read_bytes() for path in sorted(configs.glob("*.yaml"))]
    series = [path.read_bytes()[:4000] for path in sorted((configs / "series").glob("*.csv"))]
    return {
        "masters": Target(_masters(), lambda data: read_script(_put(home / "m.dss", data)), 0.15),
        "scenarios": Target(scenarios, lambda data: load_scenario(_put(home / "s.yaml", data)), 0.2),
        "series": Target(series, lambda data: _series(_put(home / "s.csv", data)), 0.25),
        "plans": Target(
            [(home / "plan.json").read_bytes()], lambda data: read_plan(_put(home / "p.json", data)), 0.1
        ),
        "records": Target(_record_seeds(run), lambda data: _record(home, run, data), 0.1),
        "sites": Target(
            [(run / "site.json").read_bytes()],
            lambda data: text_to_site(data.decode("utf-8", "replace")),
            0.05,
        ),
        "messages": _messages(study),
        "states": _states(home, run),
        "events": Target([b'{"step": 3, "doing": "plan"}\n', b'{"kept": 7}\n'], _events, 0.05),
    }


def _masters() -> list[bytes]:
    """Parts of the shipped feeders, and lines of every kind that are not obeyed as they stand."""
    parts = [path.read_bytes()[:4000] for path in sorted(shipped("dss_models").glob("*/*.dss"))]
    return [
        *parts,
        b"new generator.g bus1=b model=6 usermodel=./x.so\n~ userdata=(a b)\nexport voltages\n",
        b"set datapath=x number=3\nsave circuit\n/* a\n*/\nnew loadshape.x npts=2 mult=(file=m.dss)\n",
    ]


def _small_study(home: Path) -> Study:
    scenario = yaml.safe_load(find_scenario("ieee13").read_text(encoding="utf-8"))
    text = yaml.safe_dump(scenario | {"baseline": False}).replace(
        "series/", f"{shipped('configs')}/series/"
    )
    (home / "study.yaml").write_text(text, encoding="utf-8")
    return open_study(home / "study.yaml", steps=3)


def _put(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def _series(path: Path) -> object:
    file = read_series_file(path, path.name, FormatConfig())
    column = file.columns[0] if file.columns else "x"
    return at_steps(points_of([file], column), Span(int(file.second[0]), 900, 2), Rules("hold"))


RECORD_FILES = ("manifest.json", "site.json", "scenario.yaml", "steps")


def _record_seeds(run: Path) -> list[bytes]:
    """One input per file of a record: its number, then its bytes."""
    part = next((run / "steps").glob("*.parquet")).read_bytes()
    texts = [(run / name).read_bytes() for name in RECORD_FILES[:3]]
    return [bytes([number]) + data for number, data in enumerate([*texts, part])]


def _record(home: Path, run: Path, data: bytes) -> object:
    """A record with one damaged file."""
    which = data[0] % len(RECORD_FILES) if data else 0
    copy = home / "damaged"
    (copy / "steps").mkdir(parents=True, exist_ok=True)
    for name in RECORD_FILES[:3]:
        _put(copy / name, data[1:] if name == RECORD_FILES[which] else (run / name).read_bytes())
    for path in (copy / "steps").iterdir():
        path.unlink()
    whole = next((run / "steps").glob("*.parquet")).read_bytes()
    _put(copy / "steps" / "part-0000000.parquet", data[1:] if which == 3 else whole)
    read_record(copy)
    return open_recorded(copy)


def _messages(study: Study) -> Target:
    """Decisions and knowledge as they travel."""
    with Assembly(study) as assembly:
        site, measurement = assembly.site, assembly.feeder.measure(0)
        controller = assembly.controller
        controller.start(site)
        decision = controller.step(measurement)
        knowledge = knowledge_to_text(assembly.knowledge).encode()[:20_000]
    values = encode_decision(decision)
    texts = {name: value for name, value in values.items() if isinstance(value, str)}
    seeds = [b"d" + json.dumps(texts).encode(), b"k" + knowledge, b"s" + site_to_text(site).encode()]

    def feed(data: bytes) -> object:
        text = data[1:].decode("utf-8", "replace")
        if data[:1] == b"k":
            return text_to_knowledge(text, site)
        if data[:1] == b"s":
            return text_to_site(text)
        try:
            strings = json.loads(text)
        except ValueError:
            return None
        if not isinstance(strings, dict):
            return None
        sent = {**values, **{name: str(strings[name]) for name in texts if name in strings}}
        return checked(decode_decision(sent), site, measurement, owner="controller")

    return Target(seeds, feed, 0.05)


def _states(home: Path, run: Path) -> Target:
    """States of a controller, with a right head on damaged bytes."""
    states = Checkpoints(home / "states")
    (home / "states").mkdir()
    source = Checkpoints(run)
    last = source.latest(2)
    seeds = (
        [(run / "checkpoint" / f"step-{last:07d}.state").read_bytes().split(b"\n", 1)[1][:6000]]
        if last
        else []
    )
    seeds.append(b"\x80\x05}\x94(\x8c\x01a\x94K\x01u.")

    def feed(data: bytes) -> object:
        states.keep_bytes(0, data)
        return states.read(0)

    return Target(seeds, feed, 0.05)


def _events(data: bytes) -> object:
    """Lines of a pipe."""
    found: queue.Queue[object] = queue.Queue()
    for line in data.split(b"\n"):
        found.put(_event(line))
    return found


def sign_of(error: Exception) -> str:
    """Type and place of an exception, by which breaks are told apart."""
    where = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {Path(where.filename).name}:{where.lineno}"


def guided(name: str, seconds: int, kept: Path) -> dict[str, Any]:
    """Let libFuzzer explore a target in a process of its own."""
    before = set(kept.glob(f"guided-{name}-*"))
    words = [
        sys.executable,
        "-m",
        "benchmarks.guided",
        name,
        "--seconds",
        str(seconds),
        "--kept",
        str(kept),
    ]
    done = subprocess.run(words, capture_output=True, check=False)
    said = done.stderr.decode("utf-8", "replace")
    stats = dict(re.findall(r"^stat::(\w+):\s+(\d+)", said, re.MULTILINE))
    covered = re.findall(r"cov: (\d+)", said)
    found = sorted(set(kept.glob(f"guided-{name}-*")) - before)
    signs = [path.read_text(encoding="utf-8").partition("\n")[0] for path in found if path.suffix == ".txt"]
    if done.returncode:
        signs.append(f"exit code {done.returncode}: {said.strip().splitlines()[-1][:200]}")
    return {
        "seconds": seconds,
        "inputs": int(stats.get("number_of_executed_units", 0)),
        "branches_from_seeds": int(covered[0]) if covered else None,
        "branches": int(covered[-1]) if covered else None,
        "peak_mib": int(stats.get("peak_rss_mb", 0)),
        "broken": signs,
    }


def explore(options: argparse.Namespace) -> int:
    """Let all targets be explored; exit code 1 if an input broke something or took too long."""
    rows: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as home:
        chosen = list(shares(targets(Path(home)), options.seconds, options.target))
    for name, _, seconds in chosen:
        rows[name] = guided(name, seconds, options.kept)
        print(name, json.dumps(rows[name]), flush=True)
    broken = sum(len(row["broken"]) for row in rows.values())
    print(f"{broken} places broken by {sum(row['inputs'] for row in rows.values())} inputs")
    if options.out is not None:
        options.out.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return 1 if broken else 0


def fuzz(name: str, target: Target, count: int, seed: int, kept: Path) -> Tally:
    """Feed mutations to a target."""
    random, tally = np.random.default_rng([seed, len(name), ord(name[0])]), Tally()
    for number in range(count):
        data = mutate(target.seeds[number % len(target.seeds)], random)
        began = time.perf_counter()
        try:
            target.feed(data)
        except CosimError:
            tally.refused += 1
        except Exception as error:  # noqa: BLE001 - this is what is looked for
            sign = sign_of(error)
            if sign not in tally.broken:
                kept.mkdir(parents=True, exist_ok=True)
                (kept / f"{name}-{number}.input").write_bytes(data)
                (kept / f"{name}-{number}.txt").write_text(traceback.format_exc(), encoding="utf-8")
            tally.broken[sign] = tally.broken.get(sign, 0) + 1
        else:
            tally.read += 1
        tally.slowest_s = max(tally.slowest_s, time.perf_counter() - began)
    return tally


def shares(found: dict[str, Target], count: int, wanted: list[str]) -> Iterator[tuple[str, Target, int]]:
    """How many mutations each target gets."""
    chosen = {name: target for name, target in found.items() if not wanted or name in wanted}
    whole = sum(target.share for target in chosen.values())
    for name, target in chosen.items():
        yield name, target, round(count * target.share / whole)


def main() -> int:
    """Feed all targets; exit code 1 if an input broke something or took too long."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--target", nargs="*", default=[])
    parser.add_argument("--kept", type=Path, default=Path("runs/fuzz"), help="inputs that broke something")
    parser.add_argument("--out", type=Path, default=None)
    parser.add_argument("--guided", action="store_true", help="mutations follow coverage; needs atheris")
    parser.add_argument("--seconds", type=int, default=600, help="for all targets, with --guided")
    options = parser.parse_args()
    if options.guided:
        return explore(options)
    logging.disable(logging.WARNING)
    rows: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as home:
        found = targets(Path(home))
        for name, target, count in shares(found, options.count, options.target):
            tally = fuzz(name, target, count, options.seed, options.kept)
            rows[name] = asdict(tally) | {"inputs": count}
            print(name, json.dumps(rows[name]), flush=True)
    broken = sum(sum(row["broken"].values()) for row in rows.values())
    slow = [name for name, row in rows.items() if row["slowest_s"] > LONGEST_S]
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0
    print(f"{broken} broke something, {len(slow)} targets over {LONGEST_S:g} s, peak {peak_mib:.0f} MiB")
    if options.out is not None:
        rows["peak_mib"] = peak_mib
        options.out.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return 1 if broken or slow else 0


if __name__ == "__main__":
    sys.exit(main())
