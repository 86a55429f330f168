"""Batteries take up the surplus of PV over local load and give it back later."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from cosim.control.allowed import batteries_of, battery_range_kw, shared_out, with_batteries
from cosim.control.rule import RuleController
from cosim.devices.pv import PvRating
from cosim.errors import FormulationRefused
from cosim.model.arrays import FloatArray
from cosim.model.site import Site
from cosim.model.state import Measurement, Setpoints
from cosim.plugins import Options, needs, options


class SelfConsumptionOptions(Options):
    """Whose surplus it is."""

    scope: Literal["feeder", "bus"] = Field(
        "feeder", description="surplus of the whole feeder, or of each bus with a battery by itself"
    )


@needs("network")
@options(SelfConsumptionOptions)
class SelfConsumptionController(RuleController):
    """Charges batteries with PV energy that local load does not take, and covers load with it later.

    Measures, scope ``feeder``: import and power of the batteries under load and sun of the new step; they
    bring the import to zero as far as they can. Scope ``bus``: demand of the loads at rated voltage and
    power of the PV systems at the bus of each battery, without the network's losses; it needs the radial
    model of the feeder, which says where loads are. Assumes: nothing of later steps. PV systems run free,
    all else rests.

    Args:
        options: whose surplus.
    """

    def __init__(self, *, options: SelfConsumptionOptions) -> None:
        super().__init__()
        self._scope = options.scope
        self._load_share: FloatArray = np.zeros((0, 0))

    def start(self, site: Site) -> None:
        """Receive the facts of the site.

        Raises:
            FormulationRefused: scope ``bus`` on a feeder without radial model.
        """
        super().start(site)
        if self._scope == "bus":
            self._load_share = _load_shares(site)

    def setpoints(self, site: Site, measurement: Measurement) -> Setpoints:
        """What covers the load that PV leaves, or takes the surplus."""
        batteries = batteries_of(site)
        take_kw, give_kw = battery_range_kw(site, measurement)
        if self._scope == "feeder":
            open_kw = measurement.import_kw + float(measurement.p_kw[batteries].sum())
            return with_batteries(site, shared_out(open_kw, take_kw, give_kw))
        battery_kw = np.zeros(len(batteries))
        for bus, open_kw in zip(_buses(site), self._open_kw(site, measurement), strict=True):
            here = np.array([site.devices[at].bus == bus for at in batteries])
            battery_kw[here] = shared_out(float(open_kw), take_kw[here], give_kw[here])
        return with_batteries(site, battery_kw)

    def _open_kw(self, site: Site, measurement: Measurement) -> FloatArray:
        """Load without PV at each bus with batteries, negative for a surplus, shape (bus,)."""
        sun_kw = [
            sum(
                float(measurement.p_kw[at])
                for at, device in enumerate(site.devices)
                if isinstance(device, PvRating) and device.bus == bus
            )
            for bus in _buses(site)
        ]
        return np.asarray(self._load_share @ measurement.demand_kw - np.array(sun_kw, dtype=np.float64))


def _buses(site: Site) -> tuple[str, ...]:
    """Buses with batteries, each once, in the order of the devices."""
    return tuple(dict.fromkeys(site.devices[at].bus for at in batteries_of(site)))


def _load_shares(site: Site) -> FloatArray:
    """Part of each load at each bus with batteries, shape (bus, load)."""
    network = site.network
    if network is None:
        raise FormulationRefused(
            f"controller self_consumption with scope bus needs a radial feeder: {site.no_network_reason}"
        )
    row_of = {bus: row for row, bus in enumerate(_buses(site))}
    shares = np.zeros((len(row_of), len(site.loads)))
    entries = network.load_share
    for node, load, real in zip(entries.row, entries.column, entries.real, strict=True):
        row = row_of.get(network.nodes[node].partition(".")[0])
        if row is not None:
            shares[row, load] += real
    return shares
