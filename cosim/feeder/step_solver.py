"""The power flows of a run's steps, and what is said and kept where one of them has no solution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from cosim.errors import FeederError, NotConverged
from cosim.feeder.engine import Engine, SolveReport
from cosim.feeder.meters import TapMeter
from cosim.model.arrays import ComplexArray, FloatArray
from cosim.model.state import StepResult

OnNoConvergence = Literal["stop", "hold"]
WORST_NODES = 3


@dataclass(frozen=True)
class Moment:
    """What a power flow is asked for.

    Attributes:
        step: of the run.
        controls: whether regulators and capacitors act, as they do at the end of a step.
        load_kw: of all loads at rated voltage.
        setpoint_kw: of all devices, positive into the network.
        source_ratio: voltage of the sources over what the master says.
    """

    step: int
    controls: bool
    load_kw: float
    setpoint_kw: float
    source_ratio: float

    @property
    def name(self) -> str:
        """Which of the two power flows of a step it is."""
        return f"step {self.step}, {'under the new set-points' if self.controls else 'as it is measured'}"


@dataclass(frozen=True)
class Reading:
    """What is measured of a solved feeder, as in :class:`cosim.model.state.Measurement`."""

    voltage_pu: FloatArray
    p_kw: FloatArray
    q_kvar: FloatArray
    import_kw: float
    import_kvar: float
    losses_kw: float

    @classmethod
    def of(cls, result: StepResult) -> Reading:
        """The same of an earlier step."""
        return cls(**{name: getattr(result, name) for name in cls.__dataclass_fields__})


@dataclass(frozen=True)
class NotSolved:
    """A power flow without a solution, after which the feeder is as it was before.

    Attributes:
        sentence: where, what changed, and what to try.
        iterations: made in vain.
        last: the step before, to hold on to.
    """

    sentence: str
    iterations: int
    last: StepResult


class StepSolver:
    """Solves step after step and knows the last solution.

    Args:
        engine: with all devices in the circuit.
        on_no_convergence: whether a power flow without a solution is an error, or a result.
    """

    def __init__(self, engine: Engine, on_no_convergence: OnNoConvergence) -> None:
        self._engine, self._holds = engine, on_no_convergence == "hold"
        self._last: Moment | None = None
        self._volts: ComplexArray | None = None
        self._switches: _Switches | None = None
        self._taps: TapMeter | None = None

    def watch(self, taps: TapMeter, capacitors: Sequence[str]) -> None:
        """Name what moves in a power flow, so that it can be put back."""
        self._taps = taps
        self._switches = _Switches(self._engine, taps, capacitors) if self._holds else None

    def solve(self, moment: Moment, last: StepResult | None) -> SolveReport | NotSolved:
        """Solve one power flow.

        Args:
            moment: what is asked.
            last: the step before; None at the first one.

        Raises:
            FeederError: there is no solution, and the run may not go on without.
        """
        before = self._switches.read() if self._switches is not None and moment.controls else None
        try:
            report = self._engine.solve(controls=moment.controls)
        except NotConverged as error:
            sentence = self._sentence(moment, error.what, last)
            if not self._holds or last is None or self._volts is None:
                raise FeederError(f"{sentence}. What to try: {error.ADVICE}{self._hold_hint()}") from error
            if self._switches is not None and before is not None:
                self._switches.write(before)
            # The next power flow starts here, and not from what the search ended with.
            self._engine.voltages()[:] = self._volts
            return NotSolved(sentence, error.iterations, last)
        self._last, self._volts = moment, self._engine.voltages().copy()
        return report

    def _hold_hint(self) -> str:
        return "" if self._holds else ", or let the run go on with feeder.on_no_convergence: hold"

    def _sentence(self, moment: Moment, what: str, step_before: StepResult | None) -> str:
        worst = ", ".join(self._worst())
        return f"{what} ({moment.name}); farthest off are {worst}. {self._changed(moment, step_before)}"

    def _changed(self, moment: Moment, step_before: StepResult | None) -> str:
        """What is different from the last power flow that was solved."""
        last = self._last
        if last is None:
            return f"The load is {moment.load_kw:.1f} kW, the set-points are {moment.setpoint_kw:.1f} kW"
        parts = [f"load {last.load_kw:.1f} to {moment.load_kw:.1f} kW"]
        parts.append(f"set-points {last.setpoint_kw:.1f} to {moment.setpoint_kw:.1f} kW")
        if moment.source_ratio != last.source_ratio:
            parts.append(
                f"source voltage {last.source_ratio:.4g} to {moment.source_ratio:.4g} of the master's"
            )
        parts += self._moved_taps(step_before)
        return f"Since the last solution ({last.name}): {', '.join(parts)}"

    def _moved_taps(self, step_before: StepResult | None) -> list[str]:
        """Taps that stand elsewhere than at the end of the step before."""
        if self._taps is None or step_before is None:
            return []
        names, now = list(self._taps.windings), self._taps.ratios()
        moved = np.flatnonzero(now != step_before.tap)
        return [f"tap of {names[i]} {step_before.tap[i]:.5g} to {now[i]:.5g}" for i in moved[:WORST_NODES]]

    def _worst(self) -> list[str]:
        """Nodes where the search ended farthest from the last solution, or from their base."""
        base_v = 1e3 * self._engine.node_base_kv()
        known = np.flatnonzero(base_v > 0)
        names = self._engine.node_names()
        now = np.abs(self._engine.voltages()[known]) / base_v[known]
        before = np.ones(len(known)) if self._volts is None else np.abs(self._volts[known]) / base_v[known]
        distance = np.nan_to_num(np.abs(now - before), nan=np.inf)
        order = np.argsort(-distance, kind="stable")[:WORST_NODES]
        return [f"{names[known[i]]} at {now[i]:.3g} pu (before {before[i]:.3g})" for i in order]


class _Switches:
    """Taps and capacitors, read and put back."""

    def __init__(self, engine: Engine, taps: TapMeter, capacitors: Sequence[str]) -> None:
        self._engine, self._taps, self._capacitors = engine, taps, tuple(capacitors)

    def read(self) -> tuple[FloatArray, list[Any]]:
        """Where they stand."""
        capacitors = self._engine.dss.Capacitors
        states: list[Any] = []
        for name in self._capacitors:
            capacitors.Name(name)
            states.append(list(capacitors.States()))
        return self._taps.ratios(), states

    def write(self, stand: tuple[FloatArray, list[Any]]) -> None:
        """Put them back, and forget what controls were about to do."""
        ratios, states = stand
        self._taps.write(ratios)
        capacitors = self._engine.dss.Capacitors
        for name, state in zip(self._capacitors, states, strict=True):
            capacitors.Name(name)
            if list(capacitors.States()) != state:
                capacitors.States(state)
        self._engine.dss.CtrlQueue.ClearQueue()
