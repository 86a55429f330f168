"""Controllers that do what a careful one would not; each but the last three at step 1."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from cosim.model.site import Site
from cosim.model.state import Decision, Measurement, Setpoints, Source


class Careful:
    """Asks the first battery for one kW more at every step."""

    def start(self, site: Site) -> None:
        self._site = site
        self.rest = Setpoints.idle(site)

    def step(self, measurement: Measurement) -> Decision:
        kw = self.rest.p_kw.copy()
        kw[0] = measurement.step + 1.0
        decision = Decision(
            measurement.step, measurement.time_s, Setpoints(kw, self.rest.q_kvar), Source.PLAN, "", None
        )
        return self.spoilt(decision, measurement) if measurement.step == 1 else decision

    def spoilt(self, decision: Decision, measurement: Measurement) -> Any:
        return decision

    def with_kw(self, decision: Decision, kw: Any) -> Decision:
        return replace(decision, setpoints=replace(decision.setpoints, p_kw=kw))


class ReturnsADict(Careful):
    def spoilt(self, decision, measurement):
        return {"p_kw": decision.setpoints.p_kw}


class Complex(Careful):
    def spoilt(self, decision, measurement):
        return self.with_kw(decision, decision.setpoints.p_kw + 5j)


class Matrix(Careful):
    def spoilt(self, decision, measurement):
        return self.with_kw(decision, decision.setpoints.p_kw[None, :])


class Words(Careful):
    def spoilt(self, decision, measurement):
        return self.with_kw(decision, ["much", "little", "none"])


class UnknownSource(Careful):
    def spoilt(self, decision, measurement):
        return replace(decision, source="LUCK")


class FromTheFuture(Careful):
    def spoilt(self, decision, measurement):
        return replace(decision, issued_at_s=1e12)


class Timeless(Careful):
    def spoilt(self, decision, measurement):
        return replace(decision, issued_at_s=float("nan"))


class WrongStep(Careful):
    def spoilt(self, decision, measurement):
        return replace(decision, step=7)


class Infinite(Careful):
    def spoilt(self, decision, measurement):
        return self.with_kw(decision, decision.setpoints.p_kw + np.inf)


class WritesToTheMeasurement(Careful):
    def spoilt(self, decision, measurement):
        measurement.voltage_pu[:] = 0.0
        return decision


class ReusesItsArray(Careful):
    """One array for all decisions, overwritten at every step."""

    def step(self, measurement: Measurement) -> Decision:
        self.rest.p_kw[0] = measurement.step + 1.0
        return Decision(measurement.step, measurement.time_s, self.rest, Source.PLAN, "", None)


class Lists(Careful):
    """Plain lists, and the source as a text."""

    def step(self, measurement: Measurement) -> Decision:
        decision = super().step(measurement)
        lists: Any = Setpoints(decision.setpoints.p_kw.tolist(), decision.setpoints.q_kvar.tolist())
        return replace(decision, setpoints=lists, source="PLAN")


class KeepsTheMeasurement(Careful):
    """Looks at an earlier measurement again: it must be what it was."""

    def step(self, measurement: Measurement) -> Decision:
        if measurement.step:
            assert self.before == self.kept.voltage_pu.sum()
        self.kept, self.before = measurement, measurement.voltage_pu.sum()
        return super().step(measurement)
