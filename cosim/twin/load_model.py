"""Voltage dependence of loads: the eight load models of OpenDSS as one table of coefficients.

A leg is the part of a load or device between two nodes. P and Q are its powers at rated voltage, m is its
voltage in per unit of the rated voltage. The leg draws ``P fP(m) + j Q fQ(m)``. Each factor has the form
``A m² + B m + C + D m^x``, with one set of coefficients in each of four regions of m:

    m <= Vlowpu             constant impedance, m²
    Vlowpu < m <= Vminpu    linear current: its magnitude is a linear function of m (models 1, 3, 4, 5, 8)
    Vminpu < m <= Vmaxpu    the load model itself
    Vmaxpu < m              constant impedance

Models 2, 6 and 7 have a constant impedance in the second region too. Model 8 (ZIPV) is the weighted sum of
models 2, 5 and 1 in the upper three regions. In models 3, 4 and 6 a factor is discontinuous at Vminpu and
Vmaxpu, see :meth:`LoadModels.jumps`.

Source: equations of the OpenDSS Load element. The tests compare the resulting power flow with OpenDSS.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cosim.errors import FeederError
from cosim.model.arrays import BoolArray, FloatArray, IntArray

CONSTANT_POWER, CONSTANT_IMPEDANCE, MOTOR, EXPONENTS, CONSTANT_CURRENT, FIXED_Q, FIXED_X, ZIPV = range(1, 9)
"""OpenDSS load models 1 to 8 (MOTOR: constant P, quadratic Q; EXPONENTS: CVR; FIXED_X: Q by impedance)."""
REGIONS, PARTS, TERMS = 4, 2, 5
"""Voltage regions; active and reactive power; coefficients A, B, C, D and exponent x."""
HIGHEST_EDGE, LEAST_JUMP = 10.0, 1e-4
"""Upper bound (pu) of the region edges that ``jumps`` examines; smallest change of a factor it reports."""
Polynomial = tuple[float, float, float, float, float]
"""Coefficients A, B, C, D and exponent x of a factor in one region."""
Factor = tuple[Polynomial, Polynomial, Polynomial, Polynomial]
"""Coefficients of a factor in the four regions, in ascending order of voltage."""

_SQUARE: Polynomial = (1.0, 0.0, 0.0, 0.0, 0.0)
_LINEAR: Polynomial = (0.0, 1.0, 0.0, 0.0, 0.0)
_ONE: Polynomial = (0.0, 0.0, 1.0, 0.0, 0.0)
_IMPEDANCE: Factor = (_SQUARE, _SQUARE, _SQUARE, _SQUARE)


@dataclass(frozen=True)
class LoadModel:
    """Load model and voltage window shared by a group of loads.

    Attributes:
        model: number of the OpenDSS load model, 1 to 8.
        v_low, v_min, v_max: OpenDSS properties Vlowpu, Vminpu and Vmaxpu, per unit of the rated voltage.
        exponents: OpenDSS properties CVRwatts and CVRvars; used by model 4 only.
        zipv: OpenDSS property ZIPV: shares of constant impedance, current and power of P, the same of Q,
            and the cut-off voltage in per unit (0 for no cut-off); used by model 8 only.
    """

    model: int
    v_low: float
    v_min: float
    v_max: float
    exponents: tuple[float, float] = (1.0, 2.0)
    zipv: tuple[float, ...] = (0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0)

    def factors(self) -> tuple[Factor, Factor]:
        """Factors of active and reactive power.

        Raises:
            FeederError: there is no such model.
        """
        power, current = self._constant_power(), self._constant_current()
        below = _scaled(_SQUARE, 1.0 / self.v_min**2 if self.v_min else 0.0)
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
        at_least = 1.0 / self.v_min if self.v_min else 0.0
        return (_SQUARE, self._straight(at_least), _ONE, _scaled(_SQUARE, self._above(2)))

    def _constant_current(self) -> Factor:
        return (_SQUARE, self._straight(1.0), _LINEAR, _scaled(_SQUARE, self._above(1)))

    def _straight(self, current: float) -> Polynomial:
        """Factor ``m i(m)`` of a leg whose current i is linear in m, both in per unit.

        i is ``v_low`` at m = ``v_low`` (constant impedance) and ``current`` at m = ``v_min``.
        """
        width = self.v_min - self.v_low
        slope = (current - self.v_low) / width if width else 0.0
        return (slope, self.v_low * (1.0 - slope), 0.0, 0.0, 0.0)

    def _above(self, order: int) -> float:
        return self.v_max**-order if self.v_max else 1.0

    def _mixed(self, shares: Sequence[float]) -> Factor:
        parts = (_IMPEDANCE, self._constant_current(), self._constant_power())
        rows = []
        for region in range(REGIONS):
            terms = [_scaled(part[region], share) for part, share in zip(parts, shares, strict=True)]
            # Below Vlowpu, OpenDSS uses a constant impedance for all shares.
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
    """Sum of polynomials of degree two; their D must be zero, the exponent is not kept."""
    a, b, c, d, _ = (sum(column) for column in zip(*polynomials, strict=True))
    return (a, b, c, d, 0.0)


@dataclass(frozen=True)
class LoadModels:
    """The distinct load models of a feeder as arrays. ``law`` is the index of a load model in them.

    Attributes:
        edges: Vlowpu, Vminpu and Vmaxpu of each load model, shape (law, 3).
        terms: A, B, C, D and x by region, for active and for reactive power, shape (law, 4, 2, 5).
        drop_out: cut-off voltage (pu) of model 8, 0 for none, shape (law,). It is not part of ``terms``:
            :func:`cosim.twin.kernels.load_factor` applies it above Vlowpu.
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
            np.array([(law.v_low, law.v_min, law.v_max) for law in laws], dtype=np.float64).reshape(-1, 3),
            terms,
            np.array([law.drops_out_at for law in laws], dtype=np.float64),
        )

    def jumps(self) -> BoolArray:
        """Whether a factor is discontinuous at each region edge, shape (law, 3).

        OpenDSS chooses the coefficients outside the voltage window for another power than the load model
        draws at Vminpu and Vmaxpu: in model 3 for Q, in model 4 for exponents other than 0 (P and Q), in
        model 6 for Q. In models 6 and 7, P is discontinuous at Vlowpu. The cut-off is not examined.
        """
        apart = np.zeros_like(self.edges, dtype=bool)
        for law, edge in np.ndindex(*self.edges.shape):
            m = float(self.edges[law, edge])
            if 0.0 < m < HIGHEST_EDGE:
                below, above = (_value(self.terms[law, region], m) for region in (edge, edge + 1))
                apart[law, edge] = np.abs(below - above).max() > LEAST_JUMP
        return apart


def factors_at(law: LoadModel, m: FloatArray) -> FloatArray:
    """Factors of active and reactive power at some voltages, shape (voltage, 2)."""
    return factors_of(LoadModels.of([law]), np.zeros(len(m), dtype=np.int64), m)


def factors_of(models: LoadModels, law: IntArray, m: FloatArray) -> FloatArray:
    """Factors of active and reactive power of legs, each with its law and voltage, shape (leg, 2)."""
    region = (m[:, None] > models.edges[law]).sum(axis=1)
    each = [_value(models.terms[row, at], float(v)) for row, at, v in zip(law, region, m, strict=True)]
    return np.array(each).reshape(len(m), PARTS)


def _value(terms: FloatArray, m: float) -> FloatArray:
    """Factors of active and reactive power by one region's law."""
    a, b, c, d, exponent = terms.T
    value: FloatArray = a * m**2 + b * m + c + d * m**exponent
    return value


INVERTER = LoadModel(CONSTANT_POWER, 0.0, 0.0, 1e9)
"""A device holds its power at any voltage."""
