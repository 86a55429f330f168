"""Compiled kernels where nothing may be written, and with damaged files."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

CODE = """
import numpy as np
from cosim.twin.kernels import largest_change
change = np.zeros(1)
largest_change(np.zeros((2, 2)), np.ones((2, 2)), np.ones(2), change)
print(float(change[0]))
"""


def answer(**environment: str) -> str:
    ended = subprocess.run(
        [sys.executable, "-c", CODE],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environment,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


def test_a_damaged_cache_is_compiled_anew(tmp_path):
    expected = answer(NUMBA_CACHE_DIR=str(tmp_path))
    files = [path for path in tmp_path.rglob("*") if path.suffix in {".nbi", ".nbc"}]
    assert files
    for path in files:
        path.write_bytes(path.read_bytes()[:37])
    assert answer(NUMBA_CACHE_DIR=str(tmp_path)) == expected
    for path in files:
        path.write_bytes(b"")
    assert answer(NUMBA_CACHE_DIR=str(tmp_path)) == expected


@pytest.mark.skipif(shutil.which("unshare") is None, reason="no unshare to take write access away")
def test_a_package_that_may_not_be_written_to_still_runs(tmp_path):
    """As root everything is writable, so the package lies on a read-only copy and HOME is a file."""
    package = Path(__file__).resolve().parents[2] / "cosim"
    copy = tmp_path / "place" / "cosim"
    shutil.copytree(package, copy, ignore=shutil.ignore_patterns("__pycache__"))
    home = tmp_path / "home"
    home.write_text("no folder")
    script = f'mount --bind {copy} {copy} && mount -o remount,ro,bind {copy} && exec {sys.executable} -B -c "$CODE"'
    ended = subprocess.run(
        ["unshare", "--mount", "--map-root-user", "sh", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"CODE": CODE, "HOME": str(home), "PYTHONPATH": str(copy.parent)},
    )
    if "Operation not permitted" in ended.stderr or "permission denied" in ended.stderr.lower():
        pytest.skip("this machine lets nobody mount")
    assert ended.returncode == 0, ended.stderr


def test_compiling_is_said_once_and_only_where_it_happens(tmp_path):
    code = (
        "import logging, sys\nlogging.basicConfig(stream=sys.stdout, format='%(message)s')\n"
        "import numpy as np\nfrom cosim.twin.compiled import kernel\nimport own_kernels\n"
        "own_kernels.double(np.ones(3)); own_kernels.triple(np.ones(3))\n"
    )
    (tmp_path / "own_kernels.py").write_text(
        "from cosim.twin.compiled import kernel\n\n@kernel\ndef double(x):\n    return 2 * x\n\n"
        "@kernel\ndef triple(x):\n    return 3 * x\n"
    )
    said = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={
                **os.environ,
                "PYTHONPATH": f"{tmp_path}:{ROOT}",
                "NUMBA_CACHE_DIR": str(tmp_path / "cache"),
            },
        )
        said.append(done.stdout.count("compiles kernels to machine code"))
    assert said == [1, 0]
