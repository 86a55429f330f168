"""A network whose import, losses and voltages are affine in the device powers; the slopes are data.

    import  = import_0  + sum_d (a_p dp + a_q dq)       losses likewise
    voltage = voltage_0 + sum_d (s_p dp + s_q dq)       in rows, where a limit is near;
                                                        currents of lines likewise

Every method that linearises a power flow fills in its own values and slopes; the program stays the same.
A box about the operating point can keep steps short.
"""

from __future__ import annotations

import cvxpy as cp
import numpy as np

from cosim.devices.bounds import each
from cosim.model.arrays import ComplexArray, FloatArray
from cosim.model.forecast import Forecast
from cosim.model.site import Site
from cosim.model.state import Measurement
from cosim.model.timegrid import Horizon
from cosim.model.twin import Quantity
from cosim.opf.devices.energy_block import EnergyBlock
from cosim.opf.devices.source_block import SourceBlock
from cosim.opf.expected import Expected
from cosim.opf.linear_models.limit_rows import LimitRows
from cosim.opf.linear_models.model import LinearModel, Prediction
from cosim.opf.options import PlannerOptions
from cosim.opf.program import EmptyBlock
from cosim.opf.tangent.active_limits import Bound

ROW_UNIT = 0.01
"""Unit of the rows, pu or share of a rating: keeps their coefficients near one."""
FAR_AWAY = 1e3
"""Stands for no bound, in units of the program."""
KNOWN = frozenset({"losses_per_kwh"})
"""Wishes of :meth:`PlannerOptions.asked` that are fulfilled here; ``losses_at_price`` is for models whose
import counts no losses."""


class AffineNetwork(EmptyBlock):
    """Network equations and soft limits of one compiled program.

    Args:
        site: facts of the plant.
        energy, sources: device blocks.
        horizon: the periods.
        options: prices and limits.
        bounds: of the network, that the method can keep.
        line_kva: what a share of one means for each conductor of a line, kVA.
        boxed: whether steps can be kept short.

    Attributes:
        rows: limits that are in the program.
        exact: what the twin says of the plan; None where nobody asked it.
    """

    def __init__(
        self,
        site: Site,
        energy: EnergyBlock,
        sources: SourceBlock,
        horizon: Horizon,
        options: PlannerOptions,
        *,
        bounds: tuple[Bound, ...],
        line_kva: FloatArray,
        boxed: bool = False,
    ) -> None:
        super().__init__()
        self.caution, self._line_kva = "", line_kva
        self._limits_lines = any(bound.quantity is Quantity.LINE for bound in bounds)
        known = KNOWN | {"limits.lines"} if self._limits_lines else KNOWN
        self.blind_to = tuple(option for option in options.asked() if option not in known)
        self.exact: Prediction | None = None
        self._kva, self._split = each(site.devices, "kva"), len(energy.ratings)
        self.rows = LimitRows(bounds, horizon, self._kva)
        self._slack_pu, self._over_kw = 0.0, 0.0
        self._model: LinearModel | None = None
        parts = [(energy.change_kw, energy.kvar)] if energy.ratings else []
        parts += [(sources.change_kw, sources.kvar)] if sources.ratings else []
        share = 1.0 / self._kva[:, None]
        # Powers per unit of the rating: all coefficients are near one.
        self._p = cp.multiply(share, cp.vstack([kw for kw, _ in parts]))
        self._q = cp.multiply(share, cp.vstack([kvar for _, kvar in parts]))
        periods = len(horizon)
        self._unit_kw = float(self._kva.sum())
        self._import_p, self._import_q, change = self._affine(periods)
        # A variable of its own: a price times a slope times a power would be no affine data.
        self._imported = cp.Variable(periods)
        self.constraints.append(self._imported == change)
        self.import_kw = self._unit_kw * self._imported
        self._losses: tuple[cp.Parameter, cp.Parameter] | None = None
        if options.objective.losses_per_kwh:
            losses_p, losses_q, losses = self._affine(periods)
            self._losses = losses_p, losses_q
            self.cost += options.objective.losses_per_kwh * self._unit_kw * (horizon.hours @ losses)
        self._row_price = options.limits.voltage_penalty_per_pu_h or 1.0
        self._add_rows(self._row_price * horizon.hours)
        self._box: tuple[cp.Parameter, ...] = ()
        if boxed:
            self._add_box()

    def _affine(self, periods: int) -> tuple[cp.Parameter, cp.Parameter, cp.Expression]:
        """Slopes by all devices as parameters, and what they add up to in every period."""
        p, q = (cp.Parameter((len(self._kva), periods)) for _ in range(2))
        return p, q, cp.sum(cp.multiply(p, self._p) + cp.multiply(q, self._q), axis=0)

    def _add_rows(self, price: FloatArray) -> None:
        """Places for limits of every period; one without a row holds for anything."""
        periods = len(price)
        self._places: list[tuple[cp.Parameter, cp.Parameter, cp.Parameter]] = []
        for _ in range(self.rows.places):
            p, q, change = self._affine(periods)
            room, slack = cp.Parameter(periods), cp.Variable(periods, nonneg=True)
            self._places.append((p, q, room))
            self.constraints.append(change - slack <= room)
            self.cost += ROW_UNIT * (price @ slack)

    def _add_box(self) -> None:
        self._box = tuple(cp.Parameter(self._p.shape) for _ in range(4))
        p_low, p_high, q_low, q_high = self._box
        self.constraints += [self._p >= p_low, self._p <= p_high, self._q >= q_low, self._q <= q_high]

    # --- data ---------------------------------------------------------------------------------------

    def update(self, measurement: Measurement, forecast: Forecast) -> FloatArray:
        """Begin a plan: batteries at rest, PV uncurtailed; the model comes by :meth:`set_model`."""
        del measurement
        self.exact, self.caution = None, ""
        self.rows.clear()
        self._base_kva = forecast.available_kw.astype(np.complex128)
        self._base_kva[:, : self._split] = 0.0
        return np.zeros(len(self._base_kva))

    def set_model(self, model: LinearModel) -> FloatArray:
        """Take values and slopes of a linear model.

        Returns:
            The import without change, shape (period,).
        """
        self._model = model
        self._base = model.predict(self._base_kva)
        slopes = [(self._import_p, self._import_q, model.import_slope)]
        if self._losses is not None:
            slopes.append((*self._losses, model.losses_slope))
        for p, q, slope in slopes:
            p.value, q.value = (part.T * self._kva[:, None] / self._unit_kw for part in slope)
        self.set_rows()
        return np.asarray(self._base.import_kva.real)

    def show_import(self, import_kw: FloatArray) -> None:
        """Let the program's import be that of the plan, shape (period,): its limits are judged by it."""
        self._imported.value = (import_kw - self._base.import_kva.real) / self._unit_kw

    def set_rows(self) -> None:
        """Write the rows into their places."""
        rows, model = self.rows, self._known_model
        slope_p, slope_q = rows.slope(model)
        # A row is as long as its price: the slacks of all cost the same.
        length = rows.price() / self._row_price / ROW_UNIT
        room = -rows.beyond(self._base) * length
        shape, periods = self._p.shape, self._p.shape[1]
        data = [(np.zeros(shape), np.zeros(shape), np.full(periods, FAR_AWAY)) for _ in self._places]
        taken = np.zeros(periods, dtype=np.int64)
        for i, period in enumerate(rows.period):
            p, q, limit = data[taken[period]]
            taken[period] += 1
            scale = length[i] * self._kva
            p[:, period], q[:, period], limit[period] = slope_p[i] * scale, slope_q[i] * scale, room[i]
        for place, values in zip(self._places, data, strict=True):
            for parameter, value in zip(place, values, strict=True):
                parameter.value = value

    def set_box(self, about_kva: ComplexArray, width_p: FloatArray, width_q: FloatArray) -> None:
        """Keep powers near those of an operating point.

        Args:
            about_kva: shape (period, device).
            width_p, width_q: half the width, share of the rating, same shape.
        """
        centre = ((about_kva - self._base_kva) / self._kva).T
        p_low, p_high, q_low, q_high = self._box
        p_low.value, p_high.value = centre.real - width_p.T, centre.real + width_p.T
        q_low.value, q_high.value = centre.imag - width_q.T, centre.imag + width_q.T

    @property
    def _known_model(self) -> LinearModel:
        if self._model is None:
            raise RuntimeError("a model must be set first")
        return self._model

    # --- answers ------------------------------------------------------------------------------------

    def predict(self, device_kva: ComplexArray) -> Prediction:
        """What the linear model says of injections, shape (period, device)."""
        return self._known_model.predict(device_kva)

    def expected(self, energy_kva: ComplexArray, source_kva: ComplexArray) -> Expected:
        """See :class:`NetworkBlock`: the exact flow where there is one, else what the model says."""
        said = self.exact or self.predict(np.concatenate([energy_kva, source_kva]).T)
        self._slack_pu = float(self.rows.excess(said, Quantity.VOLTAGE).max(initial=0.0))
        if self._limits_lines:
            over = self.rows.excess(said, Quantity.LINE) * self._line_kva
            self._over_kw = float(over.max(initial=0.0))
        return said

    def slack_pu(self) -> float:
        """Largest voltage violation the plan expects."""
        return self._slack_pu

    def over_kw(self) -> float:
        """Largest power over the rating of a line that the plan expects, kVA of a conductor."""
        return self._over_kw

    def relaxation_gap(self) -> FloatArray | None:
        """A linear model relaxes nothing."""
        return None
