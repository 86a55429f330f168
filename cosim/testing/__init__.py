"""Conformance kits for plug-ins: each finds the usual mistakes and says what to do.

    from cosim import testing
    assert not testing.check_controller(MyController)

Every kit returns sentences, one per mistake; an empty tuple means that none was found. The plug-in meets a
real feeder (by default ``ieee13``, compiled in this process), not a stand-in.
"""

from cosim.testing.controllers import check_controller
from cosim.testing.devices import check_device
from cosim.testing.forecasters import check_forecaster
from cosim.testing.planners import check_planner

__all__ = ["check_controller", "check_device", "check_forecaster", "check_planner"]
