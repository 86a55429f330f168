"""Metrics of the feeder and of the devices: voltages, equipment, batteries, PV systems, flexible loads."""

from __future__ import annotations

from cosim.experiments.fairness import curtailment_gini, curtailment_jain
from cosim.experiments.feeder_metrics import (
    capacitor_operations,
    highest_transformer_loading,
    highest_unbalance_percent,
    transformer_overloaded_h,
    unbalanced_h,
)
from cosim.experiments.metric_forms import of_run
from cosim.experiments.service import discomfort_cost, unserved_kwh
from cosim.experiments.storage_life import (
    deepest_cycle,
    mean_full_cycles,
    most_ageing_percent,
    most_full_cycles,
)
from cosim.experiments.tariff_metrics import reverse_power_h
from cosim.experiments.tracking import tracking_error_kw
from cosim.experiments.transformer_life import hottest_c, loss_of_life_percent
from cosim.experiments.voltage_quality import ansi_range_a_node_h, ansi_range_b_node_h, en50160_share
from cosim.model.metric import Metric

VOLTAGE = (
    of_run("lowest_pu", "pu", "lowest voltage of all nodes and steps", "`voltage_pu`"),
    of_run("highest_pu", "pu", "highest voltage of all nodes and steps", "`voltage_pu`"),
    of_run(
        "undervoltage_node_h",
        "node-h",
        "hours below the lower limit, summed over the nodes",
        "`voltage_pu`, `limits`",
    ),
    of_run(
        "overvoltage_node_h",
        "node-h",
        "hours above the upper limit, summed over the nodes",
        "`voltage_pu`, `limits`",
    ),
    of_run("violation_node_h", "node-h", "sum of the two", "`voltage_pu`, `limits`"),
    of_run("worst_excess_pu", "pu", "largest distance from the limits", "`voltage_pu`, `limits`"),
    of_run(
        "nodes_in_violation", "nodes", "nodes that left the limits at least once", "`voltage_pu`, `limits`"
    ),
    Metric(
        "ansi_range_a_node_h",
        "node-h",
        "hours outside 0.95 to 1.05 pu (service voltage, range A), summed over the nodes",
        "`voltage_pu`; ANSI C84.1-2020",
        ansi_range_a_node_h,
    ),
    Metric(
        "ansi_range_b_node_h",
        "node-h",
        "hours outside 0.917 to 1.058 pu (service voltage, range B), summed over the nodes",
        "`voltage_pu`; ANSI C84.1-2020",
        ansi_range_b_node_h,
    ),
    Metric(
        "en50160_share",
        "",
        "least share, over nodes and weeks, of 10-minute values within 0.90 to 1.10 pu; the standard "
        "asks for 0.95. Only where 10 minutes are a whole number of steps.",
        "`voltage_pu`; EN 50160:2010",
        en50160_share,
    ),
    Metric(
        "highest_unbalance_percent",
        "%",
        "highest ratio of negative to positive sequence voltage of all buses with three phases and steps",
        "`unbalance_percent`; IEC 61000-4-30:2015",
        highest_unbalance_percent,
    ),
    Metric(
        "unbalanced_h",
        "h",
        "time with a bus above 2 %, which EN 50160 allows for 5 % of a week",
        "`unbalance_percent`; EN 50160:2010",
        unbalanced_h,
    ),
)
EQUIPMENT = (
    of_run("highest_loading", "", "highest line current, divided by its rating", "`loading`"),
    of_run("overloaded_h", "h", "time with a line above its rating", "`loading`"),
    of_run(
        "tap_operations",
        "taps",
        "number of tap steps of all regulators. Moves within a step are not seen.",
        "`tap`",
    ),
    of_run("tap_changes", "", "regulator-steps with a change", "`tap`"),
    Metric(
        "transformer_hottest_c",
        "°C",
        "highest hot-spot temperature of the transformer at the substation; needs "
        "`metrics.transformer_kva` of the scenario",
        "`import_kw`, `import_kvar`; IEEE C57.91-2011",
        hottest_c,
    ),
    Metric(
        "transformer_loss_of_life_percent",
        "%",
        "part of the normal life of 180 000 h that the run takes, by the hot-spot temperature; needs "
        "`metrics.transformer_kva` of the scenario",
        "`import_kw`, `import_kvar`; IEEE C57.91-2011",
        loss_of_life_percent,
    ),
    Metric("reverse_power_h", "h", "time in which the feeder exports", "`import_kw`", reverse_power_h),
    Metric(
        "highest_transformer_loading",
        "",
        "highest transformer current, divided by its normal rating",
        "`transformer_loading`",
        highest_transformer_loading,
    ),
    Metric(
        "transformer_overloaded_h",
        "h",
        "time with a transformer above its normal rating",
        "`transformer_loading`",
        transformer_overloaded_h,
    ),
    Metric(
        "capacitor_operations",
        "",
        "changes of capacitors between in service and not. Moves within a step are not seen.",
        "`capacitor_closed`",
        capacitor_operations,
    ),
)
DEVICES = (
    Metric(
        "storage_full_cycles_mean",
        "",
        "full cycles by rainflow counting, mean over the batteries",
        "`stored_kwh`; ASTM E1049-85",
        mean_full_cycles,
    ),
    Metric(
        "storage_full_cycles_max",
        "",
        "full cycles by rainflow counting, of the battery with the most",
        "`stored_kwh`; ASTM E1049-85",
        most_full_cycles,
    ),
    Metric(
        "curtailment_jain",
        "",
        "Jain index of the shares of their energy that PV systems produced; 1: curtailed evenly",
        "`pv_kw`, `pv_available_kw`; Jain, Chiu and Hawe 1984",
        curtailment_jain,
    ),
    Metric(
        "curtailment_gini",
        "",
        "Gini index of the shares of their energy that PV systems did not produce; 0: curtailed evenly",
        "`pv_kw`, `pv_available_kw`; Gini 1912",
        curtailment_gini,
    ),
    Metric(
        "storage_deepest_cycle",
        "",
        "largest range of a rainflow cycle of any battery, in parts of its full cell",
        "`stored_kwh`; ASTM E1049-85",
        deepest_cycle,
    ),
    Metric(
        "storage_ageing_percent",
        "%",
        "part of its life that the run takes from the battery that ages most: time over `calendar_years`, "
        "plus rainflow cycles by their depth to the power of `depth_exponent` over `full_cycles` (section "
        "`metrics.battery_ageing` of the scenario)",
        "`stored_kwh`, scenario; ASTM E1049-85, Miner 1945",
        most_ageing_percent,
    ),
    Metric(
        "tracking_error_kw",
        "kW",
        "mean over the steps of the distance between requested and delivered power, summed over the "
        "batteries",
        "`requested_storage_kw`, `storage_kw`",
        tracking_error_kw,
    ),
    Metric(
        "unserved_kwh",
        "kWh",
        "energy that flexible loads and vehicles wanted and did not get: shed, missing when a vehicle "
        "left, still due at the end",
        "columns of these kinds",
        unserved_kwh,
    ),
    Metric(
        "discomfort_cost",
        "currency",
        "what users are paid for energy that came late or not at all",
        "columns of these kinds, scenario",
        discomfort_cost,
    ),
)
