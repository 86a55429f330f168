"""The balanced single-phase equivalent of an OpenDSS master."""

from __future__ import annotations

from pathlib import Path

from cosim.errors import FeederError
from cosim.networks.balanced import BalancedFeeder
from cosim.networks.equivalent import balanced_equivalent
from cosim.run.assembly import bare_feeder


def equivalent_of(
    master: Path, *, name: str, source_pu: float = 1.03, capacitors: bool = True
) -> BalancedFeeder:
    """The equivalent of a three-phase radial feeder at its nominal load, without devices.

    Args:
        master: OpenDSS master file.
        name: of the equivalent.
        source_pu: voltage of its substation.
        capacitors: whether shunt capacitors are kept, as constant kvar.

    Raises:
        FeederError: the feeder cannot be read, or is meshed.
    """
    with bare_feeder(master) as feeder:
        site, nominal = feeder.site, feeder.measure(0)
    if site.network is None:
        raise FeederError(f"{master}: {site.no_network_reason}")
    return balanced_equivalent(
        site.network,
        name=name,
        title=f"Balanced single-phase equivalent of {master.name}",
        load_kw=nominal.demand_kw,
        load_kvar=nominal.demand_kvar,
        source_pu=source_pu,
        capacitors=capacitors,
        feeder_map=site.feeder_map,
    )
