"""The twin of one of several controllers: devices of others draw and inject as loads do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cosim.model.arrays import BoolArray, IntArray
from cosim.model.part import Part
from cosim.twin.data import Legs
from cosim.twin.twin_model import TwinModel


def part_model(model: TwinModel, part: Part) -> TwinModel:
    """The model of the feeder with the devices of a part alone.

    Devices of others keep their legs, which hold their power at any voltage. They stand between the loads
    of the site and the generators of the master, in the order of :meth:`cosim.model.part.Part.site`.
    """
    data, loads = model.data, len(part.whole.loads)
    own, others = part.devices, part.others
    standing = data.loads.owner >= loads
    before = replace(data.loads, owner=data.loads.owner + len(others) * standing)
    held = _renumbered(data.devices, others, loads)
    return replace(
        model,
        data=replace(data, loads=_joined(before, held), devices=_renumbered(data.devices, own, 0)),
    )


def _renumbered(legs: Legs, chosen: IntArray, first: int) -> Legs:
    """Legs of chosen owners, which are numbered from ``first`` in their order."""
    keep: BoolArray = np.isin(legs.owner, chosen)
    owner = first + np.searchsorted(chosen, legs.owner[keep])
    return Legs(
        a=legs.a[keep],
        b=legs.b[keep],
        base_v=legs.base_v[keep],
        owner=owner.astype(np.int64),
        share=legs.share[keep],
        law=legs.law[keep],
        balance=legs.balance[keep],
    )


def _joined(first: Legs, second: Legs) -> Legs:
    return Legs(
        a=np.concatenate([first.a, second.a]),
        b=np.concatenate([first.b, second.b]),
        base_v=np.concatenate([first.base_v, second.base_v]),
        owner=np.concatenate([first.owner, second.owner]),
        share=np.concatenate([first.share, second.share]),
        law=np.concatenate([first.law, second.law]),
        balance=np.concatenate([first.balance, second.balance]),
    )
