"""The optimality-gap study on single-phase equivalents of the IEEE test feeders.

    python -m benchmarks.equivalents --feeders DIR --out docs/results/equivalents

DIR holds the OpenDSS collection of test feeders; 13 and 123 are the shipped ones. Equivalents have no
regulators and so voltages far below 0.95 pu on long feeders; the band is therefore opened, and the gap
is that of energy and losses alone.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from cosim.experiments.gap_campaign import (
    BlockConfig,
    CampaignConfig,
    cases_of,
    load_campaign,
    run_campaign,
)
from cosim.networks.der import place_der
from cosim.networks.dss_text import write_model
from cosim.report.gap.report import write_gap_report
from cosim.run.equivalent import equivalent_of
from cosim.run.shipped import shipped

PUBLISHED = {
    "ieee34": "34Bus/ieee34Mod1.dss",
    "ieee37": "37Bus/ieee37.dss",
    "ieee8500": "8500-Node/Master.dss",
}
FORMULATIONS = ("copper_plate", "lindistflow", "lindistflow_losses", "branch_flow_soc", "branch_flow_nl")
TITLE = "Optimality gap on single-phase equivalents of the IEEE test feeders"
SEED = 1


def write_equivalent(name: str, master: Path, folder: Path) -> Path:
    """Write the equivalent of a feeder, with the reference penetration of PV and batteries."""
    bare = equivalent_of(master, name=f"{name}_1ph")
    placed = place_der(
        bare, pv_share=0.2, pv_times_load=0.35, storage_share=0.3, storage_times_load=0.35, seed=SEED
    )
    return write_model(placed, folder / f"{name}_1ph")


def campaign_of(masters: list[Path]) -> CampaignConfig:
    """The shipped campaign's formulations on other networks, within an open voltage band."""
    base = load_campaign(shipped("configs") / "studies" / "optimality_gap.yaml")
    block = BlockConfig(
        name="equivalents",
        networks=tuple(str(master) for master in masters),
        bands=("open",),
        formulations=(
            "copper_plate",
            "lindistflow",
            "lindistflow_losses",
            "branch_flow_soc",
            "branch_flow_nl",
        ),
    )
    return base.model_copy(update={"bands": {"open": (0.5, 1.2)}, "blocks": (block,)})


def main() -> None:
    """Write the equivalents, run the campaign, draw the report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--feeders", type=Path, required=True)
    parser.add_argument("--models", type=Path, default=Path("runs/equivalents"))
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    masters = {name: shipped("dss_models") / name / "master.dss" for name in ("ieee13", "ieee123")}
    masters |= {name: options.feeders / path for name, path in PUBLISHED.items()}
    written = [write_equivalent(name, master, options.models).resolve() for name, master in masters.items()]
    campaign = campaign_of(written)
    console = Console(stderr=True)
    rows = run_campaign(
        campaign,
        cases_of(campaign, Path()),
        options.out,
        lambda done, total, key: console.print(f"{done}/{total} {key}"),
    )
    write_gap_report(
        rows, options.out, "Optimality gap on single-phase equivalents of the IEEE test feeders"
    )


if __name__ == "__main__":
    main()
