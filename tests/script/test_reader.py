"""A master is read as the engine would follow it."""

import logging
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosim.errors import FeederError
from cosim.feeder.compiled import FeederModel
from cosim.feeder.engine import Engine
from cosim.feeder.script import rules
from cosim.feeder.script.reader import read_script
from cosim.feeder.script.vocabulary import engine_vocabulary
from tests.conftest import shipped_master

CIRCUIT = ("new circuit.c basekv=12.47 bus1=s",)


def _lengths(engine):
    """Name and length of every line of the circuit, in order."""
    dss = engine.dss
    return [(dss.Lines.Name(), dss.Lines.Length()) for _ in dss.Lines]


def _lines_of(make):
    """Lines that a new engine holds after something was done, or that it was refused."""
    with Engine() as engine:
        try:
            make(engine)
        except FeederError:
            return "refused"
        return _lengths(engine)


def _both(master):
    """Lines as the engine makes them alone, and from the statements that were read."""
    alone = _lines_of(lambda engine: engine.command(f'redirect "{master}"'))
    return alone, _lines_of(lambda engine: engine.compile(read_script(master)))


PIECES = st.sampled_from(
    [
        "new line.{n} bus1=s bus2=b{n} length={n}",
        "New object=line.{n} bus1=s, bus2=b{n}, length={n}",
        "new line.{n} s b{n}\n~ length={n}",
        "new line.{n} s b{n}\nmore length={n} ! why",
        "new line.{n} s b{n}\nm length={n} // why",
        "new line.{n} s b{n}\nline.{n}.length={n}",
        "new line.{n} s b{n}\nlength={n}",
        "new line.{n} s b{n}\nedit line.{n} len={n}",
        "new line.{n} s b{n}\nselect line.{n}\n~ len={n}",
        "new line.{n} s b{n}\nbatchedit line.{n} length={n}",
        "/* new line.{n} s b{n}",
        "*/ new line.{n} s b{n}",
        " /* new line.{n}",
        "!new line.{n} s b{n}",
        "// new line.{n} s b{n}",
        'new "line.{n}" "s" "b{n}" "length"=[{n}]',
        "var @x{n}={n}\nnew line.{n} s b{n} length=@x{n}",
        "redirect deeper/more.dss",
        "compile deeper/more.dss",
        "redirect DEEPER\\more.dss",
        "get mode",
        "",
        "   ",
    ]
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("scripts")
    (place / "deeper").mkdir()
    (place / "DEEPER").symlink_to(place / "deeper")
    (place / "deeper" / "more.dss").write_text("redirect inner.dss\n")
    (place / "deeper" / "inner.dss").write_text("batchedit line..* r1=0.5\n")
    return place


@settings(max_examples=100, deadline=None)
@given(st.lists(PIECES, max_size=8))
def test_any_script_makes_the_circuit_the_engine_makes_of_it(folder, pieces):
    # A compile moves the folder that later names begin in, for the engine as for the reader.
    after_compile = [i for i, piece in enumerate(pieces) if piece.startswith("compile")]
    if after_compile:
        pieces = pieces[: after_compile[0] + 1]
    lines = [piece.replace("{n}", str(i + 2)) for i, piece in enumerate(pieces)]
    master = folder / "m.dss"
    master.write_text("\n".join([*CIRCUIT, *lines]) + "\n")
    alone, read = _both(master)
    assert read == alone


def test_a_compile_moves_the_folder_of_later_names_and_a_redirect_does_not(tmp_path):
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "one.dss").write_text("new line.one s b length=2\n")
    (tmp_path / "deeper" / "two.dss").write_text("new line.two s b length=3\n")
    master = tmp_path / "m.dss"
    master.write_text("\n".join([*CIRCUIT, "redirect deeper/one.dss", "redirect deeper/two.dss"]))
    assert _both(master)[1] == [("one", 2.0), ("two", 3.0)] == _both(master)[0]
    master.write_text("\n".join([*CIRCUIT, "compile deeper/one.dss", "redirect two.dss"]))
    assert _both(master)[1] == [("one", 2.0), ("two", 3.0)] == _both(master)[0]


@pytest.mark.parametrize("name", ["ads10_1ph", "ieee13", "ieee123", "ieee123_1ph"])
def test_shipped_feeders_are_what_the_engine_makes_of_them(name):
    master = shipped_master(name)
    with Engine() as alone, Engine() as read:
        alone.command("clear")
        alone.command(f'redirect "{master}"')
        read.compile(read_script(master))
        for engine in (alone, read):
            engine.solve(controls=True)
        assert read.node_names() == alone.node_names()
        assert (read.voltages() == alone.voltages()).all()


def test_every_command_and_option_of_the_engine_is_judged():
    words = engine_vocabulary()
    judged = rules.OBEYED | rules.WRITES | rules.ASKS | rules.READS_SCRIPT | rules.READS_FILE
    refused = {
        "cd",
        "doscmd",
        "obfuscate",
        "connect",
        "disconnect",
        "newactor",
        "wait",
        "solveall",
        "abort",
        "clone",
    }
    assert set(words.commands.names) == judged | refused
    parallel = {"numcpus", "numcores", "numactors", "activeactor", "cpu", "parallel", "numanodes"}
    assert set(words.options.names) == rules.OPTIONS_OBEYED | rules.OPTIONS_LEFT_OUT | parallel
    assert words.files == rules.NATIVE_CODE | {"csvfile", "dblfile", "sngfile", "pqcsvfile"}


def test_a_name_in_another_case_is_found_and_said(tmp_path, caplog):
    (tmp_path / "Sub").mkdir()
    (tmp_path / "Sub" / "LOADS.DSS").write_text("new loadshape.x npts=2 interval=1 csvfile=Day.csv\n")
    (tmp_path / "Sub" / "day.CSV").write_text("1\n2\n")
    master = tmp_path / "m.dss"
    master.write_text("\n".join([*CIRCUIT, "redirect sub\\loads.dss", "new line.l s b", "solve"]))
    with caplog.at_level(logging.WARNING):
        FeederModel(master).close()
    assert "line 2: 'sub\\\\loads.dss' is taken for 'LOADS.DSS'" in caplog.text
    assert {path.name for path in read_script(master).files} == {"m.dss", "LOADS.DSS", "day.CSV"}


def test_two_names_that_differ_by_case_only_are_both_named(tmp_path):
    for name in ("Loads.dss", "LOADS.dss"):
        (tmp_path / name).write_text("! nothing\n")
    master = tmp_path / "m.dss"
    master.write_text("\n".join([*CIRCUIT, "redirect loads.dss"]))
    with pytest.raises(
        FeederError, match=r"line 2: the file 'loads\.dss' could be 'LOADS\.dss' and 'Loads\.dss'"
    ):
        read_script(master)


def test_what_the_engine_refuses_is_named_by_file_and_line(tmp_path):
    (tmp_path / "loads.dss").write_text("! first\nnew load.x bus1=s kw=ten\n")
    master = tmp_path / "m.dss"
    master.write_text("\n".join([*CIRCUIT, "redirect loads.dss"]))
    with pytest.raises(FeederError, match=r"loads\.dss, line 2: OpenDSS refused the line"):
        FeederModel(master)


def test_files_inside_arrays_are_found_from_the_folder_of_the_script(tmp_path):
    (tmp_path / "a folder").mkdir()
    (tmp_path / "a folder" / "day.csv").write_text("0.25\n0.5\n")
    (tmp_path / "a folder" / "shapes.dss").write_text(
        "new loadshape.x npts=2 interval=1 mult=(file=day.csv)\n"
    )
    master = tmp_path / "m.dss"
    master.write_text("\n".join([*CIRCUIT, 'redirect "a folder/shapes.dss"']))
    script = read_script(master)
    assert Path(script.files[-1]).name == "day.csv"
    with Engine() as engine:
        engine.compile(script)
        engine.dss.LoadShape.Name("x")
        assert list(engine.dss.LoadShape.PMult()) == [0.25, 0.5]


def test_names_in_latin_1_are_read(tmp_path):
    master = tmp_path / "m.dss"
    master.write_bytes("\n".join([*CIRCUIT, "new line.größe s b"]).encode("latin-1"))
    with Engine() as engine:
        engine.compile(read_script(master))
        assert engine.dss.Lines.AllNames() == ["größe"]


def test_a_solve_of_the_master_that_does_not_settle_is_a_warning(tmp_path, caplog):
    master = tmp_path / "m.dss"
    master.write_text(
        "\n".join(
            [
                *CIRCUIT,
                "new transformer.t windings=2 buses=(s b) kvs=(12.47 4.16) kvas=(500 500)",
                "new load.d bus1=b kv=4.16 kw=400",
                "new regcontrol.r transformer=t winding=2 vreg=130 ptratio=20 band=0.01",
                "set maxcontroliter=2",
                "solve",
            ]
        )
    )
    with caplog.at_level(logging.WARNING):
        FeederModel(master).close()
    assert "line 6: the controls did not settle" in caplog.text


def test_a_name_that_no_file_can_have_is_refused_by_line(tmp_path):
    master = tmp_path / "m.dss"
    master.write_text(f"new circuit.c\nredirect {'a' * 5000}.dss\n")
    with pytest.raises(FeederError, match=r"m\.dss, line 2: .*cannot be looked for"):
        read_script(master)
