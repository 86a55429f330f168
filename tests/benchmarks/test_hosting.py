"""The hosting level of a campaign, against cases counted by hand."""

from __future__ import annotations

import math

import pandas as pd
import pytest

pytest.importorskip("benchmarks", reason="benchmarks are not part of an installed package")

from benchmarks.hosting import BATTERIES, CONTROLLER, FIGURES, PV, by_share, hosting_levels, markdown


def runs(courses: dict[str, list[tuple[float, list[float], list[float]]]]) -> pd.DataFrame:
    """Complete runs: by controller, (share of PV, violation per seed, overloaded hours per seed)."""
    return pd.DataFrame(
        [
            dict.fromkeys(FIGURES, 7.0)
            | {CONTROLLER: controller, BATTERIES: 0.15, PV: share, "seed": seed}
            | {"violation_node_h": violation, "overloaded_h": overloaded}
            for controller, course in courses.items()
            for share, violations, hours in course
            for seed, (violation, overloaded) in enumerate(zip(violations, hours, strict=True))
        ]
    )


def test_the_level_is_the_last_share_before_the_first_violation_of_any_seed():
    found = hosting_levels(
        by_share(
            runs(
                {
                    # Out of order, and 0.6 keeps the limits again: that does not count.
                    "one": [
                        (0.6, [0, 0], [0, 0]),
                        (0.1, [0, 0], [0, 0]),
                        (0.4, [0, 2], [0, 0]),
                        (0.2, [0, 0], [0, 1]),
                    ],
                    "none": [(0.1, [1, 0], [0, 0]), (0.2, [0, 0], [0, 0])],
                }
            )
        )
    ).set_index(CONTROLLER)
    assert (found.loc["one", "voltage"], found.loc["one", "voltage and lines"]) == (0.2, 0.1)
    assert math.isnan(found.loc["none", "voltage"])


def test_seeds_within_limits_are_counted_and_means_are_taken_over_seeds():
    table = by_share(runs({"one": [(0.1, [0, 3, 6], [2, 0, 1])]}))
    (row,) = table.to_dict("records")
    assert (row["seeds"], row["seeds within voltage"], row["seeds within voltage and lines"]) == (3, 1, 0)
    assert (row["violation_node_h"], row["overloaded_h"]) == (3.0, 1.0)
    assert 0.0 <= row["violation_node_h_low"] <= 3.0 <= row["violation_node_h_high"] <= 6.0


def test_the_page_has_a_row_for_every_share():
    frame = runs({"one": [(0.1, [0, 0], [0, 0]), (0.2, [1, 1], [0, 0])]})
    text = markdown(frame, by_share(frame))
    assert "| one | 0.15 | 0.1 | 0.1 |" in text
    assert text.count("| one | 0.15 | 0.2 |") == 1
    assert "0 of 2" in text
