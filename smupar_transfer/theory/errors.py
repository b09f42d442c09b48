"""The one exception for bad input: it names the key, the value and the way out."""

from __future__ import annotations

import re
import reprlib

LONGEST_VALUE = 80
"""Characters of a value that a message shows: a file may hold megabytes where a number is expected."""
LONGEST_TEXT = 300
"""The same for text, which people must recognise: a path is cut in its middle, and only if it is very long."""
LONGEST_MESSAGE = 292
"""Characters of a whole message about a value; what is longest of it gives up its middle."""


class InputError(ValueError):
    """A value a person gave that cannot be used.

    Args:
        key: the configuration key, file or argument at fault, as the person wrote it.
        value: the offending value.
        problem: what is wrong with it, as a clause ("must lie in (0, 1]").
        remedy: what to do instead, as a sentence without its final stop; empty if the problem says it.
    """

    def __init__(self, key: str, value: object, problem: str, remedy: str = "") -> None:
        self.key, self.value, self.problem, self.remedy = key, value, problem, remedy
        text = shown_text(value) if isinstance(value, str) else shown(value)
        super().__init__(_fitted([f"{key}={text}", problem, *([remedy] if remedy else [])]))

    def __reduce__(self) -> tuple[type[InputError], tuple[str, object, str, str]]:
        """Survive the trip back from a worker process."""
        return type(self), (self.key, self.value, self.problem, self.remedy)


def _fitted(parts: list[str]) -> str:
    """Subject, problem and, if there is one, remedy as a message of one line: the way out is cut last."""
    lines = [one_line(part) for part in parts]
    # two characters between parts
    room = LONGEST_MESSAGE - 2 * (len(lines) - 1)
    # the value first, then the problem: each gives up what is too much, but not below what still tells what it is
    for index in (0, 1):
        lines[index] = _cut(lines[index], max(LONGEST_VALUE, room - sum(map(len, lines)) + len(lines[index])))
    longest = max(map(len, lines))
    while sum(min(len(line), longest) for line in lines) > room:
        longest -= 1
    subject, problem, *remedy = (_cut(line, longest) for line in lines)
    return "; ".join([f"{subject}: {problem}", *remedy])


def _cut(text: str, length: int) -> str:
    """A text of a length at most, without its middle."""
    if len(text) <= length:
        return text
    kept = length - 3  # less the dots
    return f"{text[: (kept + 1) // 2]}...{text[len(text) - kept // 2 :]}"


class _Short(reprlib.Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 3
        self.maxdict = self.maxlist = self.maxtuple = self.maxset = self.maxfrozenset = 20
        self.maxstring = self.maxother = LONGEST_VALUE

    def repr_int(self, x: int, level: int) -> str:
        """As ``repr``, which refuses numbers of more than 4,300 digits."""
        del level
        # about 100 digits: more than a message shows, and far from what `repr` refuses
        return repr(x) if x.bit_length() < 4 * LONGEST_VALUE else f"a whole number of {x.bit_length():,} bits"


def shown(value: object) -> str:
    """What ``repr`` says of a value, on one line of about 80 characters, however large or deep the value is."""
    line = one_line(_Short().repr(value))
    return line if len(line) <= LONGEST_VALUE else f"{line[:LONGEST_VALUE]}..."


def shown_text(text: str) -> str:
    """A text, without its middle if it is very long."""
    return _cut(text, LONGEST_TEXT)


def one_line(text: str) -> str:
    """A text whose line breaks and other control characters are written as escapes: a backslash and an n, say."""
    # U+0085, U+2028 and U+2029 end a line for `str.splitlines` as well; `repr` puts quotes around
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", lambda match: repr(match[0])[1:-1], text)


def is_signal(error: BaseException) -> bool:
    """Whether an error is the exit that a signal asked for, and not one that somebody's code has in it.

    Args:
        error: What was raised; the codes that shells give to signals begin above 128.
    """
    return isinstance(error, SystemExit) and isinstance(error.code, int) and error.code > 128
