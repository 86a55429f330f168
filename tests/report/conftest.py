from __future__ import annotations

import pytest

from tests.report.records import PLANS, record_of, step


@pytest.fixture
def planned():
    return record_of([step(k, planned=PLANS[k]) for k in range(3)])


@pytest.fixture
def unplanned():
    return record_of([step(k) for k in range(3)], controller="idle", planner=None)
