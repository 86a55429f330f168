"""The command line: parse, call, exit code. What a command needs is imported when it runs.

Exit codes: 0 fine, 1 the run failed, 2 the scenario is invalid, 3 a limit under accept is not kept.
"""

# Annotations are evaluated here at once: typer would evaluate them as texts, which takes longer.
import logging
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from cosim.cli_campaign import campaign
from cosim.cli_groups import JsonOption, TrustOption, feeder_app, study_app
from cosim.commands.codes import FAILED, FINE, INVALID
from cosim.errors import (
    CosimError,
    FormulationRefused,
    ScenarioError,
    SolverMissing,
    SolverUnsuited,
    UnknownPlugin,
)
from cosim.run.shipped import shipped_scenarios

SHELL_INTERRUPTED = 130
"""What typer makes of Ctrl-C."""
WRONG_USE: Any = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")
"""What typer raises at a wrong use; some of its releases bring a click of their own."""
SHIPPED = ", ".join(shipped_scenarios())

# Plain help: the coloured one takes four times as long to come.
app = typer.Typer(
    name="cosim",
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Closed-loop validation of battery dispatch on distribution feeders.\n\n"
    "OpenDSS simulates the feeder, HELICS carries the values, a receding-horizon optimal power flow "
    "decides, and the report shows whether the controller kept its promises.",
    epilog="Start with: cosim run ieee13, then: cosim run ieee123. "
    "Exit codes: 0 fine, 1 the run failed, 2 the scenario is invalid, 3 a limit under accept is not kept.",
)
app.add_typer(study_app)
app.add_typer(feeder_app)

ScenarioArgument = Annotated[
    str, typer.Argument(help=f"a YAML file, or the name of a shipped scenario: {SHIPPED}")
]
RunFolder = Annotated[Path, typer.Argument(help="folder of a run", metavar="RUN")]
MasterOption = Annotated[
    Path | None, typer.Option("--master", help="simulate this OpenDSS master instead of the scenario's")
]
OracleOption = Annotated[
    bool, typer.Option("--oracle", help="also run under the oracle, for the score of the run")
]
SettingsOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="change a setting; may be given several times"),
]
JunitOption = Annotated[
    Path | None, typer.Option("--junit", help="also write the outcome as JUnit XML, for CI systems")
]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="one line per step")]


@app.command()
def run(
    scenario: Annotated[
        str,
        typer.Argument(
            help="a YAML file, the folder of a record, which is repeated, or the name of a shipped "
            f"scenario: {SHIPPED}"
        ),
    ],
    over: Annotated[
        Literal["helics", "local"], typer.Option(help="helics (separate processes) or local (this one)")
    ] = "helics",
    folder: Annotated[
        Path | None, typer.Option("--out", help="folder of the record; default runs/NAME-TIME")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="run this many steps only")] = None,
    master: MasterOption = None,
    port: Annotated[
        int | None, typer.Option(min=1024, max=65_000, help="of the HELICS broker; default a free one")
    ] = None,
    settings: SettingsOption = None,
    overwrite: Annotated[bool, typer.Option(help="replace an earlier run in the same folder")] = False,
    baseline: Annotated[bool, typer.Option(help="also run without control, to compare")] = True,
    oracle: OracleOption = False,
    trust: TrustOption = False,
    junit: JunitOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Run a scenario in closed loop and write its record and report.

    Exit code 3 if a limit under accept of the scenario is not kept.

    Examples:
      cosim run ieee13

      cosim run ieee123 --out runs/monday --set control.horizon_s=7200

      cosim run my.yaml --over local --steps 8

      cosim run runs/monday (repeats a run, if the files it was made of are unchanged)
    """
    from cosim.commands import runs

    code = runs.run(
        scenario,
        over=over,
        folder=folder,
        steps=steps,
        master=master,
        port=port,
        settings=settings or [],
        overwrite=overwrite,
        baseline=baseline,
        oracle=oracle,
        trust=trust,
        junit=junit,
        verbose=verbose,
    )
    raise typer.Exit(code)


@app.command("resume")
def resume_run(
    folder: Annotated[Path, typer.Argument(help="folder of a run that was cut short", metavar="RUN")],
    trust: TrustOption = False,
    junit: JunitOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Carry on a run that was interrupted, killed or failed; the record is that of one run without a break.

    The plant repeats the finished steps and must find what is on record. The controller goes on with the
    state it had; one without state() and restore() repeats its steps too.
    """
    from cosim.commands import runs

    raise typer.Exit(runs.resume_run(folder, trust=trust, junit=junit, verbose=verbose))


@app.command()
def check(scenario: ScenarioArgument, master: MasterOption = None, trust: TrustOption = False) -> None:
    """Check a scenario without running it: all mistakes at once, each with its line.

    The feeder is compiled, devices are placed, series are read, and the controller decides the first step.
    """
    from cosim.commands import runs

    runs.check(scenario, master, trust=trust)


@app.command()
def report(folder: RunFolder, junit: JunitOption = None) -> None:
    """Write the report of a run again, also of one that was cut short."""
    from cosim.commands import runs

    runs.report(folder, junit)


@app.command("open")
def open_report(folder: RunFolder) -> None:
    """Show the report of a run in a browser."""
    from cosim.commands import runs

    runs.open_report(folder)


app.command()(campaign)


@app.command()
def compare(
    folders: Annotated[
        list[Path], typer.Argument(help="folders of two runs or more", metavar="RUN RUN ...")
    ],
    file: Annotated[Path | None, typer.Option("--csv", help="also write the figures")] = None,
    page: Annotated[
        Path | None, typer.Option("--html", help="also write a page, with voltages and stored energy")
    ] = None,
) -> None:
    """Show the key figures of runs side by side."""
    from cosim.commands import runs

    runs.compare(folders, file, page)


@app.command()
def plan(
    scenario: ScenarioArgument,
    file: Annotated[Path, typer.Option("--out", help="where the plan goes, JSON")] = Path("plan.json"),
    planner: Annotated[
        str | None, typer.Option(help="plan with this instead; cosim plugins lists them")
    ] = None,
    master: MasterOption = None,
    trust: TrustOption = False,
) -> None:
    """Plan the first horizon of a scenario once, without acting on it.

    Example: cosim plan ieee123_1ph --planner branch_flow_nl --out plan.json, then: cosim replay plan.json
    """
    from cosim.commands import plans

    plans.plan(scenario, file, planner, master, trust=trust)


@app.command()
def replay(
    file: Annotated[Path, typer.Argument(help="a plan that cosim plan wrote", metavar="PLAN")],
    scenario: Annotated[
        str | None, typer.Option(help="replay in this scenario (same devices) instead of the plan's own")
    ] = None,
    page: Annotated[Path | None, typer.Option("--html", help="also draw the comparison")] = None,
    numbers: JsonOption = None,
) -> None:
    """Run a plan open loop through OpenDSS and compare cost, losses, substation and voltages.

    Example: cosim replay plan.json --html replay.html
    """
    from cosim.commands import plans

    plans.replay_plan(file, scenario, page, numbers)


@app.command()
def scenarios() -> None:
    """List the scenarios that ship with the package."""
    from cosim.commands import looking

    looking.scenarios()


@app.command()
def plugins() -> None:
    """List controllers, planners, forecasters, devices and drivers that are installed."""
    from cosim.commands import looking

    looking.list_plugins()


@app.command()
def inspect(
    master: Annotated[
        Path, typer.Argument(help="OpenDSS master file, scenario file, or the name of a shipped one")
    ],
    trust: TrustOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON instead of a table")] = False,
    planners: Annotated[
        bool, typer.Option(help="find out which planners would take it, which takes longest")
    ] = True,
    areas: Annotated[
        int | None, typer.Option(min=1, help="show how it would be cut into this number of areas")
    ] = None,
) -> None:
    """What is in this feeder, what looks wrong, where could batteries go, which planner would take it?

    A scenario also shows its devices, and which of several controllers commands which.

    What cannot be read is a row with the reason. Exit code 1 where the feeder cannot be solved.
    """
    from cosim.commands import looking

    raise typer.Exit(
        looking.inspect(master, trust=trust, as_json=as_json, ask_planners=planners, areas=areas)
    )


@app.command()
def init(
    master: Annotated[
        Path | None,
        typer.Argument(help="OpenDSS master file, or the name of a shipped feeder; none: a template"),
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--out", help="scenario to write; default NAME.yaml in this folder")
    ] = None,
    trust: TrustOption = False,
) -> None:
    """Write a commented scenario for a feeder, which runs at once: a summer day, batteries, PV, planner."""
    from cosim.commands import looking

    looking.init(master, file, trust=trust)


@app.command()
def doctor(
    folder: Annotated[
        Path | None, typer.Argument(help="folder of a run, which is examined instead", metavar="[RUN]")
    ] = None,
) -> None:
    """Is this machine ready? Versions, a free port, a HELICS broker, the solver, OpenDSS.

    With the folder of a run: is its record sound? Steps without a gap, undamaged files, unchanged sources.
    """
    from cosim.commands import looking

    raise typer.Exit(looking.doctor(folder))


@app.command()
def schema() -> None:
    """Print the JSON schema of scenario files, for editors (YAML language servers read it)."""
    from cosim.commands import looking

    looking.schema()


# --- from errors to exit codes --------------------------------------------------------------------


def main() -> None:
    """Entry point: errors raised on purpose become one message and an exit code."""
    _leave(_run_command())


def _leave(code: int) -> None:
    """End the process; a thread that a user's code left behind must not keep it."""
    current = threading.current_thread()
    left = [thread for thread in threading.enumerate() if thread is not current and not thread.daemon]
    if left:
        _say(f"[yellow]left behind:[/yellow] {len(left)} threads of other code, which are ended now")
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
        _say_error("invalid", error)
        return INVALID
    except (CosimError, OSError) as error:
        _say_error("failed", error)
        return FAILED
    except (KeyboardInterrupt, typer.Abort):
        # Who presses Ctrl-C once more is not shown a traceback of the farewell.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        code = SHELL_INTERRUPTED
    except WRONG_USE as error:
        error.show()
        return int(error.exit_code)
    if code == SHELL_INTERRUPTED:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _say("[red]interrupted[/red]: what was finished is kept")
        return FAILED
    return int(code)


def _say_error(what: str, error: Exception) -> None:
    from rich.markup import escape

    _say(f"[red]{what}:[/red] {escape(str(error))}")


def _say(sentence: str) -> None:
    from cosim.commands.console import err

    err.print(sentence, soft_wrap=True)


if __name__ == "__main__":
    main()
