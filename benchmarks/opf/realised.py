"""What a plan really does: its set-points through OpenDSS.

Twice: with regulators and capacitors acting from the measured start, as the feeder would; and with
them held where the plan expects them, which judges the planner's power flow alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

import numpy as np

from benchmarks.opf.planned import PlannedDay, Switching
from cosim.errors import FeederError
from cosim.feeder.plant import Feeder
from cosim.model.arrays import FloatArray
from cosim.model.state import Setpoints
from cosim.model.voltage_band import outside_band_pu
from cosim.run.assembly import Assembly
from cosim.run.study import Study


@dataclass(frozen=True)
class Realised:
    """What OpenDSS says of a plan.

    Attributes:
        energy_cost: price times import.
        cost: energy cost and what the objective charges for throughput and reactive power; violations
            are not in it.
        violation_pu: largest voltage outside the limits.
        violation_pu_h: the same summed over nodes and hours.
        violated: pairs of node and period outside the limits by more than 1e-3 pu.
        voltage_error_pu: largest difference to the plan's voltages.
        voltage_error_mean_pu: their mean.
        import_error_kw: largest difference to the plan's import.
        losses_kwh: of the feeder.
        cut_kw: largest part of a set-point that the plant could not accept, kW or kvar.
    """

    energy_cost: float
    cost: float
    violation_pu: float
    violation_pu_h: float
    violated: int
    voltage_error_pu: float
    voltage_error_mean_pu: float
    import_error_kw: float
    losses_kwh: float
    cut_kw: float

    def figures(self) -> dict[str, float]:
        """As a dictionary."""
        return asdict(self)


@dataclass(frozen=True)
class _Observed:
    """Voltages, shape (period, node), import and losses per period, largest cut of a set-point in kW."""

    voltage_pu: FloatArray
    import_kw: FloatArray
    losses_kw: FloatArray
    cut_kw: float


def realise_live(day: PlannedDay) -> Realised:
    """With regulators and capacitors acting from the measured start, as in the project's own replay."""
    return _judge(day, _run(day, held=False))


def realise_held(day: PlannedDay) -> Realised:
    """With regulators and capacitors held where the plan expects them, period by period."""
    return _judge(day, _run(day, held=True))


def _run(day: PlannedDay, *, held: bool) -> _Observed:
    voltage, imported, losses, cut = [], [], [], 0.0
    with opened(day.study) as feeder:
        if held:
            silence(feeder)
        for step in range(day.study.grid.steps):
            feeder.measure(step)
            asked = day.plan.setpoints(step)
            accepted = feeder.apply(asked).setpoints
            cut = max(cut, _largest_cut(asked, accepted))
            if held:
                hold(feeder, day.switching, step)
            result = feeder.commit()
            voltage.append(result.voltage_pu)
            imported.append(result.import_kw)
            losses.append(result.losses_kw)
    return _Observed(np.array(voltage), np.array(imported), np.array(losses), cut)


def _largest_cut(asked: Setpoints, accepted: Setpoints) -> float:
    """Largest part of a set-point that the plant did not accept, kW or kvar."""
    pairs = (
        (asked.p_kw, accepted.p_kw),
        (asked.q_kvar, accepted.q_kvar),
    )
    return max(float(np.abs(one - other).max(initial=0.0)) for one, other in pairs)


@contextmanager
def opened(study: Study) -> Iterator[Feeder]:
    """The feeder of a study in operation."""
    with Assembly(study, needs=()) as assembly:
        yield assembly.feeder


def silence(feeder: Feeder) -> None:
    """Take regulator and capacitor controls out: what is set by :func:`hold` then stays."""
    engine = feeder.engine
    for name, controls in (("regcontrol", engine.dss.RegControls), ("capcontrol", engine.dss.CapControls)):
        if controls.Count():
            engine.command(f"batchedit {name}..* enabled=no")


def hold(feeder: Feeder, switching: Switching, period: int) -> None:
    """Move taps and capacitors to their positions in a period; :func:`silence` comes first.

    Raises:
        FeederError: OpenDSS stands elsewhere afterwards.
    """
    engine, site = feeder.engine, feeder.site
    transformers, winding = engine.dss.Transformers, feeder.regulated_windings
    for name, tap in zip(site.regulators, switching.tap[period], strict=True):
        transformers.Name(name)
        transformers.Wdg(winding[name])
        transformers.Tap(float(tap))
    for name, closed in zip(site.capacitors, switching.closed[period], strict=True):
        engine.dss.Capacitors.Name(name)
        steps = int(engine.dss.Capacitors.NumSteps())
        engine.dss.Capacitors.States([int(closed > 0.5)] * steps)
        engine.dss.Circuit.SetActiveElement(f"capacitor.{name}")
        (engine.dss.CktElement.Close if closed > 0.5 else engine.dss.CktElement.Open)(1, 0)
    there = engine.closed_capacitors(site.capacitors)
    if not np.array_equal(there > 0.5, switching.closed[period] > 0.5):
        raise FeederError(f"capacitors of {', '.join(site.capacitors)} do not follow in period {period}")


def _judge(day: PlannedDay, observed: _Observed) -> Realised:
    limits, hours = day.study.scenario.limits, day.plan.period_s / 3600.0
    voltage = observed.voltage_pu
    outside = outside_band_pu(voltage, limits.voltage_min_pu, limits.voltage_max_pu)
    # A peer may know fewer nodes than the feeder has.
    error = np.abs(voltage - day.expected.voltage_pu.T)
    energy = float((day.price_per_kwh * observed.import_kw * hours).sum())
    return Realised(
        energy_cost=energy,
        cost=energy + day.device_cost(),
        violation_pu=float(outside.max()),
        violation_pu_h=float((outside * hours[:, None]).sum()),
        violated=int((outside > 1e-3).sum()),
        voltage_error_pu=float(np.nanmax(error)),
        voltage_error_mean_pu=float(np.nanmean(error)),
        import_error_kw=float(np.abs(observed.import_kw - day.expected.import_kva.real).max()),
        losses_kwh=float((observed.losses_kw * hours).sum()),
        cut_kw=observed.cut_kw,
    )
