"""Settings and present state of all regulator and capacitor controls, read from the engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cosim.feeder.engine import Engine
from cosim.feeder.reading.capacitors import read_banks, read_capacitors
from cosim.feeder.reading.regulators import look_backwards, read_regulators, read_windings
from cosim.twin.controls import Controls, ControlState


def read_controls(
    engine: Engine,
    node_names: tuple[str, ...],
    moved: Mapping[str, int] | None = None,
    switched: Sequence[str] | None = None,
) -> Controls:
    """Read all enabled regulator and capacitor controls at the present state of the engine.

    Banks that are open are closed for a moment to read their admittance, and opened again.

    Args:
        engine: with a compiled circuit whose admittance matrix is built.
        node_names: ``bus.node`` in the order of the admittance matrix.
        moved: transformers whose taps move, each with its winding; default: those of the controls.
        switched: capacitors that are switched; default: those of the controls.
    """
    windings = read_windings(engine, engine.regulated_windings() if moved is None else moved)
    banks, service = read_banks(engine, engine.switched_capacitors() if switched is None else switched)
    regulators, left = read_regulators(engine, windings)
    capacitors, left_too = read_capacitors(engine, node_names, banks, windings)
    present = ControlState(
        taps=tuple(winding.tap for winding in windings),
        closed=tuple(bank.terminal and bank.step for bank in service),
        opened=tuple(not bank.terminal and not bank.step for bank in service),
        mistaken=tuple(bank.terminal and not bank.step for bank in service),
        backwards=look_backwards(engine, windings, regulators),
    )
    return Controls(windings, banks, tuple(regulators), tuple(capacitors), present, {**left, **left_too})
