"""A primal-dual interior point that uses the structure of the program.

Blocks are eliminated in closed form, the energy balances of each battery by a Riccati recursion, and what
remains is one dense positive definite matrix over the rows and modes. All inequalities hold strictly
from the start; only the energy balances and the gradient of the Lagrangian have residuals.

Source: predictor and corrector, Mehrotra, 1992; further correctors, Gondzio, 1996; elimination of the
chain, Rao, Wright and Rawlings, 1998.
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from cosim.opf.structured_qp import chain_kernels as chains
from cosim.opf.structured_qp.certificate import RawAnswer, cost_scale, judged, no_plan
from cosim.opf.structured_qp.device_blocks import DeviceBlocks
from cosim.opf.structured_qp.interior_point import InteriorPoint, Progress
from cosim.opf.structured_qp.reachable_energy import prepared
from cosim.opf.structured_qp.scaled_program import scaled_program
from cosim.opf.structured_qp.starting_point import Warm, start
from cosim.opf.structured_qp.step_program import FACES, Multipliers, Status, StepAnswer, StepProgram

TO_BOUNDARY = 0.995
"""Part of the way to the nearest bound that a step takes."""
CORRECTORS = 2
"""Further correctors per factorisation, at most: two more Newton solves, a quarter fewer iterations."""
LARGEST_SHRINK = 0.05
"""Mean product aimed at, at most, as part of the present one; measured: larger values only add steps."""
LONG_STEP = 0.9
"""Steps from here on are not worth a further corrector."""
SPREAD = 10.0
"""Factor around the expected product that a corrector brings the products into."""
STALLED = 1e-5
"""Steps below this, three in a row, end the iterations."""
ALMOST = 1e-5
"""Relative accuracy from which a stopped iterate is still an answer."""


def solve_structured(
    program: StepProgram, *, tolerance: float = 1e-7, iteration_limit: int = 100, warm: object | None = None
) -> StepAnswer:
    """Solves by the structured interior point.

    Args:
        program: what is to be solved.
        tolerance: relative, of residuals and of the sum of the complementarity products.
        iteration_limit: of Newton steps.
        warm: of an earlier answer; read where periods and devices agree.
    """
    started = time.perf_counter()
    blocks, reach = prepared(program)
    if reach.problem:
        return no_plan(program, "structured", "infeasible", reach.problem)
    point = InteriorPoint(scaled_program(program, blocks, reach))
    if not start(point, blocks, warm if isinstance(warm, Warm) else None):
        return no_plan(program, "structured", "failed", "a polygon or window has no interior")
    status, message, iterations = _iterated(
        point, blocks, tolerance=tolerance, iteration_limit=iteration_limit
    )
    if status == "failed":
        return no_plan(program, "structured", "failed", message, iterations=iterations)
    raw = _raw_answer(point, status, message, iterations)
    return replace(judged(program, blocks, reach, raw), seconds=time.perf_counter() - started)


def _iterated(
    point: InteriorPoint, blocks: DeviceBlocks, *, tolerance: float, iteration_limit: int
) -> tuple[Status, str, int]:
    """Newton steps until the iterate is optimal or no longer moves: status, reason, number of steps."""
    least_scale = cost_scale(point.scaled.program, blocks) / point.scaled.unit
    message, short, done, accuracy = "the iteration limit was reached", 0, 0, np.inf
    for iteration in range(iteration_limit + 1):
        done = iteration
        point.refresh()
        point.assess()
        scale = max(abs(point.objective), least_scale, 1e-12)
        accuracy = (point.product_sum + point.dual_residual + point.balance_cost) / scale
        if not np.isfinite(accuracy) or not (point.pairs.x > 0.0).all():
            return "failed", "the iterate left the interior", iteration
        if accuracy <= tolerance and point.primal_residual <= tolerance:
            return "optimal", "", iteration
        if iteration == iteration_limit:
            break
        if not point.factor():
            message = "the dense matrix is not positive definite"
            break
        step = _newton_step(point)
        point.advance(step)
        short = short + 1 if step < STALLED else 0
        if short == 3:
            message = "the steps became too short"
            break
    if accuracy <= ALMOST and point.primal_residual <= ALMOST:
        return "almost", message, done
    return "failed", message, done


def _newton_step(point: InteriorPoint) -> float:
    """Predictor, corrector and further correctors; leaves the direction and returns the step."""
    pairs = point.pairs
    pairs.target[:] = 0.0
    progress = point.direction()
    predicted = _longest(progress)
    change = progress.first + progress.second + predicted * progress.third
    ahead = (point.product_sum + predicted * change) / pairs.count if pairs.count else 0.0
    shrink = min(max(ahead / max(point.mean_product, 1e-300), 0.0) ** 3, LARGEST_SHRINK)
    aim = shrink * point.mean_product
    np.multiply(pairs.move, pairs.y_move, out=pairs.target)
    pairs.target[:] = pairs.used * (aim - pairs.target)
    step = _longest(point.direction())
    for _ in range(CORRECTORS):
        if step > LONG_STEP:
            break
        point.keep()
        trial = min(1.0, 1.5 * step + 0.3)
        expected = point.mean_product * (1.0 - trial * (1.0 - shrink))
        chains.centred_targets(
            pairs.x,
            pairs.y,
            pairs.move,
            pairs.y_move,
            trial,
            expected / SPREAD,
            expected * SPREAD,
            pairs.used,
            pairs.target,
        )
        longer = _longest(point.direction())
        if longer < step:
            point.back()
            break
        gained, step = longer > 1.02 * step, longer
        if not gained:
            break
    return min(1.0, TO_BOUNDARY * step)


def _longest(progress: Progress) -> float:
    """Longest step that keeps distances and multipliers positive; at most so long that 1 is inside."""
    return 1.0 / max(progress.primal, progress.dual, TO_BOUNDARY)


def _raw_answer(point: InteriorPoint, status: Status, message: str, iterations: int) -> RawAnswer:
    """The iterate in the program's units."""
    scaled, pairs, program = point.scaled, point.pairs, point.scaled.program
    T, J = program.period_count, program.device_count
    face = np.zeros(T * J * FACES)
    face[scaled.faces.place] = scaled.unit * pairs.y[pairs.face]
    row = np.zeros(program.row_count)
    row[scaled.coupling.source] = scaled.unit * pairs.y[pairs.row]
    given = Multipliers(row, scaled.unit * point.energy, face.reshape(T, J, FACES), scaled.unit * point.end)
    warm = Warm(point.z.copy(), point.stored.copy(), given.energy, given.end)
    return RawAnswer(point.z.reshape(T, J, 4), given, iterations, "structured", status, message, warm)
