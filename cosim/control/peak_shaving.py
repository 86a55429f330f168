"""Keep the import below a limit with what batteries hold, and fill them when there is room."""

from __future__ import annotations

from pydantic import Field, model_validator

from cosim.control.allowed import batteries_of, battery_range_kw, shared_out, with_batteries
from cosim.control.rule import RuleController
from cosim.model.site import Site
from cosim.model.state import Measurement, Setpoints
from cosim.plugins import Options, needs, options


class PeakShavingOptions(Options):
    """The two limits of the import."""

    limit_kw: float = Field(description="batteries discharge so that the import stays below this")
    recharge_below_kw: float = Field(description="batteries charge up to this import")

    @model_validator(mode="after")
    def _in_order(self) -> PeakShavingOptions:
        if self.recharge_below_kw > self.limit_kw:
            raise ValueError(
                f"recharge_below_kw {self.recharge_below_kw:g} is above limit_kw {self.limit_kw:g}: "
                "batteries would make the peaks that they shave"
            )
        return self


@needs()
@options(PeakShavingOptions)
class PeakShavingController(RuleController):
    """Discharges batteries above an import limit and recharges them below a second one.

    Measures: import and power of the batteries under the load of the new step, and stored energy. The
    import without batteries is the sum of the two; the batteries share what is beyond a limit in
    proportion to what each can do. Assumes: losses do not change with the batteries' power, so the import
    misses the limit by that change. PV systems run free, all else rests.

    Args:
        options: the limits.
    """

    def __init__(self, *, options: PeakShavingOptions) -> None:
        super().__init__()
        self._options = options

    def setpoints(self, site: Site, measurement: Measurement) -> Setpoints:
        """What brings the import back to the nearer limit."""
        without_kw = measurement.import_kw + float(measurement.p_kw[batteries_of(site)].sum())
        over_kw = max(without_kw - self._options.limit_kw, 0.0)
        room_kw = max(self._options.recharge_below_kw - without_kw, 0.0)
        take_kw, give_kw = battery_range_kw(site, measurement)
        return with_batteries(site, shared_out(over_kw - room_kw, take_kw, give_kw))
