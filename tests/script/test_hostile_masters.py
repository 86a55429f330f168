"""Masters that would execute code, write files, hang or crash: none does, each ends in a sentence or runs."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cosim.errors import FeederError
from cosim.feeder.compiled import FeederModel
from cosim.feeder.script.reader import read_script

HEAD = (
    "clear",
    "new circuit.c basekv=12.47 bus1=s",
    "new line.l bus1=s bus2=b phases=3 r1=0.3 x1=0.6 length=1",
    "new load.d bus1=b phases=3 kv=12.47 kw=100 pf=0.95",
    "new generator.g bus1=b kv=12.47 kw=10",
)
TAIL = ("set voltagebases=[12.47]", "calcvoltagebases", "solve")

EXECUTES = {
    "user model": "edit generator.g model=6 usermodel=./canary.so",
    "abbreviated": "edit generator.g model=6 userm=./canary.so",
    "upper case": "EDIT GENERATOR.G MODEL=6 USERMODEL=./canary.so",
    "quoted": 'edit generator.g "model"=6 "usermodel"="./canary.so"',
    "brackets": "edit generator.g model=6 (usermodel)=[./canary.so]",
    "continued": "edit generator.g model=6\n~ usermodel=./canary.so",
    "continued by more": "edit generator.g model=6\nmore usermodel=./canary.so",
    "continued by m": "edit generator.g model=6\nm usermodel=./canary.so",
    "direct": "generator.g.usermodel=./canary.so",
    "direct of the active element": "select generator.g\nusermodel=./canary.so",
    "direct after another": "generator.g.model=6 usermodel=./canary.so",
    "behind a comment block": "/* nothing\n*/\nedit generator.g model=6 usermodel=./canary.so",
    "behind a tab": "\tedit\tgenerator.g\tusermodel\t=\t./canary.so",
    "many": "batchedit generator..* usermodel=./canary.so",
    "by position": "new generator.h b" + " 1" * 28 + " ./canary.so",
    "by position behind a name": "edit generator.g yearly=none 1 1 1 1 1 1 1 1 1 ./canary.so ./canary.so",
    "selected, then continued": "select generator.g\nedit generator.g\n~ model=6 userm=./canary.so",
    "shaft": "edit generator.g shaftmodel=./canary.so",
    "storage": "new storage.s bus1=b kv=12.47 usermodel=./canary.so",
    "storage dynamics": "new storage.s bus1=b kv=12.47 dynadll=./canary.so",
    "pv": "new pvsystem.p bus1=b kv=12.47 usermodel=./canary.so",
    "capacitor control": "new capacitor.k bus1=b kvar=10 kv=12.47\n"
    "new capcontrol.k capacitor=k element=line.l type=user usermodel=./canary.so",
    "user data": "edit generator.g userdata=(anything)",
    "variable": "var @lib=./canary.so\nedit generator.g usermodel=@lib",
    "shell": "doscmd touch written_by_shell",
    "shell, abbreviated": "dosc touch written_by_shell",
    "three redirects deep": "redirect one.dss",
}

WRITES = {
    "save": "save circuit dir=saved",
    "save, abbreviated": "sav circuit dir=saved",
    "export": "export voltages exported.csv",
    "export meters": "new energymeter.m element=line.l\nsolve\nexport meters",
    "show": "show powers",
    "dump": "dump line.* debug",
    "data path": "set datapath=made",
    "data path, abbreviated": "set datap=made",
    "demand interval": "set demandinterval=yes casename=made\nsolve mode=daily number=2",
    "recorder": "set recorder=yes\nsolve",
    "query log": "set querylog=yes\n? line.l.length",
    "trace of controls": "set tracecontrol=yes\nsolve",
    "shape": "new loadshape.x npts=2 interval=1 mult=(1 1) action=dblsave",
    "shape, abbreviated": "new loadshape.x npts=2 interval=1 mult=(1 1) act=s",
    "meter": "new energymeter.m element=line.l\nsolve\nenergymeter.m.action=zonedump",
    "monitor": "new monitor.m element=line.l\nsolve mode=daily number=2\nexport monitors m",
    "trace of a regulator": "new transformer.t windings=2 buses=(b c) kvs=(12.47 0.48) kvas=(500 500)\n"
    "new regcontrol.r transformer=t winding=2 vreg=120 ptratio=2.3 debugtrace=yes",
    "trace of a generator": "edit generator.g debugtrace=yes\nsolve",
    "plot": "plot profile",
    "distribute": "distribute kw=100 how=proportional",
    "bus markers and windows": "addbusmarker bus=b code=1\nformedit line.l\npanel",
    "log": "set log=yes\nsolve",
    "change of folder": "cd ..\nexport voltages exported.csv",
    "compare cases": "comparecases base case2",
    "loadshapes": "cvrtloadshapes type=dbl",
}

HANGS = {
    "redirects itself": "redirect m.dss",
    "redirects in a ring": "redirect ring.dss",
    "pipe": "redirect pipe",
    "device": "redirect /dev/zero",
    "device as a shape": "new loadshape.x npts=10 csvfile=/dev/zero",
    "device in an array": "new loadshape.x npts=10 mult=(file=/dev/zero)",
    "folder as a script": "redirect .",
    "phases": "new line.big bus1=b bus2=c phases=30000",
    "windings": "new transformer.big windings=2000000000",
    "points": "new loadshape.x npts=2000000000",
    "points as a formula": "new loadshape.x npts=(1000000 1000 *)",
    "points by position": "new loadshape.x 2000000000",
    "conductors": "new linegeometry.x nconds=1000000",
    "solves": "set mode=daily number=2000000000",
    "control character": "new line.x bus1=a\x0bbus2=b",
    "another process": "newactor",
    "missing file": "redirect not_there.dss",
    "missing coordinates": "buscoords not_there.csv",
    "unknown command": "frobnicate all",
    "binary": "\x00\x01\x02",
}


@pytest.fixture(scope="module")
def canary(tmp_path_factory) -> Path:
    """A shared library that leaves a file behind when it is loaded."""
    if shutil.which("cc") is None:
        pytest.skip("no C compiler on this machine, which makes the library that must not be loaded")
    folder = tmp_path_factory.mktemp("canary")
    (folder / "canary.c").write_text(
        "#include <stdio.h>\n#include <stdlib.h>\n"
        "__attribute__((constructor)) static void run(void)\n"
        '{ FILE *f = fopen(getenv("CANARY"), "w"); if (f) fclose(f); }\n'
    )
    subprocess.run(["cc", "-shared", "-fPIC", "-o", "canary.so", "canary.c"], cwd=folder, check=True)
    return folder / "canary.so"


@pytest.fixture
def hostile(tmp_path, monkeypatch):
    """A folder with a master of the given lines, which is also the working directory."""
    folder = tmp_path / "stranger"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("CANARY", str(tmp_path / "executed"))
    os.mkfifo(folder / "pipe")
    (folder / "one.dss").write_text("redirect two.dss\n")
    (folder / "two.dss").write_text("redirect three.dss\n")
    (folder / "three.dss").write_text("! deep\nedit generator.g model=6 usermodel=./canary.so\n")
    (folder / "ring.dss").write_text("redirect M.DSS\n")

    def write(text):
        (folder / "m.dss").write_text("\n".join([*HEAD, text, *TAIL]) + "\n")
        return folder / "m.dss"

    return write


def _files(folder):
    return sorted(str(path) for path in folder.rglob("*"))


def test_the_library_is_loaded_by_the_engine_alone(hostile, canary, tmp_path):
    """The attack works where nobody reads the master first; otherwise the tests below prove nothing."""
    shutil.copy(canary, tmp_path / "stranger")
    master = hostile(EXECUTES["user model"])
    code = (
        "import opendssdirect\ndss = opendssdirect.dss.NewContext()\n"
        f"try: dss.Text.Command('redirect \"{master}\"')\nexcept Exception: pass\n"
    )
    subprocess.run([sys.executable, "-c", code], check=False, timeout=60)
    assert (tmp_path / "executed").exists()


@pytest.mark.parametrize("attack", EXECUTES)
def test_no_master_executes_anything(hostile, canary, tmp_path, attack):
    shutil.copy(canary, tmp_path / "stranger")
    master = hostile(EXECUTES[attack])
    before = _files(tmp_path)
    with pytest.raises(FeederError, match=r"\.dss, line \d+: "):
        FeederModel(master)
    assert _files(tmp_path) == before


def test_a_trusted_master_may(hostile, canary, tmp_path):
    shutil.copy(canary, tmp_path / "stranger")
    master = hostile(EXECUTES["user model"])
    assert canary.name in {path.name for path in read_script(master, trusted=True).files}
    with pytest.raises(FeederError, match="OpenDSS refused the line"):
        FeederModel(master, trusted=True)  # the library does nothing that a model of a generator does
    assert (tmp_path / "executed").exists()


@pytest.mark.parametrize("attack", WRITES)
def test_no_master_writes_anything(hostile, tmp_path, attack):
    master = hostile(WRITES[attack])
    before = _files(tmp_path)
    models = [FeederModel(master) for _ in range(2)]
    assert all(model.nodes for model in models)
    assert _files(tmp_path) == before
    for model in models:
        model.close()


@pytest.mark.parametrize("attack", HANGS)
def test_no_master_hangs_or_crashes(hostile, attack):
    with pytest.raises(FeederError, match=r"line \d+|redirects to itself|m\.dss"):
        FeederModel(hostile(HANGS[attack]))


def test_an_exponential_tree_of_redirects_ends(tmp_path):
    for depth in range(15):
        (tmp_path / f"{depth}.dss").write_text(f"redirect {depth + 1}.dss\n" * 10)
    (tmp_path / "15.dss").write_text("new line.a bus1=a bus2=b\n" * 10)
    with pytest.raises(FeederError, match="more than 2000 scripts"):
        read_script(tmp_path / "0.dss")
