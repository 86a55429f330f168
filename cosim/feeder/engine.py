"""One OpenDSS engine of its own: compile, solve, read and write, always checked.

Nothing outside :mod:`cosim.feeder` imports OpenDSS. Each :class:`Engine` is a separate context, so
two feeders in one process never see each other, and the working directory is left alone.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from dss import DSSException

from cosim.errors import FeederError, NotConverged
from cosim.feeder.engine_context import new_context
from cosim.feeder.script.reader import Script
from cosim.model.arrays import BoolArray, ComplexArray, FloatArray, IntArray

log = logging.getLogger(__name__)

AVOID_FULL_RECALC, SKIP_NAN = 2, 4
"""Setter flags of the engine: a new load value does not force the admittance matrix to be rebuilt;
NaN leaves an element as it is."""

MAX_CONTROL_ITERATIONS_EXCEEDED = 485
CONTROLS_STATIC, CONTROLS_OFF = 0, -1


@dataclass(frozen=True)
class SolveReport:
    """How one power flow went.

    Attributes:
        iterations: power-flow iterations, summed over the control iterations.
        control_overrun: the regulators and capacitors were still hunting when the limit was reached;
            the voltages are those of the last control iteration.
    """

    iterations: int
    control_overrun: bool


class Batch:
    """All elements of one OpenDSS class, read and written in one call per property.

    The order is the order of definition and includes disabled elements. With ``open_edit`` the
    elements stay in the engine's editing state: a write then changes the element without
    invalidating its admittance, and the next solve does not rebuild the matrix. This relies on a
    detail of the engine (measured: same powers to 7e-9 kW, a third of the time per step).
    """

    def __init__(self, engine: Engine, class_name: str, *, open_edit: bool = False) -> None:
        self._lib, self._ffi = engine._lib, engine._ffi
        self._check = engine._check
        pointer = self._ffi.new("void***")
        dims = self._ffi.new("int32_t[4]")
        self._check(self._lib.Batch_CreateByClassS(pointer, dims, class_name.encode()))
        self._pointer = pointer
        self._count = int(dims[0])
        self.class_name = class_name
        self.names: tuple[str, ...] = tuple(
            self._ffi.string(self._lib.Obj_GetName(pointer[0][i])).decode().lower()
            for i in range(self._count)
        )
        if open_edit and self._count:
            self._check(self._lib.Batch_BeginEdit(pointer[0], self._count))

    def __len__(self) -> int:
        return self._count

    def read(self, quantity: str) -> FloatArray:
        """Value of a real-valued property of every element, shape (element,)."""
        return self._doubles(self._lib.Batch_GetFloat64S, quantity)

    def write(self, quantity: str, values: FloatArray) -> None:
        """Set a real-valued property of every element, shape (element,); NaN leaves it as it is."""
        if not self._count:
            return
        data = np.ascontiguousarray(values, dtype=np.float64)
        if data.shape != (self._count,):
            raise FeederError(
                f"{self.class_name}.{quantity}: {data.shape} values for {self._count} elements"
            )
        self._check(
            self._lib.Batch_Float64ArrayS(
                self._pointer[0],
                self._count,
                quantity.encode(),
                0,
                self._ffi.cast("double*", data.ctypes.data),
                AVOID_FULL_RECALC | SKIP_NAN,
            )
        )

    def write_at(self, quantity: str, places: IntArray, values: FloatArray) -> None:
        """Set a property of some elements and leave the others as they are.

        Args:
            quantity: name of the property.
            places: in the batch.
            values: shape (place,); NaN leaves an element as it is.
        """
        whole = np.full(self._count, np.nan)
        whole[places] = values
        self.write(quantity, whole)

    def terminal_power(self) -> ComplexArray:
        """Power from each element into the network, kW + j kvar, shape (element,).

        OpenDSS counts terminal power as positive into the element, hence the minus sign.
        """
        flat = self._doubles(self._lib.Alt_CEBatch_Get_TotalPowers)
        return -(flat[0::2] + 1j * flat[1::2])

    def _doubles(self, function: Any, quantity: str | None = None) -> FloatArray:
        if not self._count:
            return np.zeros(0)
        result = self._ffi.new("double**")
        dims = self._ffi.new("int32_t[4]")
        arguments = [result, dims, self._pointer[0], self._count]
        if quantity is not None:
            arguments.append(quantity.encode())
        self._check(function(*arguments))
        values = np.frombuffer(self._ffi.buffer(result[0], int(dims[0]) * 8), dtype=np.float64).copy()
        self._lib.DSS_Dispose_PDouble(result)
        return values


class Engine:
    """One OpenDSS context. Use as a context manager.

    Attributes:
        timed: the circuit is in a mode that follows shapes by the clock. Solving then neither moves the
            clock nor integrates storage, as in snapshot mode.
    """

    def __init__(self) -> None:
        self.dss = new_context()
        self.dss.Basic.AllowForms(False)
        self.dss.Basic.AllowEditor(False)
        # A plain compile moves the working directory of the whole process.
        self.dss.Basic.AllowChangeDir(False)
        self.timed = False
        self._lib: Any = self.dss._api_util.lib
        self._ffi: Any = self.dss._api_util.ffi
        self._check: Any = self.dss._api_util._check_for_error

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_error: object) -> None:
        self.command("clear")

    def command(self, text: str) -> str:
        """Run one OpenDSS text command and return its answer.

        Raises:
            FeederError: the engine refused it; the message carries the command and the answer.
        """
        try:
            self.dss.Text.Command(text)
            return str(self.dss.Text.Result())
        except DSSException as error:
            raise FeederError(f"OpenDSS refused {text!r}: {error}") from error

    def compile(self, script: Script) -> None:
        """Build the circuit of a master that was read.

        Raises:
            FeederError: the engine refuses a statement, named by file and line, or there is no circuit.
        """
        self.command("clear")
        # The frequency base survives a clear; a 50 Hz feeder read earlier would linger.
        self.command("set defaultbasefrequency=60")
        send = self.dss.Text.Command
        for command in script.commands:
            try:
                send(command.text)
            except DSSException as error:
                if not (command.solves and error.args[0] == MAX_CONTROL_ITERATIONS_EXCEEDED):
                    raise FeederError(f"{command.place}: {_reason(error)}") from error
                log.warning("%s: the controls did not settle; the feeder goes on from there", command.place)
                self.command("get controlmode")
        if not self.dss.Basic.NumCircuits():
            raise FeederError(
                f"{script.files[0]} defines no circuit (it needs a line 'new circuit.NAME ...', "
                "and no 'clear' behind it)"
            )

    def solve(self, *, controls: bool) -> SolveReport:
        """Solve the power flow once at the present time, with or without regulators and capacitors acting.

        Raises:
            NotConverged: there is no solution, or a voltage is not a number.
            FeederError: the engine refused to solve.
        """
        solution = self.dss.Solution
        overrun = False
        try:
            # In snapshot mode Solve neither moves the clock nor integrates storage, and unlike
            # SolveNoControl it tells loads and inverters that their set-points changed.
            solution.ControlMode(CONTROLS_STATIC if controls else CONTROLS_OFF)
            if self.timed:
                solution.SolveSnap()
            else:
                solution.Solve()
        except DSSException as error:
            if error.args[0] != MAX_CONTROL_ITERATIONS_EXCEEDED:
                raise FeederError(f"OpenDSS stopped solving: {error}") from error
            overrun = True
            # The overrun leaves an abort flag behind that makes the next solve fail (errors 99 and
            # 11001); any text command clears it.
            self.command("get controlmode")
        iterations = int(solution.TotalIterations())
        if not solution.Converged():
            raise NotConverged(f"the power flow did not converge in {iterations} iterations", iterations)
        voltages = self.voltages()
        # The sum is a number exactly when every part is, and costs a tenth of a full test.
        total = voltages.sum()
        if not (math.isfinite(total.real) and math.isfinite(total.imag)):
            nodes = self.node_names()
            bad = [nodes[i] for i in np.flatnonzero(~np.isfinite(voltages))[:5]]
            raise NotConverged(
                f"the power flow gave voltages that are not numbers, at {', '.join(bad)} ... (a Storage "
                "element with kVA below its kW rating does this)",
                iterations,
            )
        return SolveReport(iterations, overrun)

    def voltages(self) -> ComplexArray:
        """Complex node voltages to ground in volt, in the order of :meth:`node_names`: a live view.

        The view is of the engine's own memory. Copy what must outlive the next solve, and ask again
        after anything that changes the list of buses.
        """
        pointer = self._ffi.new("double**")
        self._check(self._lib.YMatrix_getVpointer(pointer))
        count = len(self.node_names()) + 1  # entry 0 is ground
        view = np.frombuffer(self._ffi.buffer(pointer[0], 16 * count), dtype=np.complex128)
        return view[1:]

    def node_names(self) -> tuple[str, ...]:
        """Names ``bus.node`` in lower case, in the order of the admittance matrix."""
        if not hasattr(self, "_node_names"):
            self.refresh_nodes()
        return self._node_names

    def refresh_nodes(self) -> None:
        """Read the node list again, after elements were added."""
        self._node_names = tuple(name.lower() for name in self.dss.Circuit.YNodeOrder())

    def node_base_kv(self) -> FloatArray:
        """Line-to-neutral voltage base of each node in kV, shape (node,); 0 where unknown."""
        base: dict[str, float] = {}
        for bus in self.dss.Circuit.AllBusNames():
            self.dss.Circuit.SetActiveBus(bus)
            base[bus.lower()] = float(self.dss.Bus.kVBase())
        return np.array([base[name.rsplit(".", 1)[0]] for name in self.node_names()])

    def bus_coordinates(self) -> dict[str, tuple[float, float]]:
        """Coordinates of the buses that have some, in the units of the file."""
        found: dict[str, tuple[float, float]] = {}
        for bus in self.dss.Circuit.AllBusNames():
            self.dss.Circuit.SetActiveBus(bus)
            if self.dss.Bus.Coorddefined():
                found[bus.lower()] = (float(self.dss.Bus.X()), float(self.dss.Bus.Y()))
        return found

    def admittance(self) -> tuple[ComplexArray, IntArray]:
        """Primitive admittance of the active element and its nodes.

        Returns:
            Square matrix in siemens and, for each row, the zero-based node (-1 is ground).
        """
        element = self.dss.CktElement
        flat = np.asarray(element.YPrim(), dtype=np.float64)
        values = flat[0::2] + 1j * flat[1::2]
        size = math.isqrt(values.size)
        # The engine stores by column.
        return values.reshape(size, size).T, np.asarray(element.NodeRef(), dtype=np.int64) - 1

    def source_pu(self) -> dict[str, float]:
        """Per unit voltage of every enabled voltage source, behind its impedance."""
        sources = self.dss.Vsources
        found: dict[str, float] = {}
        index = sources.First()
        while index:
            self.dss.Circuit.SetActiveElement(f"vsource.{sources.Name()}")
            if self.dss.CktElement.Enabled():
                found[str(sources.Name()).lower()] = float(sources.PU())
            index = sources.Next()
        return found

    def set_source_pu(self, per_unit: Mapping[str, float]) -> None:
        """Set the per unit voltage of sources."""
        sources = self.dss.Vsources
        for name, value in per_unit.items():
            sources.Name(name)
            sources.PU(value)

    def regulated_windings(self) -> dict[str, int]:
        """Transformers with a regulator control, and the winding it moves."""
        controls = self.dss.RegControls
        found: dict[str, int] = {}
        index = controls.First()
        while index:
            found[controls.Transformer().lower()] = int(controls.TapWinding())
            index = controls.Next()
        return found

    def switched_capacitors(self) -> tuple[str, ...]:
        """Capacitors with an enabled control, sorted by name."""
        controls = self.dss.CapControls
        found: set[str] = set()
        index = controls.First()
        while index:
            self.dss.Circuit.SetActiveElement(f"capcontrol.{controls.Name()}")
            if self.dss.CktElement.Enabled():
                found.add(str(controls.Capacitor()).lower())
            index = controls.Next()
        return tuple(sorted(found))

    def closed_capacitors(self, names: tuple[str, ...]) -> FloatArray:
        """1 for each capacitor that is in service, else 0, shape (capacitor,)."""
        closed = np.zeros(len(names))
        for i, name in enumerate(names):
            self.dss.Capacitors.Name(name)
            self.dss.Circuit.SetActiveElement(f"capacitor.{name}")
            closed[i] = any(self.dss.Capacitors.States()) and not self.dss.CktElement.IsOpen(1, 0)
        return closed

    def energised(self) -> BoolArray:
        """Which nodes carry voltage, shape (node,)."""
        mask: BoolArray = np.abs(self.voltages()) > 1e-3
        return mask


def _reason(error: DSSException) -> str:
    """What the engine said, in one line."""
    return f"OpenDSS refused the line: {' '.join(str(error).split())}"
