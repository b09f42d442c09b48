"""How a command can end: exit codes, and the exceptions that lead to them."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What a shell sees. A check's verdict has codes of its own: a crash or bad input is never taken for one."""

    # 1 and 2 as diff and grep have them: a difference, and trouble
    GOOD = 0
    CHECK_FAILED = 1
    """Something that was required of a result does not hold."""
    BAD_INPUT = 2
    """A word, a file or a server cannot be used; one line said why."""
    UNDECIDED = 3
    """Something that was required of a result could not be decided: intervals are too wide."""
    INCOMPLETE = 4
    """Some runs were given up, and all others are done: the same command tries them again."""
    CRASHED = 70
    """A fault of this program (``EX_SOFTWARE`` of sysexits.h); a traceback was printed."""
    INTERRUPTED = 130
    """Ctrl-C."""


class CheckFailedError(Exception):
    """What a person required of a result does not hold; the message says what."""


class CheckUndecidedError(Exception):
    """What a person required of a result could not be decided; the message says what, and what would decide it."""
