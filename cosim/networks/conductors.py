"""A small catalogue of overhead conductors, smallest first.

Source: W. H. Kersting, *Distribution System Modeling and Analysis*, CRC Press, appendix A (ACSR,
resistance at 50 °C and 60 Hz, geometric mean radius, ampacity), and its pole-top spacing 500 of the
IEEE test feeders (phases 2.5, 4.5 and 7.0 ft apart). Checks: 336,400 CM on that spacing is the
0.306 + j0.627 ohm/mile of the IEEE 123 node feeder's configurations 1 to 6, 556,500 CM the phase
conductor of the IEEE 13 node feeder; the radii of #2, 1/0 and 4/0 agree with the conductor data of the
IEEE 8500 node feeder.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cosim.model.arrays import FloatArray, IntArray

MILE_M = 1609.344
SPACING_FT = (2.5 * 4.5 * 7.0) ** (1 / 3)
"""Geometric mean distance between the phases."""


@dataclass(frozen=True)
class Catalogue:
    """Conductors in ascending order of ampacity, shape (conductor,) each.

    Attributes:
        names: size in AWG or circular mils.
        r_ohm_per_mile: resistance of one phase.
        gmr_ft: geometric mean radius.
        normal_amps: ampacity.
    """

    names: tuple[str, ...]
    r_ohm_per_mile: FloatArray
    gmr_ft: FloatArray
    normal_amps: FloatArray

    @property
    def ohm_per_m(self) -> tuple[FloatArray, FloatArray]:
        """Positive-sequence resistance and reactance (Carson, 60 Hz), shape (conductor,) each."""
        x_ohm_per_mile = 0.12134 * np.log(SPACING_FT / self.gmr_ft)
        return self.r_ohm_per_mile / MILE_M, x_ohm_per_mile / MILE_M

    def smallest_for(self, amps: FloatArray, loading: float) -> IntArray:
        """The smallest conductor whose ampacity times ``loading`` carries each current.

        Where none does, it is the largest.
        """
        at = np.searchsorted(loading * self.normal_amps, amps)
        return np.minimum(at, len(self.names) - 1).astype(np.int64)


ACSR = Catalogue(
    names=("#2 6/1", "1/0 6/1", "4/0 6/1", "336,400 26/7", "556,500 26/7"),
    r_ohm_per_mile=np.array([1.69, 1.12, 0.592, 0.306, 0.1859]),
    gmr_ft=np.array([0.00418, 0.00446, 0.00814, 0.0244, 0.0313]),
    normal_amps=np.array([180.0, 230.0, 340.0, 530.0, 730.0]),
)
