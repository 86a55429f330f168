"""Which failed runs of a campaign are to be run again."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

from cosim.errors import ScenarioError
from cosim.experiments.campaign.plan import CampaignPlan
from cosim.experiments.campaign.row import RunRow

MOST_NEAR = 3


def keys_again(
    plan: CampaignPlan, rows: Mapping[str, RunRow], names: Sequence[str], *, every: bool
) -> frozenset[str] | None:
    """Keys of the failed runs that are to be run again; None where nobody asks for that.

    Args:
        plan: of the campaign.
        rows: of the runs that are finished, by key.
        names: of single runs, each the name or the key of one.
        every: whether all that have failed are wanted.

    Raises:
        ScenarioError: a name stands for no run of the campaign, or for one that has not failed.
    """
    if not names and not every:
        return None
    failed = {key for key, row in rows.items() if row.status == "failed"}
    keys = {name: {run.key for run in plan.runs if name in (run.name, run.key)} for name in names}
    among = list(dict.fromkeys(run.name for run in plan.runs if run.key in failed))
    problems = [
        f"{name!r} {_why_not(name, among, known=bool(found), finished=bool(found & rows.keys()))}"
        for name, found in keys.items()
        if not found & failed
    ]
    if problems:
        raise ScenarioError("retry", problems)
    wanted = {key for found in keys.values() for key in found}
    return frozenset(failed if every else failed & wanted)


def _why_not(name: str, failed: list[str], *, known: bool, finished: bool) -> str:
    if finished:
        return "has not failed but is complete; only failed runs are run again"
    if known:
        return "is not computed yet; run the campaign without retry"
    if not failed:
        return "is no run of the campaign, of which none has failed"
    near = difflib.get_close_matches(name, failed, n=MOST_NEAR, cutoff=0.0)
    return f"is no run of the campaign; nearest of those that failed: {'; '.join(map(repr, near))}"
