"""Every feeder at hand: inspect, init, run with planners tangent and lindistflow.

    python -m benchmarks.any_feeder [MASTER.dss ...] [--steps 24] [--out DIR]

Without masters: the feeders that ship, the IEEE 4 node feeder with all its connections, and the published
test feeders where COSIM_TEST_FEEDERS names a folder with them. Each command is a process of its own, as a
user types it. Written are ``feeders.json`` and ``feeders.md``: nodes, how far the twin is from OpenDSS, CPU
and wall seconds and peak memory of each command, share of steps with a plan, and the reason of a refusal.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.four_node import CONNECTIONS, STEPS, four_node
from cosim.run.record import read_record
from cosim.run.shipped import shipped, shipped_feeders

COSIM = (sys.executable, "-c", "from cosim.cli import main; main()")
PLANNERS = ("tangent", "lindistflow")
OVER_BOTH = frozenset({"ieee13", "ieee123", "ieee4 d_gry down"})
PUBLISHED = (
    "13Bus/IEEE13Nodeckt.dss", "34Bus/ieee34Mod1.dss", "34Bus/ieee34Mod2.dss", "37Bus/ieee37.dss",
    "123Bus/IEEE123Master.dss", "8500-Node/Master.dss", "8500-Node/Master-unbal.dss",
)  # fmt: skip


@dataclass
class Command:
    """How one command went: exit code, seconds, MiB, and its last words."""

    exit_code: int
    wall_s: float
    cpu_s: float
    peak_mib: float
    said: str
    output: str = field(repr=False, default="")


@dataclass
class Row:
    """A feeder.

    Attributes:
        feeder: its name.
        nodes: how many.
        twin: how far from OpenDSS, or why there is none.
        commands: by name.
        planned: share of steps with a plan, by run.
    """

    feeder: str
    nodes: str = ""
    twin: str = ""
    commands: dict[str, Command] = field(default_factory=dict)
    planned: dict[str, float] = field(default_factory=dict)


def masters(home: Path, given: list[Path]) -> Iterator[tuple[str, Path]]:
    """Names and files."""
    if given:
        yield from ((path.stem, path) for path in given)
        return
    for name in shipped_feeders():
        yield name, shipped("dss_models") / name / "master.dss"
    for connection in CONNECTIONS:
        for step in STEPS:
            path = home / f"ieee4_{connection}_{step}.dss"
            path.write_text(four_node(connection, step, balanced=False), encoding="utf-8")
            yield f"ieee4 {connection} {step}", path
    folder = os.environ.get("COSIM_TEST_FEEDERS")
    for relative in PUBLISHED if folder else ():
        yield (
            relative.rpartition("/")[2].removesuffix(".dss") + " (published)",
            Path(folder or "") / relative,
        )


def run(words: list[str], folder: Path) -> Command:
    """Run a command of the program; the kernel tells what it took."""
    began = time.monotonic()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen([*COSIM, *words], cwd=folder, stdout=output, stderr=subprocess.STDOUT)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read().decode("utf-8", "replace")
    # The last words of a command that went well name a folder that is gone.
    lines = [line.strip() for line in text.splitlines() if line.strip() and process.returncode]
    return Command(
        process.returncode,
        round(time.monotonic() - began, 2),
        round(used.ru_utime + used.ru_stime, 2),
        round(used.ru_maxrss / 1024.0, 1),
        lines[-1] if lines else "",
        text,
    )


def look(name: str, master: Path, steps: int) -> Row:
    """Inspect a feeder, write its first scenario and run it."""
    row = Row(name)
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        inspected = row.commands["inspect"] = run(["inspect", str(master), "--json"], folder)
        _note(row, inspected.output)
        row.commands["init"] = run(["init", str(master), "--out", "first.yaml"], folder)
        for planner in PLANNERS:
            for over in ("local", "helics") if name in OVER_BOTH else ("local",):
                label = f"{planner}, {over}"
                out = folder / label.replace(", ", "_")
                words = ["run", "first.yaml", "--no-baseline", "--steps", str(steps), "--over", over]
                words += ["--set", f"control.planner.type={planner}", "--out", str(out)]
                row.commands[label] = run(words, folder)
                if row.commands[label].exit_code == 0:
                    source = read_record(out).steps.source
                    row.planned[label] = float((source == "PLAN").mean())
    return row


def _note(row: Row, text: str) -> None:
    try:
        found: dict[str, Any] = json.loads(text)
    except ValueError:
        row.twin = text.strip().splitlines()[-1] if text.strip() else ""
        return
    facts = {fact["title"]: fact["text"] for fact in found["facts"]}
    row.nodes = facts.get("buses, nodes", "").partition(", ")[2]
    row.twin = next((v["detail"] for v in found["planners"] if v["planner"] == "tangent"), "")


def table(rows: list[Row]) -> str:
    """As Markdown."""
    labels = ["inspect", "init", *(f"{planner}, local" for planner in PLANNERS)]
    head = (
        "| feeder | nodes | twin | "
        + " | ".join(f"{label}: CPU s / MiB" for label in labels)
        + " | planned |"
    )
    lines = [head, "|---" * (4 + len(labels)) + "|"]
    for row in rows:
        cells = [_cell(row.commands[label]) for label in labels]
        planned = ", ".join(f"{label} {100 * share:.0f} %" for label, share in row.planned.items())
        twin = row.twin.removeprefix("its model differs from the feeder by ")
        lines.append(f"| {row.feeder} | {row.nodes} | {twin} | {' | '.join(cells)} | {planned} |")
    return "\n".join([*lines, ""])


def _cell(command: Command) -> str:
    if command.exit_code:
        return f"exit {command.exit_code}: {command.said[:120]}"
    return f"{command.cpu_s:.1f} / {command.peak_mib:.0f}"


def main() -> int:
    """Look at all feeders and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("masters", nargs="*", type=Path)
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--out", type=Path, default=Path("docs/results/feeders"))
    options = parser.parse_args()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as home:
        for name, master in masters(Path(home), options.masters):
            rows.append(look(name, master.resolve(), options.steps))
            print(
                f"{name}: {', '.join(f'{label} {_cell(c)}' for label, c in rows[-1].commands.items())}",
                flush=True,
            )
    options.out.mkdir(parents=True, exist_ok=True)
    plain = [asdict(row) for row in rows]
    for row in plain:
        for command in row["commands"].values():
            del command["output"]
    (options.out / "feeders.json").write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")
    (options.out / "feeders.md").write_text(table(rows), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
