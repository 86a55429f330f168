"""Gradient boosted trees, grown the same on every machine with the same packages."""

from __future__ import annotations

from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from cosim.model.arrays import FloatArray

LEVELS = (0.1, 0.5, 0.9)
LEAST_EXAMPLES = 20
"""With fewer, leaves of scikit-learn hold everything."""


class Trees:
    """Models of one quantity: one of the mean, or one for each of :data:`LEVELS`.

    Args:
        models: regressors of scikit-learn, fitted.
    """

    def __init__(self, models: list[Any]) -> None:
        self._models = models

    def predict(self, rows: FloatArray) -> FloatArray:
        """Values, shape (model, example); quantiles rise, as each example's are sorted.

        Source of the sorting: Chernozhukov et al., *Quantile and probability curves without crossing*,
        Econometrica 78(3), 2010.
        """
        with threadpool_limits(1, "openmp"):
            found = np.array([model.predict(rows) for model in self._models], dtype=np.float64)
        return np.sort(found, axis=0)


def fitted(
    rows: FloatArray, targets: FloatArray, *, trees: int, seed: int, quantiles: bool
) -> Trees | None:
    """Models of some examples; None where there are too few.

    Args:
        rows: features, shape (example, feature).
        targets: what came, NaN where that is not known, shape (example,).
        trees: rounds of boosting.
        seed: of scikit-learn.
        quantiles: one model for each of :data:`LEVELS` instead of one of the mean.
    """
    # Takes long to import, and only this forecaster needs it.
    from sklearn.ensemble import HistGradientBoostingRegressor

    known = np.isfinite(targets)
    if known.sum() < LEAST_EXAMPLES:
        return None
    rows, targets = rows[known], targets[known]
    # scikit-learn cannot bin a feature that is never known; a constant one is never split at.
    rows[:, np.isnan(rows).all(axis=0)] = 0.0
    losses: list[dict[str, Any]] = (
        [{"loss": "quantile", "quantile": level} for level in LEVELS] if quantiles else [{}]
    )
    models = [
        HistGradientBoostingRegressor(max_iter=trees, early_stopping=False, random_state=seed, **loss)
        for loss in losses
    ]
    with threadpool_limits(1, "openmp"):
        return Trees([model.fit(rows, targets) for model in models])
