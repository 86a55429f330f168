"""All metrics of the package in one place; the page docs/reference/metrics.md is made of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from cosim.experiments.acceptance import Figure
from cosim.experiments.fairness import curtailment_gini, curtailment_jain
from cosim.experiments.measured import Measured
from cosim.experiments.storage_life import mean_full_cycles, most_full_cycles
from cosim.experiments.tariff_metrics import (
    demand_charge,
    export_revenue,
    import_payment,
    metered_cost,
    reverse_power_h,
)
from cosim.experiments.transformer_life import hottest_c, loss_of_life_percent
from cosim.experiments.voltage_quality import ansi_range_a_node_h, ansi_range_b_node_h, en50160_share
from cosim.model.metric import Metric


def _run(name: str, unit: str, definition: str, source: str) -> Metric:
    """A figure of :class:`cosim.experiments.run_metrics.RunMetrics`."""

    def value(measured: Measured) -> float | None:
        return float(getattr(measured.run, name))

    return Metric(name, unit, definition, source, value)


def _control(name: str, unit: str, definition: str, source: str) -> Metric:
    """A figure of :class:`cosim.experiments.control_metrics.ControlMetrics`."""

    def value(measured: Measured) -> float | None:
        found = None if measured.control is None else getattr(measured.control, name)
        return None if found is None else float(found)

    return Metric(name, unit, definition, source, value)


def _own(
    name: str,
    unit: str,
    definition: str,
    source: str,
    function: Callable[[Measured], float | None],
) -> Metric:
    return Metric(name, unit, definition, source, function)


MONEY = (
    _run(
        "energy_cost",
        "currency",
        "sum of import times price; export earns the same price, or `export_per_kwh` of the tariff",
        "`import_kw`, `price_per_kwh`",
    ),
    _run(
        "adjusted_cost",
        "currency",
        "energy cost plus the value of the energy stored at the start, minus that of the energy stored "
        "at the end, both at the mean price of the run. **Compare runs by this figure.**",
        "`import_kw`, `stored_kwh`, `price_per_kwh`",
    ),
    _run(
        "stored_change_value",
        "currency",
        "change of stored energy times mean price of the run",
        "`stored_kwh`, `price_per_kwh`",
    ),
    _own(
        "import_payment",
        "currency",
        "imported energy times price",
        "`import_kw`, `price_per_kwh`",
        import_payment,
    ),
    _own(
        "export_revenue",
        "currency",
        "exported energy times its price: `export_per_kwh` of the tariff, else the price of import; "
        "`energy_cost` is `import_payment` minus this",
        "`import_kw`, `price_per_kwh`, scenario",
        export_revenue,
    ),
    _own(
        "demand_charge",
        "currency",
        "highest import of a step times `metrics.demand_charge_per_kw` of the scenario, plus for every "
        "window of `metrics.demand_windows` and every calendar month the highest import in it times its "
        "charge",
        "`import_kw`, scenario",
        demand_charge,
    ),
    _own(
        "metered_cost",
        "currency",
        "sum over the meters of `metrics.meters`: imported energy times its price minus exported energy "
        "times its export price",
        "`meter_kw`, scenario",
        metered_cost,
    ),
    _run(
        "demand_windows_charge",
        "currency",
        "the part of `demand_charge` that windows make",
        "`import_kw`, scenario",
    ),
)
ENERGY = (
    _run("steps", "", "number of steps", "record"),
    _run("hours", "h", "simulated time", "record"),
    _run("import_kwh", "kWh", "imported energy", "`import_kw`"),
    _run("export_kwh", "kWh", "exported energy", "`import_kw`"),
    _run("peak_import_kw", "kW", "highest import of a step", "`import_kw`"),
    _run(
        "losses_kwh", "kWh", "losses in lines, transformers, regulators and shunt elements", "`losses_kw`"
    ),
    _run(
        "storage_throughput_kwh",
        "kWh",
        "charged plus discharged energy, without standby",
        "`accepted_storage_kw`",
    ),
    _run("stored_change_kwh", "kWh", "stored energy at the end minus at the start", "`stored_kwh`"),
    _run("pv_available_kwh", "kWh", "energy that the sun offered", "`pv_available_kw`"),
    _run("pv_curtailed_kwh", "kWh", "part of it that was not produced", "`pv_kw`, `pv_available_kw`"),
)
NETWORK = (
    _run("lowest_pu", "pu", "lowest voltage of all nodes and steps", "`voltage_pu`"),
    _run("highest_pu", "pu", "highest voltage of all nodes and steps", "`voltage_pu`"),
    _run(
        "undervoltage_node_h",
        "node-h",
        "hours below the lower limit, summed over the nodes",
        "`voltage_pu`, `limits`",
    ),
    _own(
        "curtailment_jain",
        "",
        "Jain index of the shares of their energy that PV systems produced; 1: curtailed evenly",
        "`pv_kw`, `pv_available_kw`; Jain, Chiu and Hawe 1984",
        curtailment_jain,
    ),
    _own(
        "curtailment_gini",
        "",
        "Gini index of the shares of their energy that PV systems did not produce; 0: curtailed evenly",
        "`pv_kw`, `pv_available_kw`; Gini 1912",
        curtailment_gini,
    ),
    _own(
        "storage_full_cycles_mean",
        "",
        "full cycles by rainflow counting, mean over the batteries",
        "`stored_kwh`; ASTM E1049-85",
        mean_full_cycles,
    ),
    _own(
        "storage_full_cycles_max",
        "",
        "full cycles by rainflow counting, of the battery with the most",
        "`stored_kwh`; ASTM E1049-85",
        most_full_cycles,
    ),
    _run(
        "overvoltage_node_h",
        "node-h",
        "hours above the upper limit, summed over the nodes",
        "`voltage_pu`, `limits`",
    ),
    _run("violation_node_h", "node-h", "sum of the two", "`voltage_pu`, `limits`"),
    _run("worst_excess_pu", "pu", "largest distance from the limits", "`voltage_pu`, `limits`"),
    _run(
        "nodes_in_violation", "nodes", "nodes that left the limits at least once", "`voltage_pu`, `limits`"
    ),
    _run(
        "tap_operations",
        "taps",
        "number of tap steps of all regulators. Moves within a step are not seen.",
        "`tap`",
    ),
    _run("tap_changes", "", "regulator-steps with a change", "`tap`"),
    _run("highest_loading", "", "highest line current, divided by its rating", "`loading`"),
    _run("overloaded_h", "h", "time with a line above its rating", "`loading`"),
)
CONTROL = (
    _control("plans", "", "number of plans", "`plan_period_s`"),
    _control(
        "decision_p95_s",
        "s",
        "95th percentile of the time to build and solve a plan",
        "`plan_build_s`, `plan_solve_s`",
    ),
    _own(
        "ansi_range_a_node_h",
        "node-h",
        "hours outside 0.95 to 1.05 pu (service voltage, range A), summed over the nodes",
        "`voltage_pu`; ANSI C84.1-2020",
        ansi_range_a_node_h,
    ),
    _own(
        "ansi_range_b_node_h",
        "node-h",
        "hours outside 0.917 to 1.058 pu (service voltage, range B), summed over the nodes",
        "`voltage_pu`; ANSI C84.1-2020",
        ansi_range_b_node_h,
    ),
    _own(
        "en50160_share",
        "",
        "least share, over nodes and weeks, of 10-minute values within 0.90 to 1.10 pu; the standard "
        "asks for 0.95. Only where 10 minutes are a whole number of steps.",
        "`voltage_pu`; EN 50160:2010",
        en50160_share,
    ),
    _own("reverse_power_h", "h", "time in which the feeder exports", "`import_kw`", reverse_power_h),
    _own(
        "transformer_hottest_c",
        "°C",
        "highest hot-spot temperature of the transformer at the substation; needs "
        "`metrics.transformer_kva` of the scenario",
        "`import_kw`, `import_kvar`; IEEE C57.91-2011",
        hottest_c,
    ),
    _own(
        "transformer_loss_of_life_percent",
        "%",
        "part of the normal life of 180 000 h that the run takes, by the hot-spot temperature; needs "
        "`metrics.transformer_kva` of the scenario",
        "`import_kw`, `import_kvar`; IEEE C57.91-2011",
        loss_of_life_percent,
    ),
    _control(
        "decision_max_s", "s", "longest time to build and solve a plan", "`plan_build_s`, `plan_solve_s`"
    ),
    _control("solve_median_s", "s", "median time of the solver", "`plan_solve_s`"),
    _control("solve_p95_s", "s", "95th percentile of the time of the solver", "`plan_solve_s`"),
    _control("solve_max_s", "s", "longest time of the solver", "`plan_solve_s`"),
    _control("build_median_s", "s", "median time to build the problem", "`plan_build_s`"),
    _control(
        "computational_time_ratio",
        "",
        "`decision_p95_s` divided by the length of a step",
        "`plan_build_s`, `plan_solve_s`",
    ),
    _control(
        "computational_time_ratio_max",
        "",
        "`decision_max_s` divided by the length of a step",
        "`plan_build_s`, `plan_solve_s`",
    ),
    _control(
        "computational_time_ratio_mean",
        "",
        "mean time to build and solve a plan divided by the length of a step (computational time "
        "ratio of BOPTEST)",
        "`plan_build_s`, `plan_solve_s`",
    ),
    _control(
        "fallback_decisions", "", "decisions that did not come from the plan that was due", "`source`"
    ),
    _control("fallback_share", "", "the same as a part of all decisions", "`source`"),
    _control("late_plans", "", "plans that took longer than a step", "`plan_build_s`, `plan_solve_s`"),
    _control(
        "setpoints_cut",
        "device-steps",
        "set-points that were limited by the plant",
        "`requested_…`, `accepted_…`",
    ),
    _control("not_delivered_kwh", "kWh", "energy of the difference", "`requested_…`, `accepted_…`"),
    _control("safe_state_steps", "", "steps without set-points in force", "`why_safe`"),
    _control(
        "highest_simultaneous_kw",
        "kW",
        "largest simultaneous charging and discharging in a plan",
        "`plan_simultaneous_kw`",
    ),
    _control(
        "worst_primal_residual",
        "pu",
        "largest violation of a constraint in a plan",
        "`plan_primal_residual`",
    ),
    _control("highest_slack_pu", "pu", "largest voltage violation that a plan expected", "`plan_slack_pu`"),
    _control("inexact_plans", "", "plans whose solver stopped early", "`plan_status`"),
)
GROUPS = {"Money": MONEY, "Energy": ENERGY, "Network": NETWORK, "Controller": CONTROL}


class BuiltInMetrics:
    """The metrics of the package, see docs/reference/metrics.md."""

    metrics: ClassVar[tuple[Metric, ...]] = tuple(metric for group in GROUPS.values() for metric in group)


def figures_of(measured: Measured, baseline: Measured | None) -> dict[str, Figure]:
    """All metrics of the package of a run and of the one without control, by name."""
    return {
        metric.name: Figure(
            metric.function(measured), None if baseline is None else metric.function(baseline), metric.unit
        )
        for metric in BuiltInMetrics.metrics
    }
