"""Which route solves a program, and what happens when it does not.

Every answer is judged by its violations and by the gap to a bound that its multipliers prove; the next
route runs where one is too large.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

from cosim.errors import ContractError, SolverMissing
from cosim.opf.structured_qp.certificate import cost_scale, no_plan
from cosim.opf.structured_qp.device_blocks import DeviceBlocks
from cosim.opf.structured_qp.reachable_energy import prepared
from cosim.opf.structured_qp.sparse_route import solve_clarabel, solve_piqp
from cosim.opf.structured_qp.step_program import Fallback, StepAnswer, StepProgram

logger = logging.getLogger(__name__)

SolverName = Literal["auto", "piqp", "clarabel", "structured"]
ROUTES: tuple[str, ...] = ("structured", "piqp", "clarabel")
"""In the order in which they follow each other."""
WORST_RESIDUAL = 1e-6
"""Violation relative to rating or capacity that is accepted."""
WORST_GAP = 1e-6
"""Proven gap relative to the objective that is accepted."""


def solve(program: StepProgram, *, solver: SolverName = "auto", warm: object | None = None) -> StepAnswer:
    """Solves a program.

    Args:
        program: what is to be solved.
        solver: the first route; ``auto``: the fastest, structured.
        warm: of an earlier answer, for the structured route.

    Returns:
        The first answer that is accepted; else the best of the others, ``almost`` at most. ``seconds``
        counts all routes.

    Raises:
        ContractError: ``solver`` names no route.
    """
    started = time.perf_counter()
    order = _order(solver)
    blocks, reach = prepared(program)
    if reach.problem:
        return no_plan(program, order[0], "infeasible", reach.problem)
    failed: list[tuple[StepAnswer, Fallback]] = []
    for name in order:
        answer = _attempt(program, name, warm)
        reason = objection(program, blocks, answer)
        if not reason:
            before = tuple(fallback for _, fallback in failed)
            return replace(answer, fallbacks=before, seconds=time.perf_counter() - started)
        logger.warning("route=%s status=%s reason=%s", name, answer.status, reason)
        failed.append((answer, Fallback(name, reason)))
    best, own = min(failed, key=lambda item: (item[0].multipliers is None, item[0].gap))
    return replace(
        best,
        status="failed" if best.multipliers is None else "almost",
        message=own.reason,
        fallbacks=tuple(fallback for _, fallback in failed if fallback is not own),
        seconds=time.perf_counter() - started,
    )


def _order(solver: SolverName) -> Sequence[str]:
    """Routes from the first one on.

    The structured route was the fastest at every size measured, 2 to 800 devices, so ``auto`` starts there.
    """
    first = ROUTES[0] if solver == "auto" else solver
    if first not in ROUTES:
        raise ContractError(f"solver {solver!r} of a step program is none of auto, {', '.join(ROUTES)}")
    return ROUTES[ROUTES.index(first) :]


def _attempt(program: StepProgram, name: str, warm: object | None) -> StepAnswer:
    """The answer of one route; a route that is not installed fails."""
    if name == "structured":
        # The compiled loops are loaded only where they are used.
        from cosim.opf.structured_qp.structured import solve_structured

        return solve_structured(program, warm=warm)
    route: Callable[[StepProgram], StepAnswer] = solve_piqp if name == "piqp" else solve_clarabel
    try:
        return route(program)
    except SolverMissing as error:
        return no_plan(program, name, "failed", str(error))


def objection(program: StepProgram, blocks: DeviceBlocks, answer: StepAnswer) -> str:
    """Why an answer is not accepted, else empty."""
    if answer.multipliers is None:
        return answer.message or answer.status
    if not answer.primal_residual <= WORST_RESIDUAL:
        return f"its limits are violated by {answer.primal_residual:.1e} of the rating or capacity"
    scale = max(abs(answer.objective), cost_scale(program, blocks))
    if not answer.gap <= WORST_GAP * scale:
        return f"its gap of {answer.gap / scale:.1e} is more than {WORST_GAP:.0e}"
    return ""
