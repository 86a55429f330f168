"""``cosim run`` and what belongs to a run: resume, check, report, compare, open."""

from __future__ import annotations

import webbrowser
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import yaml
from rich.markup import escape
from rich.table import Table

from cosim.api.progress import bar, describe
from cosim.api.run import Run, open_run
from cosim.api.study import Driver, Study, fresh_folder, has_baseline, load, run_baseline
from cosim.commands.console import FINE, REJECTED, err, out
from cosim.commands.logs import show_logs
from cosim.devices.registry import counted
from cosim.errors import CosimError, ScenarioError
from cosim.run.check import check_file, rehearse
from cosim.run.command_rows import command_rows
from cosim.run.execute import resume
from cosim.run.manifest import read_manifest
from cosim.run.record import last_step
from cosim.run.repeat import is_record, open_recorded
from cosim.run.shipped import find_scenario, shipped_scenarios


def run(
    scenario: str,
    *,
    over: Driver,
    folder: Path | None,
    steps: int | None,
    master: Path | None,
    port: int | None,
    settings: Sequence[str],
    overwrite: bool,
    baseline: bool,
    oracle: bool,
    trust: bool,
    junit: Path | None,
    verbose: bool,
) -> int:
    """Run a scenario in closed loop and show its key figures; the exit code."""
    show_logs(verbose=verbose)
    study = _study_to_run(scenario, steps, master, settings, trust=trust)
    if settings:
        study = study.with_settings(dict(map(_setting, settings)))
    study = Study.of(replace(study.inner, port=port))
    if not baseline:
        study = study.without_baseline()
    # Everything that can be found wrong is found before the folder is made.
    opened = study.opened()
    target = folder or fresh_folder(study.name)
    try:
        done = study.run(
            target, over=over, overwrite=overwrite, progress=True, opened=opened, oracle=oracle
        )
    except (CosimError, KeyboardInterrupt) as error:
        _tell_what_is_kept(target)
        _write_failure(junit, study.name, error)
        raise
    _show(done)
    score = done.figures.score
    if score is not None:
        scored = "no score, there is nothing to gain" if score.score is None else f"score {score.score:.1f}"
        out.print(f"{scored}; {score.regret:.2f} above the cost of the oracle (100 oracle, 0 no control)")
    out.print(f"{done.manifest['wall_s']:.1f} s over {over}. {_where(done.folder)}")
    return _outcome(done, junit)


def resume_run(folder: Path, *, trust: bool, junit: Path | None, verbose: bool) -> int:
    """Carry on a run that was interrupted, killed or failed; the exit code."""
    show_logs(verbose=verbose)
    if not is_record(folder):
        raise ScenarioError(str(folder), ["has no manifest.json: it is no run; see cosim run --help"])
    study = Study.of(replace(open_recorded(folder), trusted=trust))
    if read_manifest(folder)["status"] == "complete":
        out.print(f"{escape(str(folder))} is complete; there is nothing to carry on")
    else:
        opened = study.opened()
        with bar("steps") as progress:
            name = f"{study.name}, resumed"
            task = progress.add_task(name, total=study.steps)
            try:
                resume(
                    folder,
                    progress=lambda done: progress.update(task, completed=done),
                    opened=opened,
                    repeats=lambda sentence: err.print(escape(sentence)),
                    told=lambda text: describe(progress, task, name, text),
                )
            except (CosimError, KeyboardInterrupt) as error:
                _write_failure(junit, study.name, error)
                raise
    note = ""
    if has_baseline(study.inner) and not _is_complete(folder / "baseline"):
        note = run_baseline(study.inner, folder, progress=True)
    done = Run(folder, note)
    done.report()
    _show(done)
    out.print(_where(folder))
    return _outcome(done, junit)


def check(scenario: str, master: Path | None, *, trust: bool) -> None:
    """Check a scenario without running it."""
    show_logs(verbose=False)
    path = find_scenario(scenario)
    problems, assembly = check_file(path, master, trusted=trust)
    if assembly is None:
        raise ScenarioError(str(path), problems)
    with assembly:
        site, inner, rows = assembly.site, assembly.study, list(command_rows(assembly))
        problems = rehearse(assembly)
    if problems:
        raise ScenarioError(str(path), problems)
    out.print(
        f"[green]{escape(str(inner.path))} is valid[/green]: {len(site.nodes)} nodes, "
        f"{len(site.loads)} loads, {counted(device.kind for device in site.devices)}, "
        f"{len(site.regulators)} regulators, {inner.grid.steps} steps of {inner.grid.step_s} s"
        + ("" if rows else f", {len(inner.horizon)} periods in a plan")
    )
    for who, devices in rows:
        out.print(escape(f"  {who}: {devices}"), soft_wrap=True)
    if site.unsupplied is not None:
        out.print(f"[yellow]but[/yellow] {escape(site.unsupplied.sentence())}")


def report(folder: Path, junit: Path | None) -> None:
    """Write the report of a run again."""
    done = Run(folder)
    done.report()
    _show(done)
    out.print(_where(folder))
    _outcome(done, junit)


def open_report(folder: Path) -> None:
    """Show the report of a run in a browser; write it first where it is missing."""
    page = folder / "report.html"
    if not page.is_file():
        page = open_run(folder).report()
    out.print(_where(folder))
    if not webbrowser.open(page.resolve().as_uri()):
        err.print("no browser was found; open the file yourself")


def compare(folders: Sequence[Path], file: Path | None, page: Path | None) -> None:
    """Show the key figures of runs side by side; also as a table of values, and as a page."""
    runs = [open_run(folder) for folder in folders]
    found = runs[0].compare(*runs[1:])
    names = [str(name) for name in found.columns if name != "unit"]
    table = Table(title="Key figures", title_justify="left")
    table.add_column("")
    for name in names:
        table.add_column(escape(name), justify="right")
    table.add_column("unit")
    for label, row in found.iterrows():
        cells = ["" if row[name] != row[name] else f"{row[name]:,.4g}" for name in names]
        table.add_row(escape(str(label)), *cells, str(row["unit"]))
    out.print(table)
    for one in runs:
        if one.status != "complete":
            err.print(
                f"[yellow]{escape(str(one.folder))} is {one.status}[/yellow]: its sums cover less time"
            )
    if file is not None:
        found.to_csv(file)
        out.print(f"Figures: {escape(str(file))}")
    if page is not None:
        from cosim.report.compare import write_comparison

        write_comparison(page, found, {name: one.record for name, one in zip(names, runs, strict=True)})
        out.print(f"Page: {escape(str(page))}")


# --- parts ----------------------------------------------------------------------------------------


def _study_to_run(
    name: str, steps: int | None, master: Path | None, settings: Sequence[str], *, trust: bool
) -> Study:
    """The study of a scenario, or that of a record."""
    folder = Path(name)
    if name in shipped_scenarios() or not folder.is_dir():
        return load(find_scenario(name), steps=steps, master=master, trust=trust)
    if not is_record(folder):
        raise ScenarioError(name, ["is a folder without manifest.json: neither a record nor a scenario"])
    if steps is not None or master is not None or settings:
        raise ScenarioError(
            name, ["is a record, which is repeated as it is; leave out --steps, --master and --set"]
        )
    return Study.of(replace(open_recorded(folder), trusted=trust))


def _setting(text: str) -> tuple[str, object]:
    """``control.horizon_s=7200`` as key and value; the value is read as YAML."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise ScenarioError("--set", [f"{text!r} is no KEY=VALUE, e.g. control.horizon_s=7200"])
    try:
        return key.strip(), yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ScenarioError("--set", [f"the value of {key} is no YAML: {value}"]) from error


def _is_complete(folder: Path) -> bool:
    return is_record(folder) and read_manifest(folder)["status"] == "complete"


def _show(run: Run) -> None:
    if run.note:
        err.print(f"[yellow]no baseline:[/yellow] {escape(run.note)}")
    # A check, or a run that fails, has no figures to show.
    from cosim.report.table import key_figures

    out.print(key_figures(run.figures))


def _outcome(run: Run, junit: Path | None) -> int:
    """The exit code of a run that came to its end; writes the outcome for a CI system."""
    if junit is not None:
        from cosim.report.junit import write_junit

        write_junit(junit, run.figures, float(run.manifest.get("wall_s") or 0.0))
        out.print(f"Outcome: {escape(str(junit))}")
    return FINE if run.accepted else REJECTED


def _write_failure(junit: Path | None, name: str, error: BaseException) -> None:
    if junit is None:
        return
    from cosim.report.junit import write_junit_error

    write_junit_error(junit, name, str(error) or type(error).__name__)


def _where(folder: Path) -> str:
    return f"Report: {escape(str(folder / 'report.html'))}"


def _tell_what_is_kept(folder: Path) -> None:
    if last_step(folder) is not None:
        name = escape(str(folder))
        err.print(f"Finished steps are kept; see them with: cosim report {name}")
        err.print(f"Go on with: cosim resume {name}")
