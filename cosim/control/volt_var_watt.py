"""Autonomous inverters: volt-var and volt-watt curves of IEEE 1547-2018 at each inverter by itself."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from cosim.control.allowed import batteries_of
from cosim.control.inverter_nodes import mean_voltage_pu, nodes_of_devices
from cosim.control.rule import RuleController
from cosim.control.time_of_use import TimeOfUseOptions, scheduled_kw
from cosim.devices.pv import PvRating
from cosim.devices.storage import StorageRating
from cosim.model.arrays import FloatArray, IntArray
from cosim.model.site import Site
from cosim.model.state import Measurement, Setpoints
from cosim.plugins import Options, needs, options

Category = Literal["A", "B"]
Curve = tuple[tuple[float, float], ...]

VOLT_VAR: dict[Category, Curve] = {
    "A": ((0.90, 0.25), (1.00, 0.0), (1.00, 0.0), (1.10, -0.25)),
    "B": ((0.92, 0.44), (0.98, 0.0), (1.02, 0.0), (1.08, -0.44)),
}
"""Voltage in pu and reactive power as a share of the apparent power rating, positive injected.

Source: IEEE 1547-2018, Table 8, default settings of the voltage-reactive power mode with V_Ref = V_N."""
VOLT_WATT: Curve = ((1.06, 1.0), (1.10, 0.2))
"""Voltage in pu and largest active power as a share of its rating, for both categories.

Source: IEEE 1547-2018, Table 10, default settings of the voltage-active power mode; P2 is the lesser of
0.2 P_rated and P_min, and P_min is not known here."""


class VoltVarWattOptions(Options):
    """Which curves, and what the batteries do beside them."""

    category: Category = Field("B", description="of the standard; decides the volt-var curve")
    volt_var: bool = Field(True, description="whether inverters follow the volt-var curve")
    volt_watt: bool = Field(True, description="whether inverters follow the volt-watt curve")
    response: float = Field(
        0.5, gt=0, le=1, description="part of the way to its curve that an inverter goes in a step"
    )
    schedule: TimeOfUseOptions | None = Field(
        None, description="of the batteries, options of time_of_use; none: they rest"
    )


def on_curve(curve: Curve, voltage_pu: FloatArray) -> FloatArray:
    """Values of a piecewise linear curve, constant beyond its ends."""
    at, value = zip(*curve, strict=True)
    return np.asarray(np.interp(voltage_pu, at, value))


@needs()
@options(VoltVarWattOptions)
class VoltVarWattController(RuleController):
    """Each inverter of a battery or PV system follows volt-var and volt-watt curves by its own voltage.

    Measures: the mean voltage of each inverter's own phases at the start of a step, in per unit of the
    nominal voltage, and the inverter's reactive power. Assumes: nothing; no inverter knows of another.
    Reactive power goes before active power. In the field an inverter reaches its curve within seconds and
    the loop with the feeder settles within a step; here it is asked once per step and goes ``response`` of
    the way, because whole ways would swing where many inverters act on one voltage.

    Args:
        options: the curves and the schedule.
    """

    def __init__(self, *, options: VoltVarWattOptions) -> None:
        super().__init__()
        self._options = options
        self._nodes: tuple[IntArray, ...] = ()
        self._share: FloatArray = np.zeros(0)

    def start(self, site: Site) -> None:
        """Receive the facts of the site."""
        super().start(site)
        self._nodes = nodes_of_devices(site)
        self._share = np.ones(len(site.devices))

    def state(self) -> FloatArray:
        """Active power that the volt-watt curve leaves each device, as a share of its rating."""
        return self._share.copy()

    def restore(self, state: object) -> None:
        """See :class:`cosim.model.roles.Resumable`."""
        self._share = np.array(state, dtype=np.float64)

    def setpoints(self, site: Site, measurement: Measurement) -> Setpoints:
        """One move of each inverter towards its curves."""
        chosen, own = self._options, Setpoints.idle(site)
        voltage_pu = mean_voltage_pu(self._nodes, measurement)
        kva = np.array([device.kva for device in site.devices], dtype=np.float64)
        q_kvar = np.zeros(len(site.devices))
        if chosen.volt_var:
            target = kva * on_curve(VOLT_VAR[chosen.category], voltage_pu)
            q_kvar = measurement.q_kvar + chosen.response * (target - measurement.q_kvar)
        if chosen.volt_watt:
            self._share = self._share + chosen.response * (on_curve(VOLT_WATT, voltage_pu) - self._share)
        p_kw = own.p_kw.copy()
        if chosen.schedule is not None:
            p_kw[batteries_of(site)] = scheduled_kw(chosen.schedule, site, measurement)
        for at, device in enumerate(site.devices):
            if not isinstance(device, PvRating | StorageRating):
                q_kvar[at] = 0.0
                continue
            least, most = device.kvar_range
            q_kvar[at] = min(max(q_kvar[at], least), most)
            beside_kw = float(np.sqrt(max(device.kva**2 - q_kvar[at] ** 2, 0.0)))
            p_kw[at] = min(p_kw[at], self._share[at] * device.kw, beside_kw)
            p_kw[at] = max(p_kw[at], -beside_kw)
        return Setpoints(p_kw, q_kvar)
