"""Write the reference pages that follow from the program: ``python docs/generate.py``.

The command line comes from the typer application, the scenario keys from the JSON schema of ``cosim schema``.
A test compares the pages with the program.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from typer.cli import get_docs_for_click

REFERENCE = Path(__file__).parent / "reference"
Schema = dict[str, Any]

SCENARIO_HEAD = """# Scenario keys

A scenario is a YAML file. The first table has its sections; each section has a table of its own below. Required keys have no
default. `cosim check SCENARIO` finds mistakes with their line. `cosim schema` prints the same content as a JSON schema, which
editors use for completion.

The unit is the last part of a name: `kw`, `kwh`, `pu`, `s` (seconds). Power is positive into the network.

This page is generated: `python docs/generate.py`.
"""
METRICS_HEAD = """# Metrics

The report, the terminal, `run.metrics` and `metrics.json` show figures of the [record](record.md) alone (`cosim/experiments/`).

`metrics.json` has the part `metrics`: every metric below with `run`, `baseline` (the run without control) and `unit`. Limits under
[`accept`](../howto/baselines.md) of a scenario use the same names. The parts `run`, `baseline`, `control`, `comparison`, `verdict` and
`score` hold the figures of the report. There, these keys also carry their unit: RENAMED.

Energy is power multiplied by the length of the step. Limits are compared without tolerance. Steps without a power flow solution
are left out of all figures.

A metric of your own is a function of a `cosim.Run`, installed as an entry point of the group `cosim.metrics`; see
[Baselines and acceptance](../howto/baselines.md#a-metric-of-your-own).

This page is generated: `python docs/generate.py`.
"""
METRICS_TAIL = """## Texts and lists

| key | part | meaning | source |
|---|---|---|---|
| `highest_loading_line` | run | name of the line with the highest loading | `loading_line` |
| `decisions` | control | number of decisions by source (`PLAN`, `EARLIER_PLAN`, `FALLBACK`) | `source` |
| `lead_errors` | control | errors of plans by lead time, see below | `plan_…` |
| `fallback_cause` | control | most frequent reason of decisions that are not from the plan | `reason` |

## Score

The part `score` needs a run under the oracle beside the run (`cosim run --oracle`). Costs C are adjusted costs plus the demand charge.

| key | unit | meaning |
|---|---|---|
| `score` | - | 100 (C without control minus C) / (C without control minus C of the oracle): 100 for the oracle, 0 for no control |
| `regret` | currency | C minus C of the oracle |
| `regret_share` | - | the same as a part of C of the oracle |
| `cost` | currency | C of the run |
| `cost_without_control` | currency | C of the run without control |
| `cost_bound` | currency | C of the oracle |

## Errors of plans by lead time

A plan made at step k expects values for its periods. The error is the expected value minus the simulated value. Periods with the
same lead time (start of the period minus time of the plan) are grouped.

| key | unit | meaning |
|---|---|---|
| `lead_s` | s | lead time |
| `periods` | - | number of periods compared |
| `import_mean_abs_kw` | kW | mean absolute error of the import |
| `import_max_abs_kw` | kW | largest absolute error of the import |
| `stored_mean_abs_kwh` | kWh | mean absolute error of the energy in all batteries at the end of the period |
| `stored_max_abs_kwh` | kWh | largest absolute error of it |
| `lowest_mean_abs_pu` | pu | mean absolute error of the lowest voltage |
| `lowest_max_abs_pu` | pu | largest absolute error of it |
| `highest_mean_abs_pu` | pu | mean absolute error of the highest voltage |
| `highest_max_abs_pu` | pu | largest absolute error of it |
| `node_mean_abs_pu` | pu | mean absolute error of all node voltages |
| `node_max_abs_pu` | pu | largest absolute error of them |

## Skill of forecasts

`forecast_skill` is a list with an entry for each quantity and lead time. It is empty unless the scenario has
`record: {forecasts: true}`. The error is the forecast minus the mean of what was measured in the period. Periods that reach
beyond the run are left out.

| key | unit | meaning |
|---|---|---|
| `quantity` | - | `load` (all loads, kW), `sun` (offered to all devices that see it, kW), `price` (1/kWh) |
| `unit` | - | unit of the errors |
| `lead_s` | s | start of the period after the forecast |
| `periods` | - | number of periods compared |
| `mae` | `unit` | mean absolute error |
| `rmse` | `unit` | root mean square error |
| `bias` | `unit` | mean error |
| `skill` | - | 1 - RMSE / RMSE of persistence (the value of the step of the forecast holds); none if persistence has no error. Yang et al., *Solar Energy* 210, 2020 |
| `pinball` | `unit` | mean pinball loss of all quantiles; none without quantiles. Koenker and Bassett, *Econometrica* 46(1), 1978 |
| `coverage` | - | share of outcomes between the lowest and the highest quantile |
| `nominal_coverage` | - | what the coverage should be |
"""
COMMANDS_NOTE = "\nThis page is generated: `python docs/generate.py`.\n"


METHODS = REFERENCE.parent / "methods.md"
METHODS_RESULTS = REFERENCE.parent / "results" / "methods"
RESULTS_BEGIN, RESULTS_END = "<!-- results of the study -->\n", "<!-- end of the results -->\n"


def pages() -> dict[str, str]:
    """Content of every generated page, by its path from the folder of the reference."""
    return {
        "command-line.md": command_line(),
        "scenario.md": scenario(),
        "metrics.md": metrics(),
        "../methods.md": methods(),
    }


def methods() -> str:
    """The page of methods, with the tables and pictures of the study that are there."""
    from cosim.report.methods.report import PICTURES

    page = METHODS.read_text(encoding="utf-8")
    before, _, rest = page.partition(RESULTS_BEGIN)
    _, _, after = rest.partition(RESULTS_END)
    overview = METHODS_RESULTS / "overview.md"
    parts = ["\nThe study has not been run yet.\n"]
    if overview.is_file():
        parts = [f"\n{overview.read_text(encoding='utf-8')}"]
        parts += [
            f"![{text}](results/methods/{name})\n\n{text}\n"
            for name, text in PICTURES.items()
            if (METHODS_RESULTS / name).is_file()
        ]
        parts.append(
            "All figures, memory, and why methods have no plan: [summary](results/methods/summary.md), "
            "[cases](results/methods/cases.csv).\n"
        )
    return before + RESULTS_BEGIN + "\n".join(parts) + RESULTS_END + after


def command_line() -> str:
    """The page of all commands."""
    from cosim.cli import app

    command = typer.main.get_command(app)
    context = typer.Context(command, info_name="cosim")
    text = get_docs_for_click(obj=command, ctx=context, name="cosim", title="Command line")
    lines = [line for line in text.splitlines() if "-completion`" not in line]
    return "\n".join([*lines, COMMANDS_NOTE.strip(), ""])


def scenario() -> str:
    """The page of all scenario keys."""
    from cosim.run.schema import scenario_schema

    schema = scenario_schema()
    definitions: Schema = schema["$defs"]
    parts = [SCENARIO_HEAD, "## Scenario\n", *_table(schema), ""]
    for name in _order(schema, definitions):
        form = _mapping(definitions[name])
        if "properties" in form:
            parts += [f"## {name}\n", _sentence(form.get("description", "")), "", *_table(form), ""]
    return "\n".join(parts)


def metrics() -> str:
    """The page of all metrics."""
    from cosim.experiments.metric_table import GROUPS
    from cosim.experiments.metrics import JSON_NAMES

    renamed = ", ".join(f"`{key}`" for key in JSON_NAMES.values())
    parts = [METRICS_HEAD.replace("RENAMED", renamed)]
    for title, group in GROUPS.items():
        parts += [f"## {title}\n", "| name | unit | meaning | source |", "|---|---|---|---|"]
        parts += [
            f"| `{metric.name}` | {metric.unit or '-'} | {_sentence(metric.definition)} | {metric.source} |"
            for metric in group
        ]
        parts.append("")
    return "\n".join([*parts, METRICS_TAIL])


def _order(schema: Schema, definitions: Schema) -> list[str]:
    """Names of all parts of a scenario, each after the part that it belongs to."""
    found: list[str] = []

    def visit(part: Any) -> None:
        for name in _references(part):
            if name not in found:
                found.append(name)
                visit(definitions[name])

    visit({key: value for key, value in schema.items() if key != "$defs"})
    return found


def _references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"].rpartition("/")[2]
        for key, value in part.items():
            if key not in {"discriminator", "allOf"} or not isinstance(value, dict):
                yield from _references(value)
    elif isinstance(part, list):
        for value in part:
            yield from _references(value)


def _mapping(definition: Schema) -> Schema:
    """The mapping among the forms that a part may take."""
    forms = [form for form in definition.get("anyOf", []) if "properties" in form]
    return forms[0] if forms else definition


def _table(form: Schema) -> Iterator[str]:
    yield "| key | type | default | meaning |"
    yield "|---|---|---|---|"
    for name, value in form.get("properties", {}).items():
        required = name in form.get("required", [])
        default = "required" if required else f"`{_plain(value.get('default'))}`"
        if isinstance(value.get("default"), dict | list) and value["default"]:
            default = "see there"
        yield f"| `{name}` | {_type(value)} | {default} | {_sentence(value.get('description', ''))} |"


def _type(value: Schema) -> str:
    if "$ref" in value:
        name = value["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "const" in value:
        return f"`{_plain(value['const'])}`"
    if "enum" in value:
        return ", ".join(f"`{_plain(entry)}`" for entry in value["enum"])
    for key in ("anyOf", "oneOf"):
        if key in value:
            return " or ".join(dict.fromkeys(_type(entry) for entry in value[key]))
    if value.get("type") == "array":
        items = value.get("prefixItems") or [value.get("items", {})]
        return "list of " + " and ".join(dict.fromkeys(_type(entry) for entry in items))
    found = {"object": "mapping", "null": "none", "string": "text"}.get(
        value.get("type", ""), value.get("type", "any")
    )
    return str(found) + _range(value)


def _range(value: Schema) -> str:
    """The permitted range of a number."""
    signs = {"exclusiveMinimum": ">", "minimum": "≥", "exclusiveMaximum": "<", "maximum": "≤"}
    bounds = [f"{sign} {value[key]:g}" for key, sign in signs.items() if key in value]
    return f", {' and '.join(bounds)}" if bounds else ""


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "none" if value is None else ('""' if value == "" else str(value))


def _sentence(text: str) -> str:
    return " ".join(str(text).replace("|", "\\|").split())


def main() -> None:
    """Write all pages."""
    for name, text in pages().items():
        (REFERENCE / name).write_text(text, encoding="utf-8")
        sys.stdout.write(f"{REFERENCE / name}\n")


if __name__ == "__main__":
    main()
