"""The simulator's own controls in charge: StorageController for batteries, InvControl for PV systems."""

from __future__ import annotations

from pydantic import Field, PositiveFloat, model_validator

from cosim.control.idle import IdleController
from cosim.control.volt_var_watt import VOLT_VAR, Category
from cosim.model.engine_controls import EngineControls
from cosim.plugins import Options, commands_nothing, leaves_to_engine, needs, options


class OpenDssOptions(Options):
    """Settings of the two controls."""

    discharge_above_kw: PositiveFloat | None = Field(
        None, description="batteries discharge where more flows into the feeder; none: they rest"
    )
    charge_below_kw: float | None = Field(
        None, description="batteries charge where less does; needed with discharge_above_kw"
    )
    category: Category | None = Field(
        "B", description="volt-var curve of IEEE 1547-2018 for PV systems; null: no reactive power"
    )

    @model_validator(mode="after")
    def _both_or_none(self) -> OpenDssOptions:
        high, low = self.discharge_above_kw, self.charge_below_kw
        if (high is None) != (low is None):
            raise ValueError("give discharge_above_kw and charge_below_kw together, or neither")
        if high is not None and low is not None and low >= high:
            raise ValueError(f"charge_below_kw {low:g} is not below discharge_above_kw {high:g}")
        return self

    def engine_controls(self) -> EngineControls:
        """See :class:`cosim.model.engine_controls.SetsUpEngineControls`."""
        curve = () if self.category is None else VOLT_VAR[self.category]
        return EngineControls(self.discharge_above_kw, self.charge_below_kw, curve)


@needs()
@commands_nothing
@leaves_to_engine
@options(OpenDssOptions)
class OpenDssController(IdleController):
    """Leaves every device to controls of the simulator, which act within each power flow.

    Batteries of the scenario get one StorageController (peak shaving by the power at the head of the
    feeder), PV systems of the scenario one InvControl (volt-var by their own voltage). Devices that the
    master file defines keep the controls that it gives them. Set-points are those of rest, and not written.

    Args:
        options: settings of the two.
    """

    def __init__(self, *, options: OpenDssOptions) -> None:
        super().__init__()
        del options  # The plant reads them: the simulator is there.
