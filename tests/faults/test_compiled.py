"""Compiled kernels where nothing may be written, and with damaged files."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

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
