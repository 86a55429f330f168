"""The IEEE 4 node test feeder with every connection of its transformer, as OpenDSS text.

Source of the data: W. H. Kersting, "Transformer test system", IEEE PES Distribution Test Feeders Working
Group (4 node feeder): an infinite bus of 12.47 kV, 2000 ft of line, a transformer of 6000 kVA (1 + j6 %),
2500 ft of line, a load of 5400 kW with power factor 0.9 (or 1275, 1800 and 2375 kW with 0.85, 0.9 and
0.95). The lines are given by their phase impedance matrices for four wires (wye) and three (delta).
"""

from __future__ import annotations

from dataclasses import dataclass

FOUR_WIRE = (
    "rmatrix=[0.4576|0.1560 0.4666|0.1535 0.1580 0.4615] "
    "xmatrix=[1.0780|0.5017 1.0482|0.3849 0.4236 1.0651] cmatrix=[0|0 0|0 0 0] units=mi"
)
THREE_WIRE = (
    "rmatrix=[0.4013|0.0953 0.4013|0.0953 0.0953 0.4013] "
    "xmatrix=[1.4133|0.8515 1.4133|0.7266 0.7802 1.4133] cmatrix=[0|0 0|0 0 0] units=mi"
)
WYE_LOADS = (1275.0, 0.85), (1800.0, 0.9), (2375.0, 0.95)


@dataclass(frozen=True)
class Connection:
    """Of the transformer: its windings in OpenDSS, and whether the secondary has three wires."""

    primary: str
    secondary: str
    floating_primary: bool = False

    @property
    def three_wire(self) -> bool:
        """Whether loads are connected between phases."""
        return self.secondary == "delta"


CONNECTIONS = {
    "gry_gry": Connection("wye", "wye"),
    "gry_d": Connection("wye", "delta"),
    "y_d": Connection("wye", "delta", floating_primary=True),
    "d_gry": Connection("delta", "wye"),
    "d_d": Connection("delta", "delta"),
}
STEPS = {"down": 4.16, "up": 24.9}
"""Secondary voltage in kV."""


def four_node(connection: str, step: str, *, balanced: bool) -> str:
    """The feeder as OpenDSS text."""
    how, kv = CONNECTIONS[connection], STEPS[step]
    buses = "n2.1.2.3.4 n3" if how.floating_primary else "n2 n3"
    line_2 = THREE_WIRE if how.three_wire else FOUR_WIRE
    return "\n".join(
        [
            "clear",
            f"new circuit.ieee4_{connection}_{step} basekv=12.47 bus1=n1 mvasc3=200000 mvasc1=200000",
            f"new linecode.four nphases=3 {FOUR_WIRE}",
            f"new linecode.two nphases=3 {line_2}",
            "new line.l1 bus1=n1 bus2=n2 linecode=four length=2000 units=ft",
            f"new transformer.t phases=3 windings=2 buses=({buses}) conns=({how.primary} {how.secondary})",
            f"~ kvs=(12.47 {kv}) kvas=(6000 6000) xhl=6 %rs=(0.5 0.5)",
            "new line.l2 bus1=n3 bus2=n4 linecode=two length=2500 units=ft",
            *_loads(how, kv, balanced=balanced),
            f"set voltagebases=[12.47 {kv}]",
            "calcvoltagebases",
            "solve",
            "",
        ]
    )


def _loads(how: Connection, kv: float, *, balanced: bool) -> list[str]:
    delta = "conn=delta" if how.three_wire else "conn=wye"
    if balanced:
        return [f"new load.l bus1=n4 phases=3 {delta} kv={kv} kw=5400 pf=0.9 vminpu=0.75"]
    nodes = ("1.2", "2.3", "3.1") if how.three_wire else ("1", "2", "3")
    each_kv = kv if how.three_wire else kv / 3**0.5
    return [
        f"new load.l{i} bus1=n4.{at} phases=1 {delta} kv={each_kv!r} kw={kw} pf={pf} vminpu=0.75"
        for i, (at, (kw, pf)) in enumerate(zip(nodes, WYE_LOADS, strict=True), start=1)
    ]
