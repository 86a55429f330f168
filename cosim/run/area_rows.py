"""Rows of ``cosim inspect`` on how a feeder would be cut into areas."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from cosim.errors import NoRadialModel
from cosim.model.device import Device
from cosim.opf.distributed.areas import Areas
from cosim.opf.distributed.cut import cut_evenly
from cosim.run.assembly import bare_feeder

MOST_BUSES = 6


def area_rows(master: Path, found: Sequence[Device], count: int) -> Iterator[tuple[str, str]]:
    """Title and text of each area.

    Args:
        master: OpenDSS file.
        found: devices of the master.
        count: number of areas.

    Raises:
        FeederError: the feeder cannot be read or has no radial model.
        FormulationRefused: it cannot be cut into so many areas.
    """
    with bare_feeder(master) as feeder:
        site = feeder.site
    if site.network is None:
        raise NoRadialModel(f"areas: {site.no_network_reason}")
    areas = cut_evenly(site.network, 0, count)
    for position, area in enumerate(areas.areas):
        there = [device.name for device in found if device.bus in set(area.buses)]
        load_kw = float(site.load_kw[area.loads].sum())
        parts = [
            f"{len(area.nodes)} nodes at {len(area.buses)} buses ({_some(area.buses)})",
            f"{len(area.loads)} loads ({load_kw:.0f} kW)",
            f"{len(there)} devices" + (f" ({_some(there)})" if there else ""),
            _fed_by(areas, position, site.nodes),
        ]
        yield area.name, "; ".join(parts)


def _fed_by(areas: Areas, position: int, nodes: tuple[str, ...]) -> str:
    boundary = areas.upstream_of(position)
    if boundary is None:
        return "at the substation"
    at = ", ".join(nodes[node] for node in boundary.nodes)
    upstream = areas.areas[boundary.upstream].name
    return f"fed from {upstream} at {at} through {', '.join(boundary.branches)}"


def _some(names: Sequence[str]) -> str:
    more = f", {len(names) - MOST_BUSES} more" if len(names) > MOST_BUSES else ""
    return f"{', '.join(names[:MOST_BUSES])}{more}"
