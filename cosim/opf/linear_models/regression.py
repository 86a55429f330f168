"""Regression: a linear power flow learned from samples, after P. Li, Wu, Wan and Xu, 2022."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from cosim.model.site import Site
from cosim.model.timegrid import Horizon
from cosim.model.twin import OpenTwin
from cosim.opf.linear_models.regressors import Regressor
from cosim.opf.options import PlannerOptions
from cosim.plugins import Options, needs, options, seeded

if TYPE_CHECKING:
    from cosim.opf.linear_models.regression_planner import RegressionPlanner


class RegressionOptions(Options):
    """What a scenario may ask of this planner alone."""

    regressor: Regressor = Field(
        "svr", description="support-vector regression or least squares, both with a ridge term"
    )
    samples: PositiveInt = Field(600, description="exact flows to learn from; a quarter is held out", ge=40)
    ridge: PositiveFloat = Field(
        0.01, description="weight of the squared slopes against the sum of squared errors, standardised"
    )
    demand_share: PositiveFloat = Field(
        0.95, description="part of the demand's variance that its principal components keep", lt=1.0
    )
    retrain_every: NonNegativeInt = Field(0, description="plans between two trainings; 0 trains once")
    voltage_error_bound_pu: PositiveFloat = Field(
        0.005, description="no plan above this held-out error of the voltages, root of the mean square"
    )
    import_error_bound: PositiveFloat = Field(
        0.05, description="no plan above this held-out error of the import, part of the mean import"
    )


@needs("twin")
@options(RegressionOptions)
@seeded
def regression(
    site: Site,
    horizon: Horizon,
    common: PlannerOptions,
    twin: OpenTwin,
    *,
    options: RegressionOptions,
    seed: int = 0,
) -> RegressionPlanner:
    """Linear in the device powers by regression, for every feeder the twin covers."""
    from cosim.opf.linear_models.regression_planner import RegressionPlanner

    return RegressionPlanner(site, horizon, common, twin(), options, seed)
