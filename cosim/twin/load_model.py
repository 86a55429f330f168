"""How the power of a load follows its voltage: every load model of OpenDSS as one table.

With m the voltage of a leg over its rated voltage, a leg draws ``P fP(m) + j Q fQ(m)``, and in each of
four regions of m the factor is ``A m² + B m + C + D m^x``:

    m <= vlow          an impedance: m²
    vlow < m <= vmin   the magnitude of the current falls on a straight line
    vmin < m <= vmax   the model as named
    vmax < m           an impedance that draws at vmax what the model says there

Source: equations of the engine's load element (constant power, impedance, current, motor, exponents,
fixed reactive power, ZIPV), held against the engine's own currents in the tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cosim.errors import FeederError
from cosim.model.arrays import BoolArray, FloatArray

CONSTANT_POWER, CONSTANT_IMPEDANCE, MOTOR, EXPONENTS, CONSTANT_CURRENT, FIXED_Q, FIXED_X, ZIPV = range(1, 9)
REGIONS, PARTS, TERMS = 4, 2, 5
HIGHEST_EDGE, LEAST_JUMP = 10.0, 1e-4
"""Edges of laws beyond this voltage are none; smaller steps of the factor are rounding."""
Polynomial = tuple[float, float, float, float, float]
Factor = tuple[Polynomial, Polynomial, Polynomial, Polynomial]

_SQUARE: Polynomial = (1.0, 0.0, 0.0, 0.0, 0.0)
_LINEAR: Polynomial = (0.0, 1.0, 0.0, 0.0, 0.0)
_ONE: Polynomial = (0.0, 0.0, 1.0, 0.0, 0.0)
_IMPEDANCE: Factor = (_SQUARE, _SQUARE, _SQUARE, _SQUARE)


@dataclass(frozen=True)
class LoadModel:
    """The law of one kind of load.

    Attributes:
        model: number of the engine's load model.
        low, least, most: the voltages vlow, vmin and vmax, per unit of the rating.
        exponents: of active and reactive power, for the model with exponents.
        zipv: shares of impedance, current and power for P, then for Q, then the voltage below which
            the load drops out (0 is never); for the model ZIPV.
    """

    model: int
    low: float
    least: float
    most: float
    exponents: tuple[float, float] = (1.0, 2.0)
    zipv: tuple[float, ...] = (0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0)

    def factors(self) -> tuple[Factor, Factor]:
        """Factors of active and reactive power.

        Raises:
            FeederError: there is no such model.
        """
        power, current = self._constant_power(), self._constant_current()
        below = _scaled(_SQUARE, 1.0 / self.least**2 if self.least else 0.0)
        fixed_p: Factor = (_SQUARE, below, _ONE, power[3])
        p, q = (_power_of(exponent) for exponent in self.exponents)
        factors: dict[int, tuple[Factor, Factor]] = {
            CONSTANT_POWER: (power, power),
            CONSTANT_IMPEDANCE: (_IMPEDANCE, _IMPEDANCE),
            MOTOR: (power, (power[0], power[1], _SQUARE, power[3])),
            EXPONENTS: ((power[0], power[1], p, power[3]), (power[0], power[1], q, power[3])),
            CONSTANT_CURRENT: (current, current),
            FIXED_Q: (fixed_p, (_SQUARE, _SQUARE, _ONE, _SQUARE)),
            FIXED_X: (fixed_p, (_SQUARE, _SQUARE, _SQUARE, _SQUARE)),
            ZIPV: (self._mixed(self.zipv[0:3]), self._mixed(self.zipv[3:6])),
        }
        if self.model not in factors:
            raise FeederError(f"the engine has no load model {self.model}; use 1 to 8")
        return factors[self.model]

    @property
    def drops_out_at(self) -> float:
        """Voltage below which the load is off; 0 is never."""
        return self.zipv[6] if self.model == ZIPV else 0.0

    def _constant_power(self) -> Factor:
        at_least = 1.0 / self.least if self.least else 0.0
        return (_SQUARE, self._straight(at_least), _ONE, _scaled(_SQUARE, self._above(2)))

    def _constant_current(self) -> Factor:
        return (_SQUARE, self._straight(1.0), _LINEAR, _scaled(_SQUARE, self._above(1)))

    def _straight(self, current: float) -> Polynomial:
        """Current from ``vlow`` at vlow to ``current`` at vmin, in units of the rated current."""
        width = self.least - self.low
        slope = (current - self.low) / width if width else 0.0
        return (slope, self.low * (1.0 - slope), 0.0, 0.0, 0.0)

    def _above(self, order: int) -> float:
        return self.most**-order if self.most else 1.0

    def _mixed(self, shares: Sequence[float]) -> Factor:
        parts = (_IMPEDANCE, self._constant_current(), self._constant_power())
        rows = []
        for region in range(REGIONS):
            terms = [_scaled(part[region], share) for part, share in zip(parts, shares, strict=True)]
            # Below vlow the engine knows one impedance, whatever the shares.
            rows.append(_SQUARE if region == 0 else _added(terms))
        return rows[0], rows[1], rows[2], rows[3]


def _power_of(exponent: float) -> Polynomial:
    if exponent == 1.0:
        return _LINEAR
    return _SQUARE if exponent == 2.0 else (0.0, 0.0, 0.0, 1.0, exponent)


def _scaled(polynomial: Polynomial, by: float) -> Polynomial:
    a, b, c, d, exponent = polynomial
    return (a * by, b * by, c * by, d * by, exponent)


def _added(polynomials: Sequence[Polynomial]) -> Polynomial:
    a, b, c, d, _ = (sum(column) for column in zip(*polynomials, strict=True))
    return (a, b, c, d, 0.0)


@dataclass(frozen=True)
class LoadModels:
    """The laws of a feeder as arrays.

    Attributes:
        edges: vlow, vmin and vmax of each law, shape (law, 3).
        terms: A, B, C, D and x by region, for active and for reactive power, shape (law, 4, 2, 5).
        drop_out: voltage below which a load is off, shape (law,).
    """

    edges: FloatArray
    terms: FloatArray
    drop_out: FloatArray

    @classmethod
    def of(cls, laws: Sequence[LoadModel]) -> LoadModels:
        """Tables of some laws, in their order."""
        terms = np.zeros((len(laws), REGIONS, PARTS, TERMS))
        for row, law in enumerate(laws):
            for part, factor in enumerate(law.factors()):
                terms[row, :, part] = factor
        return cls(
            np.array([(law.low, law.least, law.most) for law in laws], dtype=np.float64).reshape(-1, 3),
            terms,
            np.array([law.drops_out_at for law in laws], dtype=np.float64),
        )

    def jumps(self) -> BoolArray:
        """Which edges the power of a law jumps at, shape (law, 3).

        Below vmin and above vmax the engine goes on as if the power at the edge were the rated one,
        which it is not where the model has exponents or a fixed reactive power.
        """
        apart = np.zeros_like(self.edges, dtype=bool)
        for law, edge in np.ndindex(*self.edges.shape):
            m = float(self.edges[law, edge])
            if 0.0 < m < HIGHEST_EDGE:
                below, above = (_value(self.terms[law, region], m) for region in (edge, edge + 1))
                apart[law, edge] = np.abs(below - above).max() > LEAST_JUMP
        return apart


def _value(terms: FloatArray, m: float) -> FloatArray:
    """Factors of active and reactive power by one region's law."""
    a, b, c, d, exponent = terms.T
    value: FloatArray = a * m**2 + b * m + c + d * m**exponent
    return value


INVERTER = LoadModel(CONSTANT_POWER, 0.0, 0.0, 1e9)
"""A device holds its power at any voltage."""
