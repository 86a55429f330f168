"""A master and all that it leads to, as the list of statements the engine gets.

The engine would follow a script wherever it leads: it loads native code that the script names, and writes
files where the script says. So the script is read here first; the engine gets checked statements only,
with the full paths of the files they name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cosim.bounded import MEBIBYTE, Unreadable
from cosim.errors import FeederError
from cosim.feeder.script import rules
from cosim.feeder.script.files import locate, script_lines
from cosim.feeder.script.statement import Refused, Statement
from cosim.feeder.script.tokens import Token, tokens
from cosim.feeder.script.vocabulary import ElementClass, Vocabulary, engine_vocabulary

MOST_DEPTH = 20
MOST_BYTES = 512 * MEBIBYTE
MOST_STATEMENTS = 2_000_000
MOST_SCRIPTS = 2_000
MOST_SHOWN = 120
CONTROL_CHARACTERS = frozenset(map(chr, range(32))) - {"\t"}


@dataclass(frozen=True)
class Command:
    """A statement for the engine.

    Attributes:
        text: with full paths.
        path, line: where it stands.
        solves: whether it asks for a power flow.
    """

    text: str
    path: Path
    line: int
    solves: bool = False

    @property
    def place(self) -> str:
        """File and line, for a message."""
        return f"{self.path}, line {self.line}"


@dataclass(frozen=True)
class Note:
    """Something in a script that is not done as written.

    Attributes:
        text: what.
        path, line: where it stands.
    """

    text: str
    path: Path
    line: int


@dataclass(frozen=True)
class Script:
    """A master, read.

    Attributes:
        commands: for the engine, in order.
        notes: what is left out, or found under another name.
        files: the master and everything it names, in reading order.
    """

    commands: tuple[Command, ...]
    notes: tuple[Note, ...]
    files: tuple[Path, ...]

    def summary(self) -> str:
        """The notes in one sentence, empty where there are none."""
        if not self.notes:
            return ""
        first, count = self.notes[0], len(self.notes)
        more = "" if count == 1 else f", and {count - 1} more like it"
        return f"{first.path.name}, line {first.line}: {first.text}{more}"


def read_script(master: Path, *, trusted: bool = False) -> Script:
    """Read a master and everything it redirects to.

    Args:
        master: OpenDSS file.
        trusted: it may name native code, which the engine executes.

    Raises:
        FeederError: a file is missing or no regular file, a line asks for something that is not done,
            a script leads back to itself, or all of them together are too large.
    """
    reader = _Reader(engine_vocabulary(), trusted=trusted)
    try:
        path, _ = locate(Path.cwd(), str(master))
    except Unreadable as error:
        raise FeederError(f"master file {master} {error}") from error
    reader.read(path.resolve())
    return Script(tuple(reader.commands), tuple(reader.notes), tuple(reader.files))


class _Reader:
    def __init__(self, vocabulary: Vocabulary, *, trusted: bool) -> None:
        self._words, self._trusted = vocabulary, trusted
        self._open: list[Path] = []
        self._folder = Path()
        self._kind: ElementClass | None = None
        self._bytes = self._scripts = 0
        self.commands: list[Command] = []
        self.notes: list[Note] = []
        self.files: dict[Path, None] = {}

    def read(self, path: Path) -> None:
        """Read a script in its own folder."""
        if path in self._open:
            raise FeederError(f"{path} redirects to itself, by way of {self._open[-1]}")
        if len(self._open) >= MOST_DEPTH:
            raise FeederError(f"{path}: scripts are nested more than {MOST_DEPTH} deep")
        try:
            lines, size = script_lines(path)
        except Unreadable as error:
            raise FeederError(f"{path} {error}") from error
        self._bytes += size
        self._scripts += 1
        if self._scripts > MOST_SCRIPTS:
            raise FeederError(f"{path}: more than {MOST_SCRIPTS} scripts are read one after another")
        if self._bytes > MOST_BYTES:
            raise FeederError(f"{path}: the scripts together exceed {MOST_BYTES / MEBIBYTE:.0f} MiB")
        self.files[path] = None
        self._open.append(path)
        self._folder = path.parent
        for number, line in _outside_comments(lines):
            self._read_line(line, path, number)
        self._open.pop()

    def _read_line(self, line: str, path: Path, number: int) -> None:
        words = tokens(line)
        first = next(words, None)
        if first is None or not first.value:
            return
        try:
            _must_be_plain(line)
            if first.name:
                line = _as_an_edit(line, first)
                words = tokens(line)
                first = next(words)
            self._obey(first, words, line, path, number)
        except Refused as error:
            shown = line.strip()[:MOST_SHOWN]
            raise FeederError(f"{path}, line {number}: {error}; the line is: {shown}") from error
        if len(self.commands) > MOST_STATEMENTS:
            raise FeederError(f"{path}, line {number}: more than {MOST_STATEMENTS} statements")

    def _obey(self, first: Token, words: Iterator[Token], line: str, path: Path, number: int) -> None:
        def note(text: str) -> None:
            self.notes.append(Note(text, path, number))

        statement = Statement(line, self._folder, self._words, trusted=self._trusted, note=note)
        meant = self._words.commands.meant_by(first.value)
        command = meant[0] if meant else ""
        if command in rules.ASKS:
            return
        if command in rules.WRITES:
            note(f"{command} is left out")
            return
        if command in rules.READS_SCRIPT:
            self._follow(statement, command, words)
            return
        if command == "cd":
            self._change_folder(words)
            return
        if not self._check_command(statement, command, first, words):
            return
        self.files.update(dict.fromkeys(statement.files))
        self.commands.append(Command(statement.text(), path, number, command == "solve"))

    def _check_command(
        self, statement: Statement, command: str, first: Token, words: Iterator[Token]
    ) -> bool:
        """Check a command that the engine gets; whether anything of it is left."""
        statement.name_command(first, command)
        if command in rules.CONTINUES:
            statement.check_properties(words, self._kind)
        elif command in rules.EDITS:
            self._kind = self._class_named(next(words, None), new=command == "new")
            statement.check_properties(words, self._kind)
        elif command in rules.SETS:
            self._kind = None
            return statement.check_options(self._with_folder(words)) or command == "solve"
        elif command == "select":
            self._kind = self._class_named(next(words, None), new=False)
        elif command in rules.READS_FILE:
            self._kind = None
            statement.point_to(_required(next(words, None), command))
        elif command in rules.OBEYED:
            self._kind = None
        elif command:
            raise Refused(f"the command {command} is not for scripts of a feeder")
        else:
            raise Refused(f"there is no command {first.value[:MOST_SHOWN]!r}")
        return True

    def _class_named(self, token: Token | None, *, new: bool) -> ElementClass:
        """The class of the element that a line is about."""
        word = _required(token, "element")
        name = word.value.partition(".")[0].lower()
        if word.name and word.name.lower() != "object":
            raise Refused(f"an element is expected, as in line.name, not {word.name}={word.value}")
        if new and name == "circuit":
            name = "vsource"
        if name not in self._words.classes:
            raise Refused(f"there is no class {name!r}")
        return self._words.classes[name]

    def _follow(self, statement: Statement, command: str, words: Iterator[Token]) -> None:
        """Read another script; only ``compile`` leaves its folder behind."""
        before = self._folder
        named = next(words, None)
        if named is None or not named.value:
            return
        self.read(statement.point_to(named).resolve())
        if command == "redirect":
            self._folder = before
        self._kind = None

    def _with_folder(self, words: Iterator[Token]) -> Iterator[Token]:
        """The words of ``set``; a data path is where later names of files begin."""
        for token in words:
            if self._words.options.meant_by(token.name)[:1] == ("datapath",):
                self._enter(token.value)
            yield token

    def _change_folder(self, words: Iterator[Token]) -> None:
        self._enter(_required(next(words, None), "cd").value)

    def _enter(self, written: str) -> None:
        folder = self._folder / written.strip().replace("\\", "/")
        if folder.is_dir():
            self._folder = folder


def _outside_comments(lines: list[str]) -> Iterator[tuple[int, str]]:
    """Numbered lines without the blocks from ``/*`` to ``*/``; the engine drops both lines whole."""
    inside = False
    for number, line in enumerate(lines, start=1):
        if not inside and line.startswith("/*"):
            inside = True
        elif not inside:
            yield number, line
        if inside and "*/" in line:
            inside = False


def _required(token: Token | None, what: str) -> Token:
    if token is None or not token.value:
        raise Refused(f"{what}: a name is missing")
    return token


def _as_an_edit(line: str, first: Token) -> str:
    """``class.name.property=value``, or a property of the active element, written as an edit."""
    owner, _, written = first.name.rpartition(".")
    rest = line[first.value_start :]
    return f"edit {owner} {written}={rest}" if owner else f"~ {written}={rest}"


def _must_be_plain(line: str) -> None:
    if CONTROL_CHARACTERS.intersection(line):
        raise Refused("the line holds a control character")
