"""The command line: parse, call, exit code. 0 fine, 1 the run failed, 2 the scenario is invalid."""

from __future__ import annotations

import copy
import itertools
import json
import logging
import os
import sys
import threading
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Annotated

import click
import typer
from rich.logging import RichHandler
from rich.markup import escape

from cosim.commands import feeders, plans, studies
from cosim.commands.console import FAILED, FINE, INVALID, TrustOption, bar, describe, err, out
from cosim.devices.registry import counted
from cosim.errors import CosimError, FormulationRefused, ScenarioError, SolverMissing, SolverUnsuited
from cosim.plugins import UnknownPlugin
from cosim.report.html import write_report
from cosim.report.table import key_figures
from cosim.run.assembly import Assembly
from cosim.run.check import check_study
from cosim.run.doctor import checks
from cosim.run.examine import examine
from cosim.run.execute import Finished, execute, execute_baseline, resume
from cosim.run.inspect import inspect_feeder
from cosim.run.manifest import read_manifest
from cosim.run.record import last_step
from cosim.run.repeat import is_record, open_recorded
from cosim.run.schema import scenario_schema
from cosim.run.shipped import find_scenario, shipped_scenarios
from cosim.run.study import Study, open_study

SHELL_INTERRUPTED = 130
"""What typer makes of Ctrl-C."""

app = typer.Typer(
    name="cosim",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    add_completion=False,
    help="Closed-loop validation of battery dispatch on distribution feeders.\n\n"
    "OpenDSS simulates the feeder, HELICS carries the values, a receding-horizon optimal power flow "
    "decides, and the report shows whether the controller kept its promises.",
    epilog="Start with **cosim run ieee13**, then **cosim run ieee123**. "
    "Exit codes: 0 fine, 1 the run failed, 2 the scenario is invalid.",
)
app.add_typer(studies.app)
app.add_typer(feeders.app)
app.command("plan")(plans.plan)
app.command("replay")(plans.replay_plan)

ScenarioArgument = Annotated[
    str,
    typer.Argument(
        help="a YAML file, or the name of a shipped scenario: " + ", ".join(shipped_scenarios())
    ),
]
RunArgument = Annotated[
    str,
    typer.Argument(
        help="a YAML file, the folder of a record, which is repeated, or the name of a shipped scenario: "
        + ", ".join(shipped_scenarios())
    ),
]
MasterOption = Annotated[
    Path | None, typer.Option("--master", help="simulate this OpenDSS master instead of the scenario's")
]


@app.command()
def run(
    scenario: RunArgument,
    over: Annotated[str, typer.Option(help="helics (separate processes) or local (this one)")] = "helics",
    folder: Annotated[
        Path | None, typer.Option("--out", help="folder of the record; default runs/NAME-TIME")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="run this many steps only")] = None,
    master: MasterOption = None,
    port: Annotated[
        int | None, typer.Option(min=1024, max=65_000, help="of the HELICS broker; default a free one")
    ] = None,
    overwrite: Annotated[bool, typer.Option(help="replace an earlier run in the same folder")] = False,
    baseline: Annotated[bool, typer.Option(help="also run without control, to compare")] = True,
    trust: TrustOption = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="one line per step")] = False,
) -> None:
    """Run a scenario in closed loop and write its record and report.

    Examples:
    - `cosim run ieee13`
    - `cosim run ieee123 --out runs/monday`
    - `cosim run my.yaml --over local --steps 8`
    - `cosim run runs/monday` repeats a run, if the files it was made of are unchanged
    """
    _log(verbose=verbose)
    study = replace(_study_to_run(scenario, steps, master), port=port, trusted=trust)
    if not baseline:
        study = study.without_baseline()
    # Everything that can be found wrong is found before anything is written.
    opened = _checked(study)
    target = folder or _fresh_folder(study)
    finished = _with_bar(opened, target, over=over, overwrite=overwrite)
    if study.scenario.baseline and study.commanded:
        _baseline(study, target)
    report = write_report(target)
    out.print(key_figures(report))
    out.print(f"{finished.wall_s:.1f} s over {over}. Report: {escape(str(target / 'report.html'))}")


@app.command("resume")
def resume_run(
    folder: Annotated[Path, typer.Argument(help="folder of a run that was cut short", metavar="RUN")],
    trust: TrustOption = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="one line per step")] = False,
) -> None:
    """Carry on a run that was interrupted, killed or failed; the record is that of one run without a break.

    The plant repeats the finished steps and must find what is on record. The controller goes on with the
    state it had; one without `state()` and `restore()` repeats its steps too.
    """
    _log(verbose=verbose)
    if not is_record(folder):
        raise ScenarioError(str(folder), ["has no manifest.json: it is no run; see cosim run --help"])
    study = replace(open_recorded(folder), trusted=trust)
    if read_manifest(folder)["status"] == "complete":
        out.print(f"{escape(str(folder))} is complete; there is nothing to carry on")
    else:
        opened = _checked(study)
        with bar("steps") as progress:
            task = progress.add_task(f"{study.scenario.name}, resumed", total=study.grid.steps)
            resume(
                folder,
                progress=lambda done: progress.update(task, completed=done),
                opened=opened,
                repeats=lambda sentence: err.print(escape(sentence)),
                told=lambda text: describe(progress, task, f"{study.scenario.name}, resumed", text),
            )
    if study.scenario.baseline and study.commanded and not _is_complete(folder / "baseline"):
        _baseline(study, folder)
    out.print(key_figures(write_report(folder)))
    out.print(f"Report: {escape(str(folder / 'report.html'))}")


def _is_complete(folder: Path) -> bool:
    return is_record(folder) and read_manifest(folder)["status"] == "complete"


@app.command()
def check(scenario: ScenarioArgument, master: MasterOption = None, trust: TrustOption = False) -> None:
    """Check a scenario without running it: all mistakes at once, each with its line.

    The feeder is compiled, the devices are placed, the series are read and the plan is compiled.
    """
    _log(verbose=False)
    path = find_scenario(scenario)
    study = replace(open_study(path, master=master), trusted=trust)
    with _checked(study) as assembly:
        site = assembly.site
    out.print(
        f"[green]{escape(str(path))} is valid[/green]: {len(site.nodes)} nodes, {len(site.loads)} loads, "
        f"{counted(device.kind for device in site.devices)}, {len(site.regulators)} regulators, "
        f"{study.grid.steps} steps of {study.grid.step_s} s, {len(study.horizon)} periods in a plan"
    )


@app.command()
def report(folder: Annotated[Path, typer.Argument(help="folder of a run, complete or aborted")]) -> None:
    """Write the report of a run again, also of one that was cut short."""
    written = write_report(folder)
    out.print(key_figures(written))
    out.print(f"Report: {escape(str(folder / 'report.html'))}")


@app.command()
def inspect(
    master: Annotated[Path, typer.Argument(help="OpenDSS master file, or the name of a shipped feeder")],
) -> None:
    """What is in this feeder, is it radial, and where could batteries and PV go?"""
    out.print(inspect_feeder(master))


@app.command()
def doctor(
    folder: Annotated[
        Path | None, typer.Argument(help="folder of a run, which is examined instead", metavar="[RUN]")
    ] = None,
) -> None:
    """Is this machine ready? Versions, a free port, a HELICS broker, the solver, OpenDSS.

    With the folder of a run: is its record sound? Steps without a gap, undamaged files, unchanged sources.
    """
    bad = 0
    for name, fine, detail in checks() if folder is None else examine(folder):
        out.print(f"{'[green]ok  [/green]' if fine else '[red]FAIL[/red]'} {name}: {escape(detail)}")
        bad += not fine
    if bad:
        raise typer.Exit(FAILED)


@app.command()
def schema() -> None:
    """Print the JSON schema of scenario files, for editors (YAML language servers read it)."""
    sys.stdout.write(json.dumps(scenario_schema(), indent=2) + "\n")


# --- parts of a command ---------------------------------------------------------------------------


def _study_to_run(name: str, steps: int | None, master: Path | None) -> Study:
    """The study of a scenario, or that of a record."""
    folder = Path(name)
    if name in shipped_scenarios() or not folder.is_dir():
        return open_study(find_scenario(name), steps=steps, master=master)
    if not is_record(folder):
        raise ScenarioError(name, ["is a folder without manifest.json: neither a record nor a scenario"])
    if steps is not None or master is not None:
        raise ScenarioError(
            name, ["is a record, which is repeated as it is; leave out --steps and --master"]
        )
    return open_recorded(folder)


def _checked(study: Study) -> Assembly:
    """The study, opened; everything that can be found wrong is found here."""
    problems, assembly = check_study(study)
    if problems or assembly is None:
        raise ScenarioError(str(study.path), problems)
    return assembly


def _fresh_folder(study: Study) -> Path:
    # Local time: it only names a folder that a person looks for.
    stamp = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
    for number in itertools.count(1):
        folder = Path("runs") / f"{study.scenario.name}-{stamp}{'' if number == 1 else f'-{number}'}"
        try:
            # Created at once: another run may be started in the same second.
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise AssertionError


def _with_bar(opened: Assembly, target: Path, *, over: str, overwrite: bool) -> Finished:
    study = opened.study
    try:
        with bar("steps") as progress:
            name = f"{study.scenario.name} over {over}"
            task = progress.add_task(name, total=study.grid.steps)
            return execute(
                study,
                target,
                over=over,
                overwrite=overwrite,
                progress=lambda done: progress.update(task, completed=done),
                opened=opened,
                told=lambda text: describe(progress, task, name, text),
            )
    except (CosimError, KeyboardInterrupt):
        if last_step(target) is not None:
            name = escape(str(target))
            err.print(f"Finished steps are kept; see them with: cosim report {name}")
            err.print(f"Go on with: cosim resume {name}")
        raise


def _baseline(study: Study, target: Path) -> None:
    """Run without control; if that fails, the run keeps its report, which says so."""
    try:
        with bar("steps") as progress:
            task = progress.add_task("without control", total=study.grid.steps)
            execute_baseline(study, target, progress=lambda done: progress.update(task, completed=done))
    except CosimError as error:
        err.print(f"[yellow]no baseline:[/yellow] without control the run failed: {escape(str(error))}")


class _Terminal(RichHandler):
    """Shows messages without their tracebacks, which are in the log of the run."""

    def emit(self, record: logging.LogRecord) -> None:
        """Show one message."""
        bare = copy.copy(record)
        bare.exc_info = bare.exc_text = None
        super().emit(bare)


def _log(*, verbose: bool) -> None:
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING,
        format="%(name)s %(message)s",
        handlers=[_Terminal(console=err, show_path=False, show_time=False)],
        force=True,
    )


def main() -> None:
    """Entry point: errors raised on purpose become one message and an exit code."""
    _leave(_run_command())


def _leave(code: int) -> None:
    """End the process; a thread that a user's code left behind must not keep it."""
    current = threading.current_thread()
    left = [thread for thread in threading.enumerate() if thread is not current and not thread.daemon]
    if left:
        err.print(f"[yellow]left behind:[/yellow] {len(left)} threads of other code, which are ended now")
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _run_command() -> int:
    """The exit code of the command that was asked for."""
    try:
        code = app(standalone_mode=False) or FINE
    except (ScenarioError, UnknownPlugin, FormulationRefused, SolverUnsuited, SolverMissing) as error:
        _say("invalid", error)
        return INVALID
    except (CosimError, OSError) as error:
        _say("failed", error)
        return FAILED
    except (KeyboardInterrupt, click.Abort):
        code = SHELL_INTERRUPTED
    except click.ClickException as error:
        error.show()
        return error.exit_code
    if code == SHELL_INTERRUPTED:
        err.print("[red]interrupted[/red]: what was finished is kept")
        return FAILED
    return int(code)


def _say(what: str, error: Exception) -> None:
    err.print(f"[red]{what}:[/red] {escape(str(error))}", soft_wrap=True)


if __name__ == "__main__":
    main()
