"""What a controller may know before step 0, and how it travels to another process.

Arrays are kept as they are in memory (npz without pickles), everything else is JSON: exact to the last
bit, and nothing in it can be executed.
"""

from __future__ import annotations

import base64
import io
import zipfile
import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import cattrs.preconf.json
import numpy as np
import scipy.sparse as sp

from cosim.errors import ContractError, FeederError
from cosim.model.exogenous import Exogenous
from cosim.model.part import Part
from cosim.model.published import Publisher
from cosim.model.site import Site
from cosim.model.vintages import Vintages
from cosim.twin.part_model import part_model
from cosim.twin.twin_model import TwinModel

if TYPE_CHECKING:
    from cosim.opf.distributed.messages import AnswersOfAreas
    from cosim.twin.feeder_twin import FeederTwin

UNREADABLE = (
    ValueError, KeyError, TypeError, AttributeError, OSError, EOFError, zipfile.BadZipFile, zlib.error,
    RecursionError, NotImplementedError, cattrs.BaseValidationError,
)  # fmt: skip
"""What reading a text that is none can raise."""
STRUCTURE = "structure"
"""Name of the array that holds the JSON."""


@dataclass(frozen=True)
class Knowledge:
    """What a controller may know. What it has no use for is None.

    Attributes:
        site: facts of the plant.
        twin: model of the feeder.
        truth: the series that the plant will meet, for forecasters that declare that they need them.
        history: the series of the steps before the run; the last one is that before step 0.
        vintages: forecasts of others, each with the time of its issue.
        areas: answers of areas that run in processes of their own; it does not travel.
        published: what another federate says of the coming steps; it does not travel by way of the feeder.
    """

    site: Site
    twin: TwinModel | None = None
    truth: Exogenous | None = None
    history: Exogenous | None = None
    vintages: Vintages | None = None
    areas: AnswersOfAreas | None = None
    published: Publisher | None = None

    def of_part(self, part: Part) -> Knowledge:
        """What one of several controllers may know: site and model of the feeder with its devices alone."""
        twin = None if self.twin is None else part_model(self.twin, part)
        return replace(self, site=part.site(), twin=twin)

    def open_twin(self) -> FeederTwin:
        """A twin for a planner.

        Raises:
            FeederError: no model of the feeder is at hand, or it is one of another feeder.
        """
        if self.twin is None:
            raise FeederError(
                "a planner asked for a twin of the feeder, which it did not declare; decorate its factory "
                'with cosim.plugins.needs("twin")'
            )
        twin = self.twin.open(self.site.network_devices)
        if twin.nodes != self.site.nodes:
            raise FeederError(
                f"the twin watches {len(twin.nodes)} nodes, the site {len(self.site.nodes)}, or in another "
                "order; twin and site must come from one feeder"
            )
        return twin


@dataclass(frozen=True)
class _Sent:
    """What travels beside the site."""

    twin: TwinModel | None
    truth: Exogenous | None
    history: Exogenous | None
    vintages: Vintages | None


def knowledge_to_text(knowledge: Knowledge) -> str:
    """Everything but the site, as text."""
    arrays: dict[str, np.ndarray] = {}
    converter = _converter(arrays)
    sent = _Sent(knowledge.twin, knowledge.truth, knowledge.history, knowledge.vintages)
    structure = str(converter.dumps(sent))
    arrays[STRUCTURE] = np.frombuffer(structure.encode(), dtype=np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def text_to_knowledge(text: str, site: Site) -> Knowledge:
    """Knowledge from the text that :func:`knowledge_to_text` made.

    Raises:
        ContractError: it is no such text.
    """
    try:
        with np.load(io.BytesIO(base64.b64decode(text)), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        structure = arrays.pop(STRUCTURE).tobytes().decode()
        sent: _Sent = _converter(arrays).loads(structure, _Sent)
    except UNREADABLE as error:
        raise ContractError(f"feeder/knowledge cannot be read: {error}") from error
    return Knowledge(site, sent.twin, sent.truth, sent.history, sent.vintages)


def _converter(arrays: dict[str, np.ndarray]) -> cattrs.preconf.json.JsonConverter:
    """Values with arrays to JSON and back; the arrays go to, and come from, a dictionary."""
    converter = cattrs.preconf.json.make_converter()

    def keep(array: np.ndarray) -> str:
        name = f"a{len(arrays)}"
        arrays[name] = array
        return name

    def keep_sparse(matrix: Any) -> dict[str, Any]:
        parts = (matrix.data, matrix.indices, matrix.indptr)
        return {"kind": matrix.format, "shape": list(matrix.shape), "parts": [keep(part) for part in parts]}

    def to_sparse(value: dict[str, Any], _kind: Any) -> Any:
        made = {"csc": sp.csc_matrix, "csr": sp.csr_matrix}[value["kind"]]
        return made(tuple(arrays[name] for name in value["parts"]), shape=tuple(value["shape"]))

    converter.register_unstructure_hook_func(_is_array, keep)
    converter.register_structure_hook_func(_is_array, lambda name, _kind: arrays[name])
    converter.register_unstructure_hook_func(_is_sparse, keep_sparse)
    converter.register_structure_hook_func(_is_sparse, to_sparse)
    converter.register_unstructure_hook(complex, lambda number: [number.real, number.imag])
    converter.register_structure_hook(complex, lambda pair, _kind: complex(*pair))
    return converter


def _is_array(kind: Any) -> bool:
    return getattr(kind, "__origin__", kind) is np.ndarray


def _is_sparse(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, sp.spmatrix)
