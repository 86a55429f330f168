"""Every exception this package raises on purpose.

::

    CosimError
    ├── ScenarioError       the scenario is wrong; carries the list of all problems found
    ├── FeederError         the model cannot be read, solved or trusted
    │   ├── NotConverged    a power flow has no solution, or none that can be found
    │   └── NoRadialModel   a formulation needs a tree of branches, and the feeder is none
    │       └── MeshedFeeder    it has a loop
    ├── SeriesError         a time series is short, unsorted, has gaps or no time zone
    ├── ContractError       two parties disagree about what crosses the border
    ├── SolverMissing       the solver a scenario asks for is not installed
    ├── SolverUnsuited      the solver cannot solve this kind of program
    ├── FormulationRefused  a formulation does not cover this feeder or option
    ├── ControllerError     a controller raised an exception, or did not answer in time
    ├── UnknownPlugin       a name stands for no plug-in, or it cannot be imported
    ├── WrongDeclaration    a plug-in declares what the program does not know, or does not take it
    ├── RecordError         a run directory cannot be read or must not be overwritten
    │   └── DiskFull        a file of a run cannot be written for want of room
    └── FederationError     a federate is gone, late, duplicated or could not start

Infeasible is not in the tree: it is a result (:class:`cosim.model.state.NoPlan`).
"""

from __future__ import annotations

from collections.abc import Sequence


class CosimError(Exception):
    """Root of all errors raised on purpose."""


class ScenarioError(CosimError):
    """One or more mistakes in a scenario, reported together.

    Args:
        source: the file, or a name for a scenario that has none.
        problems: one sentence each, starting with the place of the mistake.
    """

    def __init__(self, source: str, problems: Sequence[str]) -> None:
        self.source = source
        self.problems = tuple(problems)
        count = len(self.problems)
        head = f"{source} has {count} problem{'s' if count != 1 else ''}"
        super().__init__("\n".join([head, *(f"  {problem}" for problem in self.problems)]))


class FeederError(CosimError):
    """The feeder model cannot be read, solved or trusted."""


class NotConverged(FeederError):
    """A power flow has no solution, or none that can be found.

    Args:
        what: happened.
        iterations: made in vain.
    """

    ADVICE = (
        "check load and generation against what the feeder can carry, or loosen feeder.tolerance if the "
        "model has extreme impedances"
    )

    def __init__(self, what: str, iterations: int) -> None:
        self.what, self.iterations = what, iterations
        super().__init__(f"{what}; {self.ADVICE}")


class NoRadialModel(FeederError):
    """The feeder is no tree of branches between two buses, fed at one place."""


class MeshedFeeder(NoRadialModel):
    """The feeder has a loop where a tree is needed.

    Args:
        loop: bus names around the loop, first not repeated.
    """

    def __init__(self, loop: Sequence[str]) -> None:
        self.loop = tuple(loop)
        super().__init__(
            f"the feeder is meshed: loop {' - '.join(self.loop)} - {self.loop[0]}; "
            "open a switch on it, or choose a planner that does not need a tree"
        )


class SeriesError(CosimError):
    """A time series does not cover what is asked of it."""


class ContractError(CosimError):
    """Two parties disagree about what crosses the border between them."""


class SolverMissing(CosimError):
    """The solver that a scenario asks for is not installed."""


class SolverUnsuited(CosimError):
    """The solver cannot solve this kind of program; the message says which one can."""


class FormulationRefused(CosimError):
    """A formulation does not cover this feeder; the message says what to use instead."""


class ControllerError(CosimError):
    """A controller raised an exception or did not answer in time; names the step."""


class NoAnswer(ControllerError):
    """A controller did not answer within ``control.hang_limit_s``; the run ends, also inside a planner."""


class RecordError(CosimError):
    """A run directory cannot be read, or would be overwritten."""


class DiskFull(RecordError):
    """A file of a run cannot be written for want of room; names it."""


class FederationError(CosimError):
    """A federate is gone, late or duplicated, or the broker could not start."""


class UnknownPlugin(CosimError):
    """No plug-in of that name is installed or can be imported; the message lists those that are."""


class WrongDeclaration(CosimError):
    """What a plug-in declares about itself means nothing, or does not fit its arguments."""
