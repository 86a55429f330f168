"""How far the radial linear model is from OpenDSS when batteries move away from the measured state.

Per feeder: batteries at random load buses, connected like the load there; the linear model is
anchored at the measured state with all batteries idle; then set-points are drawn, predicted, and
solved again by OpenDSS with taps and capacitors where they were.

For the scenario with the largest error, :mod:`benchmarks.network_model_effects` puts back what the model
neglects.

    python -m benchmarks.network_model --out docs/results/network_model.json
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import splu

from benchmarks.network_model_effects import explain
from cosim.devices.storage import SiteStorage, StorageRating
from cosim.feeder.compiled import FeederModel
from cosim.feeder.engine import Batch
from cosim.feeder.plant import Feeder
from cosim.model.exogenous import Exogenous
from cosim.model.state import Measurement, Setpoints
from cosim.model.timegrid import TimeGrid
from cosim.opf.linear_flow import LinearFlow
from cosim.run.siting import load_sites

if TYPE_CHECKING:
    from cosim.model.arrays import ComplexArray, FloatArray
    from cosim.model.network import RadialNetwork
    from cosim.opf.linear_flow import Anchor

log = logging.getLogger(__name__)

SHIPPED = Path(__file__).parents[1] / "dss_models"
SHIPPED_MASTERS = ("ieee13/master.dss", "ieee123/master.dss")
OTHER_MASTERS = (
    "13Bus/IEEE13Nodeckt.dss",
    "34Bus/ieee34Mod1.dss",
    "37Bus/ieee37.dss",
    "123Bus/IEEE123Master.dss",
    "8500-Node/Master.dss",
    "8500-Node/Master-unbal.dss",
)
RANDOM_SCENARIOS = 20
SMALL = 0.2
"""Set-points are also tried at this size, to see the order of the error."""

WIDE_LOADS = "batchedit load..* vminpu=0.3 vmaxpu=2 vlowpu=0.1"
"""Loads keep their model at any voltage; by default OpenDSS makes them impedances outside 0.95 to
1.05 pu, which the linear model does not know."""

RULE = SiteStorage(
    kind="storage",
    share_of_load_buses=0.2,
    times_local_load=1.0,
    # So much energy that no scenario is cut by it.
    hours=1000.0,
    kva_per_kw=1.2,
    soc_min=0.0,
    soc_max=1.0,
    soc_start=0.5,
    at_most=50,
    seed=2024,
)


@dataclass(frozen=True)
class Scenario:
    """Set-points of all batteries, positive into the network."""

    name: str
    kw: FloatArray
    kvar: FloatArray

    def scaled(self, factor: float) -> Scenario:
        """The same direction, smaller."""
        return Scenario(self.name, self.kw * factor, self.kvar * factor)


@dataclass(frozen=True)
class Truth:
    """What OpenDSS found for a scenario.

    Attributes:
        voltage_pu: per node of the network.
        import_kw: drawn from the source.
        load_kva: what each load drew, shape (load,).
    """

    voltage_pu: FloatArray
    import_kw: float
    load_kva: ComplexArray


@dataclass(frozen=True)
class Errors:
    """Errors of |V| in pu over all nodes and scenarios, and of the import in kW.

    Attributes:
        moved_pu: how far the scenarios moved the voltage in OpenDSS, largest over nodes.
        max_pu, mean_pu: anchored prediction against OpenDSS.
        worst_node, worst_scenario: where ``max_pu`` was found.
        random_max_pu: over the random scenarios alone.
        grounded_max_pu: over the phase-to-ground nodes alone; None on a
            three-wire feeder (the source bus is grounded there too).
        unanchored_max_pu, unanchored_mean_pu: the same model without the anchor.
        import_max_kw, import_random_max_kw: anchored import, all and random scenarios.
    """

    moved_pu: float
    max_pu: float
    mean_pu: float
    worst_node: str
    worst_scenario: str
    random_max_pu: float
    grounded_max_pu: float | None
    unanchored_max_pu: float
    unanchored_mean_pu: float
    import_max_kw: float
    import_random_max_kw: float


class Bench:
    """One feeder with batteries, measured once with all of them idle."""

    def __init__(self, master: Path, *, wide_loads: bool = False) -> None:
        self.model = FeederModel(master, tolerance=1e-8)
        if wide_loads:
            self.model.engine.command(WIDE_LOADS)
        loads = self.model.loads
        self.load_kw = float(loads.kw.sum())
        exogenous = Exogenous(
            step_s=900,
            load_kw=loads.kw,
            load_kvar=loads.kvar,
            profile=np.ones((1, 1)),
            profile_of=np.zeros(len(loads.names), dtype=np.int64),
            irradiance=np.zeros(1),
            price_per_kwh=np.zeros(1),
        )
        self.storages = _batteries(self.model)
        self.feeder = Feeder(
            self.model,
            devices=self.storages,
            exogenous=exogenous,
            grid=TimeGrid(datetime(2024, 1, 1, tzinfo=UTC), 900, 1),
        )
        self.load_batch = Batch(self.model.engine, "load")
        place = {name: i for i, name in enumerate(self.load_batch.names)}
        self.load_at = np.array([place[name] for name in loads.names], dtype=np.int64)
        started = time.perf_counter()
        self.network = self.extract()
        self.extraction_s = time.perf_counter() - started
        self.measured: Measurement = self.feeder.measure(0)
        self.idle = self.read()
        self.flow = LinearFlow(self.network)
        self.share = self.flow.device_share(self.network.device_share, len(self.storages))
        self.anchor = self.flow.anchor(self.measured, np.zeros(self.network.size, dtype=np.complex128))
        self.unanchored = _source_only(self.flow, self.anchor)

    def extract(self) -> RadialNetwork:
        """The radial model at the present solution of OpenDSS."""
        network, reason = self.feeder.network()
        if network is None:
            raise SystemExit(f"{self.model.master.name} has no radial model: {reason}")
        return network

    def der(self, scenario: Scenario) -> ComplexArray:
        """Injection at each node, shape (node,)."""
        return np.asarray(self.share @ (scenario.kw + 1j * scenario.kvar))

    def solve(self, scenario: Scenario) -> Truth:
        """Solve a scenario in OpenDSS, taps and capacitors frozen."""
        applied = self.feeder.apply(Setpoints(scenario.kw, scenario.kvar))
        if any(applied.reason):
            raise SystemExit(f"a set-point of {scenario.name!r} was cut: {applied.reason}")
        self.model.engine.solve(controls=False)
        return self.read()

    def read(self) -> Truth:
        """Voltages, import and loads of the present solution."""
        power, _ = self.feeder.meters.head()
        loads = -self.load_batch.terminal_power()[self.load_at]
        return Truth(self.feeder.meters.voltage_pu(), power.real, loads)

    def predict(self, scenario: Scenario, anchor: Anchor) -> tuple[FloatArray, float]:
        """|V| per node and import in kW of the linear model."""
        flow = self.flow.predict(
            anchor,
            self.measured.demand_kw[:, None],
            self.measured.demand_kvar[:, None],
            self.der(scenario)[:, None],
        )
        return flow.voltage_pu[:, 0], float(flow.import_kva[0].real)


def _batteries(model: FeederModel) -> list[StorageRating]:
    """Batteries by the siting rule."""
    return [RULE.device(place) for place in load_sites(model, RULE)]


def _source_only(flow: LinearFlow, anchor: Anchor) -> Anchor:
    """Offset of a model that knows the measured voltage of the source bus and nothing else.

    The model's ideal source stands at 1 pu; the difference at the head is carried down the feeder
    through the gains, so that regulators and transformers multiply it as they multiply the rest.
    """
    head = np.zeros(flow.network.size)
    head[flow.network.head] = anchor.squared_pu[flow.network.head]
    identity = sp.identity(flow.network.size, format="csc")
    offset = np.asarray(splu((identity - flow.gain).tocsc()).solve(head))
    return replace(anchor, squared_pu=offset, import_kva=0j, start_squared_pu=np.ones_like(offset))


def draw_scenarios(storages: list[StorageRating]) -> list[Scenario]:
    """Random set-points inside every inverter circle, then three structured ones."""
    kw = np.array([s.kw for s in storages])
    kva = np.array([s.kva for s in storages])
    random = np.random.default_rng(RULE.seed)
    found = []
    for i in range(RANDOM_SCENARIOS):
        p = kw * random.uniform(-1, 1, len(kw))
        q = np.sqrt(kva**2 - p**2) * random.uniform(-1, 1, len(kw))
        found.append(Scenario(f"random {i}", p, q))
    none = np.zeros(len(kw))
    signs = np.where(np.arange(len(kw)) % 2, -1.0, 1.0)
    return [
        *found,
        Scenario("all discharge", kw, none),
        Scenario("all charge", -kw, none),
        Scenario("alternate", signs * kw, none),
    ]


def measure_errors(bench: Bench, scenarios: list[Scenario]) -> Errors:
    """Predict and solve every scenario."""
    truths = [bench.solve(scenario) for scenario in scenarios]
    anchored = [bench.predict(scenario, bench.anchor) for scenario in scenarios]
    plain = [bench.predict(scenario, bench.unanchored) for scenario in scenarios]
    true_v = np.array([truth.voltage_pu for truth in truths])
    error = np.abs(np.array([v for v, _ in anchored]) - true_v)
    plain_error = np.abs(np.array([v for v, _ in plain]) - true_v)
    true_kw = np.array([truth.import_kw for truth in truths])
    import_error = np.abs(np.array([kw for _, kw in anchored]) - true_kw)
    worst, node = np.unravel_index(int(error.argmax()), error.shape)
    grounded = np.array(["-" not in node for node in bench.network.nodes])
    is_random = np.array([s.name.startswith("random") for s in scenarios])
    return Errors(
        moved_pu=float(np.abs(true_v - bench.idle.voltage_pu).max()),
        max_pu=float(error.max()),
        mean_pu=float(error.mean()),
        worst_node=bench.network.nodes[int(node)],
        worst_scenario=scenarios[int(worst)].name,
        random_max_pu=float(error[is_random].max()),
        grounded_max_pu=float(error[:, grounded].max()) if grounded.sum() > 3 else None,
        unanchored_max_pu=float(plain_error.max()),
        unanchored_mean_pu=float(plain_error.mean()),
        import_max_kw=float(import_error.max()),
        import_random_max_kw=float(import_error[is_random].max()),
    )


# --- report ---------------------------------------------------------------------------------------


def measure_feeder(master: Path, name: str) -> dict[str, object]:
    """One row of the table."""
    bench = Bench(master)
    scenarios = draw_scenarios(bench.storages)
    full = measure_errors(bench, scenarios)
    small = measure_errors(bench, [scenario.scaled(SMALL) for scenario in scenarios])
    rest, _ = bench.predict(scenarios[0].scaled(0.0), bench.anchor)
    worst = next(s for s in scenarios if s.name == full.worst_scenario)
    explained, idle = explain(bench, worst), bench.idle.voltage_pu
    bench.model.close()
    wide_bench = Bench(master, wide_loads=True)
    wide = measure_errors(wide_bench, scenarios)
    wide_bench.model.close()
    return {
        "feeder": name,
        "nodes": bench.network.size,
        "line_to_line_nodes": sum("-" in node.rsplit(".", 1)[1] for node in bench.network.nodes),
        "batteries": len(bench.storages),
        "battery_kw": float(sum(s.kw for s in bench.storages)),
        "load_kw": bench.load_kw,
        "lowest_pu": float(idle.min()),
        "highest_pu": float(idle.max()),
        "at_anchor_max_pu": float(np.abs(rest - idle).max()),
        "full": asdict(full),
        "small": asdict(small),
        "order": float(np.log(full.max_pu / small.max_pu) / np.log(1 / SMALL)),
        "explained": explained,
        "wide_loads": {"max_pu": wide.max_pu, "import_max_kw": wide.import_max_kw},
        "extraction_s": bench.extraction_s,
    }


def _rounded(value: object) -> object:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return float(f"{value:.3g}") if isinstance(value, float) else value


def main() -> None:
    """Measure every feeder and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--feeders", type=Path, help="folder of further feeders")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    masters = [(SHIPPED / name, name) for name in SHIPPED_MASTERS]
    if arguments.feeders is not None:
        masters += [(arguments.feeders / name, name) for name in OTHER_MASTERS]
    rows = []
    for master, name in masters:
        if not master.is_file():
            log.warning("%s is not there", name)
            continue
        row = _rounded(measure_feeder(master, name))
        log.info("%s", json.dumps(row, indent=1))
        rows.append(row)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"small": SMALL, "random_scenarios": RANDOM_SCENARIOS, "feeders": rows}, indent=2)
    arguments.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
