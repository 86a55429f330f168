"""Where the error of the radial linear model comes from.

What the model neglects is put back one effect after the other until nothing is left, which shows where the
error comes from and that the matrices are right.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import splu

from cosim.opf.linear_flow import LinearFlow

if TYPE_CHECKING:
    from benchmarks.network_model import Bench, Scenario
    from cosim.model.arrays import ComplexArray, FloatArray, Matrix
    from cosim.model.network import RadialNetwork


@dataclass(frozen=True)
class Effects:
    """Which of the neglected effects a solution contains."""

    losses: bool = False
    squared_drop: bool = False


def _solved(
    network: RadialNetwork, consumption: ComplexArray, squared_pu: FloatArray, effects: Effects
) -> FloatArray:
    """Squared voltage of the branch equations with the true consumption and some exact terms.

    Without effects this is the linear model. With both it is the exact branch equation at receiving
    ends, provided the angles of the network's operating point are right:
    u_to = gain u_from - 2 Re(H conj S) - |Z I|^2 and S_from = share (S + Z I conj I).
    """
    flow = LinearFlow(network)
    identity = sp.identity(network.size, format="csc")
    flows = splu((identity - flow.share).tocsc())
    received = consumption
    power = flows.solve(received)
    for _ in range(40 if effects.losses else 0):
        losses = power * (flow.drop @ np.conj(power)) / squared_pu
        # A branch's own losses belong to its sending end only.
        power = flows.solve(consumption + flow.share @ losses)
    drop = flow.drop @ np.conj(power)
    head = np.zeros(network.size)
    head[network.head] = 1.0
    right = head - 2.0 * drop.real
    if effects.squared_drop:
        right -= np.abs(drop) ** 2 / squared_pu
    return np.asarray(splu((identity - flow.gain).tocsc()).solve(right))


def explain(bench: Bench, scenario: Scenario) -> dict[str, float]:
    """Largest error in pu of |V| as neglected effects are put back, one after the other.

    ``and_true_loads`` takes what loads and capacitors really drew in OpenDSS.
    """
    truth = bench.solve(scenario)
    there = bench.extract()  # angles and ratios of the scenario's own state
    here = bench.network
    load_share: Matrix = bench.flow.load_share
    u0, u1 = bench.idle.voltage_pu**2, truth.voltage_pu**2

    def consumption(network: RadialNetwork, loads: ComplexArray, u: FloatArray) -> ComplexArray:
        shares = LinearFlow(network).load_share if network is there else load_share
        return np.asarray(shares @ loads - 1j * network.shunt_kvar * u)

    def error(loads_then: ComplexArray, effects: Effects, network: RadialNetwork) -> float:
        der = bench.flow.device_share(network.device_share, len(bench.storages)) @ (
            scenario.kw + 1j * scenario.kvar
        )
        before = _solved(here, consumption(here, bench.idle.load_kva, u0), u0, effects)
        after = _solved(network, consumption(network, loads_then, u1) - der, u1, effects)
        predicted = np.sqrt(np.maximum(u0 + after - before, 0.0))
        return float(np.abs(predicted - truth.voltage_pu).max())

    predicted, _ = bench.predict(scenario, bench.anchor)
    loads = truth.load_kva
    return {
        "model": float(np.abs(predicted - truth.voltage_pu).max()),
        "and_true_loads": error(loads, Effects(), here),
        "and_losses": error(loads, Effects(losses=True), here),
        "and_squared_drop": error(loads, Effects(losses=True, squared_drop=True), here),
        "and_angles": error(loads, Effects(losses=True, squared_drop=True), there),
    }
