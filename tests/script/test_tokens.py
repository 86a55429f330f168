"""Words are cut as the engine cuts them."""

from functools import cache

import opendssdirect
from hypothesis import given, settings
from hypothesis import strategies as st

from cosim.feeder.script.tokens import tokens
from cosim.feeder.script.vocabulary import engine_vocabulary


@cache
def _parser():
    return opendssdirect.dss.NewContext().Parser


def _as_the_engine_cuts(line, most):
    parser = _parser()
    parser.CmdString(line)
    found = []
    for _ in range(most):
        name = parser.NextParam()
        found.append((name, parser.StrValue()))
    return _without_empty_end(found)


def _without_empty_end(found):
    while found and found[-1] == ("", ""):
        found = found[:-1]
    return found


# No "@": the parser that the engine shows to others has no variables and would crash.
@settings(max_examples=2000, deadline=None)
@given(st.text(alphabet="ab1. \t,=!/\"'()[]{}|\\~%-", max_size=30))
def test_any_line_is_cut_as_the_engine_cuts_it(line):
    mine = [(token.name, token.value) for token in tokens(line)]
    assert _without_empty_end(mine) == _as_the_engine_cuts(line, len(mine) + 2)


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="ab1. \t,=!/\"'()[]{}|", max_size=30))
def test_the_places_of_a_token_lead_back_to_it(line):
    for token in tokens(line):
        assert token.value in line[token.value_start : token.end]
        assert line[token.start :].startswith(token.name) or line[token.start] in "\"'([{"


def test_abbreviations_are_those_of_the_engine(tmp_path):
    words = engine_vocabulary()
    assert words.commands.meant_by("sol")[0] == "solve"
    assert words.commands.meant_by("red")[0] == "redirect"
    assert words.classes["storage"].properties.meant_by("UserM") == ("usermodel",)
    assert words.classes["loadshape"].properties.meant_by("csv") == ("csvfile",)


def test_the_engine_takes_the_first_property_that_begins_as_written():
    dss = opendssdirect.dss.NewContext()
    dss.Text.Command("new circuit.c")
    words = engine_vocabulary()
    for written in ("le", "r", "no", "em", "sw", "ph", "rep"):
        (meant, *_) = words.classes["line"].properties.meant_by(written)
        dss.Text.Command(f"new line.x{written} bus1=a bus2=b {written}=1")
        dss.Text.Command(f"new line.y{written} bus1=a bus2=b {meant}=1")
        for name in words.classes["line"].properties.names:
            answers = []
            for element in (f"x{written}", f"y{written}"):
                dss.Text.Command(f"? line.{element}.{name}")
                answers.append(dss.Text.Result())
            assert answers[0] == answers[1], (written, meant, name)
