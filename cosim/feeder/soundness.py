"""What makes every figure of a feeder wrong, and is refused."""

from __future__ import annotations

from collections import Counter

from cosim.errors import FeederError
from cosim.feeder.engine import Engine

NAMED, POSITIVE_SEQUENCE = 3, 1


def must_be_sound(engine: Engine) -> None:
    """Refuse a compiled circuit that no run could be right with.

    Raises:
        FeederError: it is a positive-sequence model, or two elements have one name.
    """
    if engine.dss.Settings.CktModel() == POSITIVE_SEQUENCE:
        raise FeederError(
            "the circuit is a positive-sequence model (set cktmodel=positive), whose powers are those of "
            "one phase; set cktmodel=multiphase, or bring the feeder before it was made so"
        )
    counted = Counter(str(name).lower() for name in engine.dss.Circuit.AllElementNames())
    double = [name for name, count in counted.items() if count > 1]
    if double:
        more = f", {len(double) - NAMED} more" if len(double) > NAMED else ""
        raise FeederError(
            f"two elements have the name {', '.join(double[:NAMED])}{more} (set allowduplicates=yes): no "
            "series and no set-point could say which one it means; rename one"
        )


def must_have_voltage(engine: Engine) -> None:
    """Refuse a solved circuit in which nothing is alive.

    Raises:
        FeederError: no node has a voltage.
    """
    if engine.energised().any():
        return
    frequency = float(engine.dss.Solution.Frequency())
    sources = ", ".join(engine.source_pu()) or "none"
    raise FeederError(
        f"no node of the feeder has a voltage. Voltage sources: {sources}; the solution is at "
        f"{frequency:g} Hz: is a source enabled, and was defaultbasefrequency set before 'new circuit'?"
    )
