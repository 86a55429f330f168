"""One target of the fuzzer, guided by coverage: inputs that reach new branches are mutated further.

    python -m benchmarks.guided TARGET --seconds 60 --kept DIR

Started by ``python -m benchmarks.fuzz --guided``, a process per target: libFuzzer ends its process itself.
Needs atheris (``pip install cosim-opf[fuzz]``). An input that breaks something is kept with its traceback,
once per place; one that takes over 10 s, or 4 GiB, ends the process with an exit code that is not 0.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import traceback
from pathlib import Path

import atheris

LONGEST_S, MOST_MIB, LONGEST_INPUT = 10, 4096, 20_000

# Branches are seen only in modules that are imported here.
with atheris.instrument_imports(include=["cosim", "federates", "benchmarks.fuzz"]):
    from benchmarks.fuzz import SPLICES, Target, sign_of, targets
    from cosim.errors import CosimError


def explore(name: str, target: Target, seconds: int, home: Path, kept: Path) -> None:
    """Hand a target to libFuzzer, which does not come back."""
    seen: set[str] = set()

    def feed(data: bytes) -> None:
        try:
            target.feed(data)
        except CosimError:
            return
        except Exception as error:  # noqa: BLE001 - this is what is looked for
            sign = sign_of(error)
            if sign in seen:
                return
            seen.add(sign)
            kept.mkdir(parents=True, exist_ok=True)
            path = kept / f"guided-{name}-{len(seen)}"
            path.with_suffix(".input").write_bytes(data)
            path.with_suffix(".txt").write_text(sign + "\n" + traceback.format_exc(), encoding="utf-8")

    corpus = home / "corpus"
    corpus.mkdir()
    for number, seed in enumerate(target.seeds):
        (corpus / str(number)).write_bytes(seed)
    words = home / "words"
    words.write_text("\n".join(f'"{_escaped(splice)}"' for splice in SPLICES) + "\n", encoding="ascii")
    options = [
        f"-max_total_time={seconds}", f"-timeout={LONGEST_S}", f"-rss_limit_mb={MOST_MIB}",
        f"-max_len={LONGEST_INPUT}", f"-dict={words}", f"-artifact_prefix={kept}/guided-{name}-",
        "-print_final_stats=1", "-seed=1", str(corpus),
    ]  # fmt: skip
    atheris.Setup([sys.argv[0], *options], feed)
    atheris.Fuzz()


def _escaped(word: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word[:60])


def main() -> None:
    """Explore one target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("target")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--kept", type=Path, default=Path("runs/fuzz"))
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    options.kept.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home:
        found = targets(Path(home))
        explore(options.target, found[options.target], options.seconds, Path(home), options.kept)


if __name__ == "__main__":
    main()
