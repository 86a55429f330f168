"""One line of a script: checked word by word, and written anew where that is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from cosim.bounded import Unreadable
from cosim.feeder.script import rules
from cosim.feeder.script.files import locate
from cosim.feeder.script.tokens import Token, tokens
from cosim.feeder.script.vocabulary import ElementClass, Vocabulary

FILE_IN_ARRAY = frozenset({"file", "dblfile", "sngfile", "csvfile"})
"""Names by which the value of an array is a file."""


class Refused(ValueError):
    """A line that is not executed; the text says why."""


class Statement:
    """A line on its way to the engine.

    Args:
        line: as written.
        folder: that relative names of files begin in.
        vocabulary: of the engine.
        trusted: native code may be loaded.
        note: is told what was left out or found in another case.
    """

    def __init__(
        self,
        line: str,
        folder: Path,
        vocabulary: Vocabulary,
        *,
        trusted: bool,
        note: Callable[[str], None],
    ) -> None:
        self._line, self._folder, self._words, self._trusted = line, folder, vocabulary, trusted
        self._note = note
        self._changes: list[tuple[int, int, str]] = []
        self.files: list[Path] = []

    def text(self) -> str:
        """The line for the engine."""
        text = self._line
        for start, end, new in sorted(self._changes, reverse=True):
            text = text[:start] + new + text[end:]
        return text.strip()

    def name_command(self, token: Token, command: str) -> None:
        """Write a command in full, so that the engine does what was checked."""
        if token.value.lower() != command:
            self._changes.append((token.start, token.end, command))

    def check_options(self, words: Iterable[Token]) -> bool:
        """Check the words of ``set`` or ``solve``.

        Returns:
            Whether any option is left.
        """
        pointer, kept, count = 0, 0, 0
        names = self._words.options.names
        for token in words:
            count += 1
            if token.name:
                meant = self._words.options.meant_by(token.name)
                if not meant:
                    raise Refused(f"there is no option {token.name!r}")
                option = meant[0]
                pointer = names.index(option) + 1
            else:
                option, pointer = names[pointer] if pointer < len(names) else "", pointer + 1
            kept += self._check_option(token, option)
        return kept > 0 or count == 0

    def _check_option(self, token: Token, option: str) -> bool:
        if option in rules.OPTIONS_LEFT_OUT:
            self._leave_out(token, f"set {option}")
            return False
        if option not in rules.OPTIONS_OBEYED:
            raise Refused(f"option {option or token.value!r} is not for scripts of a feeder")
        if option in rules.OPTION_BOUNDS:
            _must_be_within(option, token, rules.OPTION_BOUNDS[option])
        self._spell(token, option)
        return True

    def check_properties(self, words: Iterable[Token], kind: ElementClass | None, pointer: int = 0) -> None:
        """Check properties of an element.

        Args:
            words: behind the name of the element.
            kind: its class; None where it is not known, and values need names.
            pointer: number of the property that a value without a name belongs to.
        """
        for token in words:
            if token.name:
                pointer = self._check_named(token, kind)
            elif kind is None:
                raise Refused(
                    f"{token.value!r} has no name, and the class of the element is not known here"
                )
            elif pointer >= len(kind.properties.names):
                raise Refused(f"{token.value!r}: {kind.name} has only {pointer} properties")
            else:
                self._check_property(token, kind.properties.names[pointer], kind)
                pointer += 1

    def _check_named(self, token: Token, kind: ElementClass | None) -> int:
        """Check a property by its name; returns the number of the next one."""
        if kind is None:
            for name in self._possible(token.name):
                self._check_property(token, name, None)
            return 0
        meant = kind.properties.meant_by(token.name)
        if not meant:
            raise Refused(f"{kind.name} has no property {token.name!r}")
        self._check_property(token, meant[0], kind)
        return kind.properties.names.index(meant[0]) + 1

    def _possible(self, written: str) -> Iterator[str]:
        """Properties of any class that a word may stand for."""
        found = dict.fromkeys(
            meant[0]
            for kind in self._words.classes.values()
            if (meant := kind.properties.meant_by(written))
        )
        if not found:
            raise Refused(f"no class has a property {written!r}")
        special = [name for name in found if name in self._words.files or name in rules.NATIVE_DATA]
        if special and len(found) > 1 and written.lower() not in found:
            raise Refused(f"{written!r} may stand for {', '.join(found)}; write it in full")
        return iter(found)

    def _check_property(self, token: Token, name: str, kind: ElementClass | None) -> None:
        files = self._words.files if kind is None else kind.files
        actions = self._words.actions if kind is None else kind.actions
        if name in rules.NATIVE_CODE | rules.NATIVE_DATA:
            if not self._trusted:
                raise Refused(
                    f"{name}={token.value} makes the engine execute native code; "
                    "allow it with --trust if you know where it comes from"
                )
            if name in rules.NATIVE_CODE:
                self._point_to_file(token)
        elif name in files:
            self._point_to_file(token)
        elif name in rules.PROPERTIES_LEFT_OUT:
            self._leave_out(token, name)
            return
        elif name in actions and not _is_obeyed_action(token.value):
            self._leave_out(token, f"{name}={token.value}")
            return
        elif name in rules.BOUNDS:
            _must_be_within(name, token, rules.BOUNDS[name])
        else:
            self._point_inside(token)
        if kind is not None:
            self._spell(token, name)

    def _spell(self, token: Token, name: str) -> None:
        """Write an abbreviated name in full."""
        if token.name and token.name.lower() != name and not name.startswith("%"):
            self._changes.append((token.start, token.start + len(token.name), name))

    def point_to(self, token: Token) -> Path:
        """Replace the name of a file by its full path.

        Returns:
            The file.
        """
        try:
            path, other_case = locate(self._folder, token.value)
        except Unreadable as error:
            raise Refused(f"the file {token.value!r} {error}") from error
        if other_case:
            self._note(f"{token.value!r} is taken for {path.name!r}, which differs by upper and lower case")
        full = str(path.resolve())
        if '"' in full:
            raise Refused(f"the path {full} holds a quotation mark")
        self.files.append(path.resolve())
        self._changes.append((token.value_start, token.end, f'"{full}"'))
        return path

    def _point_to_file(self, token: Token) -> None:
        if token.value.startswith("@"):
            raise Refused(f"{token.value} is a variable where a file is named; write the name")
        if token.value:
            self.point_to(token)

    def _point_inside(self, token: Token) -> None:
        """The same for a file inside the value of an array, as in ``mult=(file=day.csv)``."""
        if not token.quoted or "=" not in token.value:
            return
        inner = list(tokens(token.value))
        named = [word for word in inner if word.name.lower() in FILE_IN_ARRAY]
        if not named:
            return
        inside = Statement(token.value, self._folder, self._words, trusted=self._trusted, note=self._note)
        for word in named:
            inside._point_to_file(word)
        text = inside.text()
        if "}" in text:
            raise Refused(f"a name of a file holds a brace: {token.value}")
        self.files += inside.files
        self._changes.append((token.value_start, token.end, "{" + text + "}"))

    def _leave_out(self, token: Token, what: str) -> None:
        self._note(f"{what} is left out")
        self._changes.append((token.start, token.end, ""))


def _is_obeyed_action(value: str) -> bool:
    return bool(value) and any(name.startswith(value.lower()) for name in rules.ACTIONS_OBEYED)


def _must_be_within(name: str, token: Token, most: float) -> None:
    try:
        value = float(token.value)
    except ValueError as error:
        raise Refused(f"{name}={token.value} is no plain number") from error
    if not value <= most:
        raise Refused(f"{name}={token.value} is above {most:g}, the most that is read")
