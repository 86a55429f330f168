"""Curves given by points: efficiency over power, power over temperature."""

from __future__ import annotations


def along(points: tuple[tuple[float, float], ...], x: float) -> float:
    """Value of a curve of straight pieces; the first and the last piece go on beyond the points.

    Source: OpenDSS XYCurve.
    """
    if len(points) < 2:
        return points[0][1]
    after = next((i for i, (at, _) in enumerate(points) if at >= x), len(points) - 1)
    (x0, y0), (x1, y1) = points[max(after, 1) - 1], points[max(after, 1)]
    return y0 + (y1 - y0) * (x - x0) / (x1 - x0)
