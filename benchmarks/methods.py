"""The comparison of methods on the 8500-node feeder, whose model does not ship.

    python -m benchmarks.methods --master DIR/8500-Node/Master.dss [--out docs/results/methods]

The cases are those of ``configs/studies/methods.yaml`` with scenario ieee8500 (50 batteries, 50 PV systems,
24 hours). Rows go to the rows of the study (``cosim study methods --out``) in the same folder, and tables
and pictures are made from all rows of the folder. Cases that are there are not computed again.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from cosim.experiments.gap_campaign import BlockConfig, cases_of, load_campaign, read_rows, run_campaign
from cosim.report.methods.report import write_methods_report
from cosim.run.shipped import shipped

SCENARIO = "ieee8500"
LEFT_OUT = ("lindistflow_taps", "tangent_rounding", "tangent_binary", "hybrid")
"""The scenario has no network devices to decide."""


def main() -> None:
    """Run the cases and write the report of the folder."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--master", type=Path, required=True)
    parser.add_argument("--only", nargs="*", help="formulations; default all that can be asked")
    parser.add_argument("--out", type=Path, default=Path("docs/results/methods"))
    options = parser.parse_args()
    campaign = load_campaign(shipped("configs") / "studies" / "methods.yaml")
    asked = options.only or [name for name in campaign.formulations if name not in LEFT_OUT]
    block = BlockConfig(
        name=SCENARIO, scenarios=(SCENARIO,), planner_seeds=(1,), bands=("wide",), formulations=tuple(asked)
    )
    large = campaign.model_copy(update={"blocks": (block,)})
    master = str(options.master.resolve())
    cases = [replace(case, master=master) for case in cases_of(large, Path())]
    console = Console(stderr=True)
    run_campaign(large, cases, options.out, lambda done, total, key: console.print(f"{done}/{total} {key}"))
    write_methods_report(read_rows(options.out), options.out, campaign)


if __name__ == "__main__":
    main()
