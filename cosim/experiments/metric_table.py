"""All metrics of the package in one place; the page docs/reference/metrics.md is made of it."""

from __future__ import annotations

from typing import ClassVar

from cosim.experiments.acceptance import Figure
from cosim.experiments.feeder_table import DEVICES, EQUIPMENT, VOLTAGE
from cosim.experiments.measured import Measured
from cosim.experiments.metric_forms import of_control, of_run
from cosim.experiments.tariff_metrics import demand_charge, export_revenue, import_payment, metered_cost
from cosim.model.metric import Metric

MONEY = (
    of_run(
        "energy_cost",
        "currency",
        "sum of import times price; export earns the same price, or `export_per_kwh` of the tariff",
        "`import_kw`, `price_per_kwh`",
    ),
    of_run(
        "adjusted_cost",
        "currency",
        "energy cost plus the value of the energy stored at the start, minus that of the energy stored "
        "at the end, both at the mean price of the run. **Compare runs by this figure.**",
        "`import_kw`, `stored_kwh`, `price_per_kwh`",
    ),
    of_run(
        "stored_change_value",
        "currency",
        "change of stored energy times mean price of the run",
        "`stored_kwh`, `price_per_kwh`",
    ),
    Metric(
        "import_payment",
        "currency",
        "imported energy times price",
        "`import_kw`, `price_per_kwh`",
        import_payment,
    ),
    Metric(
        "export_revenue",
        "currency",
        "exported energy times its price: `export_per_kwh` of the tariff, else the price of import; "
        "`energy_cost` is `import_payment` minus this",
        "`import_kw`, `price_per_kwh`, scenario",
        export_revenue,
    ),
    Metric(
        "demand_charge",
        "currency",
        "highest import of a step times `metrics.demand_charge_per_kw` of the scenario, plus for every "
        "window of `metrics.demand_windows` and every calendar month the highest import in it times its "
        "charge",
        "`import_kw`, scenario",
        demand_charge,
    ),
    Metric(
        "metered_cost",
        "currency",
        "sum over the meters of `metrics.meters`: imported energy times its price minus exported energy "
        "times its export price",
        "`meter_kw`, scenario",
        metered_cost,
    ),
    of_run(
        "demand_windows_charge",
        "currency",
        "the part of `demand_charge` that windows make",
        "`import_kw`, scenario",
    ),
)
ENERGY = (
    of_run("steps", "", "number of steps", "record"),
    of_run("hours", "h", "simulated time", "record"),
    of_run("import_kwh", "kWh", "imported energy", "`import_kw`"),
    of_run("export_kwh", "kWh", "exported energy", "`import_kw`"),
    of_run("peak_import_kw", "kW", "highest import of a step", "`import_kw`"),
    of_run(
        "losses_kwh", "kWh", "losses in lines, transformers, regulators and shunt elements", "`losses_kw`"
    ),
    of_run(
        "storage_throughput_kwh",
        "kWh",
        "charged plus discharged energy, without standby",
        "`accepted_storage_kw`",
    ),
    of_run("stored_change_kwh", "kWh", "stored energy at the end minus at the start", "`stored_kwh`"),
    of_run("pv_available_kwh", "kWh", "energy that the sun offered", "`pv_available_kw`"),
    of_run("pv_curtailed_kwh", "kWh", "part of it that was not produced", "`pv_kw`, `pv_available_kw`"),
)
CONTROL = (
    of_control("plans", "", "number of plans", "`plan_period_s`"),
    of_control(
        "decision_p95_s",
        "s",
        "95th percentile of the time to build and solve a plan",
        "`plan_build_s`, `plan_solve_s`",
    ),
    of_control(
        "decision_max_s", "s", "longest time to build and solve a plan", "`plan_build_s`, `plan_solve_s`"
    ),
    of_control("solve_median_s", "s", "median time of the solver", "`plan_solve_s`"),
    of_control("solve_p95_s", "s", "95th percentile of the time of the solver", "`plan_solve_s`"),
    of_control("solve_max_s", "s", "longest time of the solver", "`plan_solve_s`"),
    of_control("build_median_s", "s", "median time to build the problem", "`plan_build_s`"),
    of_control(
        "computational_time_ratio",
        "",
        "`decision_p95_s` divided by the length of a step",
        "`plan_build_s`, `plan_solve_s`",
    ),
    of_control(
        "computational_time_ratio_max",
        "",
        "`decision_max_s` divided by the length of a step",
        "`plan_build_s`, `plan_solve_s`",
    ),
    of_control(
        "computational_time_ratio_mean",
        "",
        "mean time to build and solve a plan divided by the length of a step (computational time "
        "ratio of BOPTEST)",
        "`plan_build_s`, `plan_solve_s`",
    ),
    of_control(
        "fallback_decisions", "", "decisions that did not come from the plan that was due", "`source`"
    ),
    of_control("fallback_share", "", "the same as a part of all decisions", "`source`"),
    of_control("late_plans", "", "plans that took longer than a step", "`plan_build_s`, `plan_solve_s`"),
    of_control(
        "setpoints_cut",
        "device-steps",
        "set-points that were limited by the plant",
        "`requested_…`, `accepted_…`",
    ),
    of_control("not_delivered_kwh", "kWh", "energy of the difference", "`requested_…`, `accepted_…`"),
    of_control("safe_state_steps", "", "steps without set-points in force", "`why_safe`"),
    of_control(
        "highest_simultaneous_kw",
        "kW",
        "largest simultaneous charging and discharging in a plan",
        "`plan_simultaneous_kw`",
    ),
    of_control(
        "worst_primal_residual",
        "pu",
        "largest violation of a constraint in a plan",
        "`plan_primal_residual`",
    ),
    of_control(
        "highest_slack_pu", "pu", "largest voltage violation that a plan expected", "`plan_slack_pu`"
    ),
    of_control("inexact_plans", "", "plans whose solver stopped early", "`plan_status`"),
)
GROUPS = {
    "Money": MONEY,
    "Energy": ENERGY,
    "Voltage": VOLTAGE,
    "Equipment": EQUIPMENT,
    "Devices": DEVICES,
    "Controller": CONTROL,
}


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
