"""Radial feeders of any size from a seed.

**Growth.** A substation feeds as many main feeders as keep each below about 2500 buses. A main feeder
of m buses has a trunk of 2 sqrt(m) buses. Laterals are then added until the buses are used up: each
taps the trunk (3 of 5) or an earlier lateral, has a geometric length of 4 buses on average, and no bus
joins more than four branches. So most buses have degree two, a bus in five or so is a dead end, and
the depth grows like the square root of the size.

**Load.** Every dead end and 3 of 5 other buses have one, lognormal, of power factor 0.85 .. 0.97. The
three-phase peak of a main feeder is 2.5 MW (m / 100)^0.3, give or take 15 %: a feeder of few buses is
a coarse picture of a real one, not a real one's corner.

**Lines.** The smallest conductor of :mod:`cosim.networks.conductors` that carries the peak behind it at
half its ampacity. Spans are lognormal; their median follows from the voltage: every main feeder gets
its own lowest voltage at peak without devices, 0.957 .. 0.973 pu, and its spans are scaled to it with
the exact power flow. With thousands of buses that gives some tens of metres, with ten buses kilometres,
because a span then stands for many.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from cosim.errors import FeederError
from cosim.model.arrays import FloatArray, IntArray
from cosim.networks.balanced import (
    BalancedFeeder,
    Branches,
    Loads,
    Places,
    no_pvs,
    no_storages,
)
from cosim.networks.conductors import ACSR
from cosim.networks.der import place_der
from cosim.networks.layout import tree_layout
from cosim.networks.sweep import power_flow
from cosim.networks.tree import outward_order

BASE_KV = 7.2
SOURCE_PU = 1.03
LARGEST_MAIN_FEEDER = 2200
TRUNK_PER_SQRT = 2.0
TAPS_ON_TRUNK = 0.6
LATERAL_BUSES = 4.0
MOST_BRANCHES = 4
LOADED_SHARE = 0.6
LOAD_SPREAD = 0.6
POWER_FACTOR = (0.85, 0.97)
DESIGN_LOADING = 0.5
SPAN_M = 80.0
SPAN_SPREAD = 0.5
LOWEST_PU = (0.957, 0.973)
CALIBRATION_PU = 1e-6


def synthetic_feeder(
    buses: int,
    seed: int,
    *,
    pv_share: float = 0.2,
    pv_times_load: float = 0.35,
    storage_share: float = 0.3,
    storage_times_load: float = 0.35,
) -> BalancedFeeder:
    """Grow a feeder; the same arguments give the same feeder, under one release of numpy.

    Args:
        buses: number of buses with the substation, at least 3.
        seed: of every draw.
        pv_share, pv_times_load, storage_share, storage_times_load: see
            :func:`cosim.networks.der.place_der`; the defaults are those of the 128-bus reference system.

    Returns:
        A feeder of 7.2 kV line to neutral and 1.03 pu at the substation, whose lowest voltage at peak
        without devices is within 0.957 .. 0.973 pu.

    Raises:
        FeederError: fewer than three buses, or shares that make no sense.
    """
    if buses < 3:
        raise FeederError(f"a synthetic feeder of {buses} buses is none; ask for at least 3")
    generator = np.random.default_rng(seed)
    tree = _grow(buses, generator)
    loads = _draw_loads(tree, generator)
    length_m = np.clip(SPAN_M * generator.lognormal(0.0, SPAN_SPREAD, buses - 1), 20.0, 400.0)
    conductor = ACSR.smallest_for(_peak_amps(tree, loads), DESIGN_LOADING)
    lowest_pu = generator.uniform(*LOWEST_PU, tree.mains)
    plain = BalancedFeeder(
        name=f"synthetic_{buses}_{seed}",
        title=f"Synthetic balanced feeder of {buses} buses, seed {seed}: cosim.networks.synthetic",
        base_kv=BASE_KV,
        source_pu=SOURCE_PU,
        buses=tuple(str(number) for number in range(1, buses + 1)),
        branches=_branches(tree, length_m, conductor),
        loads=loads,
        pvs=no_pvs(),
        storages=no_storages(),
        places=Places(np.zeros(buses), np.zeros(buses)),
    )
    scale = _span_scale(plain, tree, lowest_pu)
    length_m = length_m * scale[tree.main_of - 1]
    calibrated = replace(
        plain,
        branches=_branches(tree, length_m, conductor),
        places=tree_layout(tree.from_bus, length_m / 1e3),
    )
    return place_der(
        calibrated,
        pv_share=pv_share,
        pv_times_load=pv_times_load,
        storage_share=storage_share,
        storage_times_load=storage_times_load,
        seed=seed,
    )


@dataclass(frozen=True)
class _Tree:
    """Shape of a feeder in outward order: start of each branch, main feeder (1 ..) it belongs to."""

    from_bus: IntArray
    main_of: IntArray
    mains: int


def _grow(buses: int, generator: np.random.Generator) -> _Tree:
    mains = -(-(buses - 1) // LARGEST_MAIN_FEEDER)
    weight = generator.uniform(0.85, 1.15, mains)
    ends = np.round(np.cumsum(weight) / weight.sum() * (buses - 1)).astype(int)
    parent: list[int] = []
    main: list[int] = []
    for number, size in enumerate(np.diff(ends, prepend=0).tolist(), start=1):
        offset = len(parent) + 1
        # Position 0 of a main feeder is its first bus, which the substation feeds.
        parent.extend(0 if start < 0 else offset + start for start in _grow_main(size, generator))
        main.extend([number] * size)
    order, rows = outward_order(
        [str(start) for start in parent], [str(bus) for bus in range(1, len(parent) + 1)]
    )
    place = {int(bus): i for i, bus in enumerate(order)}
    return _Tree(
        np.array([place[parent[row]] for row in rows], dtype=np.int64),
        np.array(main, dtype=np.int64)[rows],
        mains,
    )


def _grow_main(size: int, generator: np.random.Generator) -> list[int]:
    """Parents of the buses of one main feeder; -1 is the substation."""
    trunk = min(size, max(1, round(TRUNK_PER_SQRT * size**0.5)))
    parent = list(range(-1, trunk - 1))
    joined = [2] * (trunk - 1) + [1] + [0] * (size - trunk)
    while len(parent) < size:
        on_trunk = len(parent) == trunk or generator.random() < TAPS_ON_TRUNK
        tap = int(generator.integers(0, trunk) if on_trunk else generator.integers(trunk, len(parent)))
        if joined[tap] >= MOST_BRANCHES:
            continue
        wanted = int(generator.geometric(1 / LATERAL_BUSES))
        for _ in range(min(wanted, size - len(parent))):
            joined[tap] += 1
            joined[len(parent)] += 1
            parent.append(tap)
            tap = len(parent) - 1
    return parent


def _draw_loads(tree: _Tree, generator: np.random.Generator) -> Loads:
    size = len(tree.from_bus) + 1
    loaded = generator.random(size) < LOADED_SHARE
    dead_end = np.ones(size, dtype=np.bool_)
    dead_end[tree.from_bus] = False
    bus = np.flatnonzero((loaded | dead_end) & (np.arange(size) > 0)).astype(np.int64)
    kw = generator.lognormal(0.0, LOAD_SPREAD, len(bus))
    for number in range(1, tree.mains + 1):
        own = tree.main_of[bus - 1] == number
        members = int(np.sum(tree.main_of == number))
        three_phase_kw = 2500.0 * (members / 100) ** 0.3 * generator.uniform(0.85, 1.15)
        kw[own] *= three_phase_kw / 3 / kw[own].sum()
    power_factor = generator.uniform(*POWER_FACTOR, len(bus))
    return Loads(bus, np.round(kw, 4), np.round(kw * np.tan(np.arccos(power_factor)), 4))


def _peak_amps(tree: _Tree, loads: Loads) -> FloatArray:
    """Current of the peak behind each branch, losses left out, shape (branch,)."""
    power = np.zeros(len(tree.from_bus) + 1, dtype=np.complex128)
    power[loads.bus] = loads.kw + 1j * loads.kvar
    for branch in range(len(tree.from_bus) - 1, -1, -1):
        power[tree.from_bus[branch]] += power[branch + 1]
    return np.abs(power[1:]) / BASE_KV


def _branches(tree: _Tree, length_m: FloatArray, conductor: IntArray) -> Branches:
    r_ohm_per_m, x_ohm_per_m = ACSR.ohm_per_m
    return Branches(
        tree.from_bus,
        np.round(r_ohm_per_m[conductor] * length_m, 9),
        np.round(x_ohm_per_m[conductor] * length_m, 9),
        ACSR.normal_amps[conductor],
    )


def _span_scale(feeder: BalancedFeeder, tree: _Tree, lowest_pu: FloatArray) -> FloatArray:
    """Factor on the spans of each main feeder that brings its lowest voltage to a target.

    The drop of the squared voltage is almost in proportion to the length, so the factor is corrected
    by the ratio of wanted to found drop; from short spans the first correction is the linear
    estimate, and each further one gains about a digit.

    Args:
        feeder: with spans as drawn.
        tree: its shape.
        lowest_pu: wanted lowest voltages, shape (main feeder,).
    """
    kw, kvar = feeder.peak_demand()
    drawn = feeder.branches
    wanted = SOURCE_PU**2 - lowest_pu**2
    scale = np.full(tree.mains, 1e-3)
    for _ in range(30):
        factor = scale[tree.main_of - 1]
        branches = replace(drawn, r_ohm=factor * drawn.r_ohm, x_ohm=factor * drawn.x_ohm)
        voltage = np.abs(power_flow(replace(feeder, branches=branches), kw, kvar).voltage_pu[1:])
        lowest = np.full(tree.mains, np.inf)
        np.minimum.at(lowest, tree.main_of - 1, voltage)
        if float(np.abs(lowest - lowest_pu).max()) < CALIBRATION_PU:
            return scale
        scale *= wanted / (SOURCE_PU**2 - lowest**2)
    raise FeederError(
        f"{feeder.name}: no span length gives lowest voltages of {lowest_pu} pu; try another seed"
    )
