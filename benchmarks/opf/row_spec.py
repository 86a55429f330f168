"""What identifies a row of the study."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path

from benchmarks.opf.cases import CaseSpec


@dataclass(frozen=True)
class RowSpec:
    """What identifies a row.

    Attributes:
        case: feeder, devices, periods, steps, seed.
        planner, solver: see :mod:`benchmarks.opf.planners`.
        noise: of the forecast, see :func:`benchmarks.opf.rolling.roll`.
        taps: for planner nlp: whose taps it is given.
    """

    case: CaseSpec
    planner: str
    solver: str = "auto"
    noise: float = 0.0
    taps: str = "tangent"

    @property
    def key(self) -> str:
        """A name that tells rows apart; the feeder's folder is not in it."""
        case = self.case
        parts = [feeder_label(case.feeder), f"der{case.der}", f"T{case.periods}", self.planner, self.solver]
        parts += [f"steps{case.steps}", f"seed{case.seed}"]
        default = CaseSpec(case.feeder, case.der, case.periods, case.steps, case.seed)
        for name, value in asdict(case).items():
            if value != getattr(default, name):
                parts.append(f"{name}{value:g}")
        parts += [f"noise{self.noise:g}"] * bool(self.noise)
        return "-".join(parts + [f"taps_{self.taps}"] * (self.planner == "nlp" and self.taps != "tangent"))

    def identity(self) -> dict[str, object]:
        """All of it as JSON takes it."""
        case = asdict(replace(self.case, feeder=feeder_label(self.case.feeder)))
        return {**case, "planner": self.planner, "solver": self.solver, "noise": self.noise}


def feeder_label(feeder: str) -> str:
    """A shipped feeder's name, or folder and file of a master."""
    path = Path(feeder)
    return f"{path.resolve().parent.name}/{path.stem}" if path.suffix else feeder
