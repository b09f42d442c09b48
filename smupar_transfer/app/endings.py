"""How a command can end: exit codes, the exceptions that lead to them, and signals."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable
from enum import IntEnum
from functools import partial

TERMINATIONS = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
"""A batch system's time limit; a terminal that goes away; Slurm's warning before a time limit."""
AGAIN_SECONDS = 0.05
"""Until a signal is sent again whose exception Python dropped."""


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


def give_up_output() -> None:
    """Send what is still to be printed nowhere: its reader went away, and Python writes it when it exits."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def end_politely() -> None:
    """Have signals end workers and files as Ctrl-C does: by themselves, they would end Python on the spot.

    Under ``nohup``, SIGHUP stays ignored. Outside the main thread, which Python gives all signals to, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    for number in TERMINATIONS:
        if signal.getsignal(number) is not signal.SIG_IGN or number == signal.SIGTERM:
            signal.signal(number, _terminate)
    if getattr(sys.unraisablehook, "func", None) is not _insist:
        sys.unraisablehook = partial(_insist, sys.unraisablehook)


def _terminate(number: int, frame: object) -> None:
    """End the process with the exit code that shells give to a signal."""
    del frame
    raise SystemExit(128 + number)


def _insist(tell: Callable[[sys.UnraisableHookArgs], object], dropped: sys.UnraisableHookArgs) -> None:
    """Send a signal again whose exception came up within a finalizer or a callback, as imports have many.

    Python cannot raise it there: it prints a traceback, and the process goes on as if nobody had asked it to end.
    """
    error = dropped.exc_value
    codes: dict[object, signal.Signals] = {128 + number: number for number in TERMINATIONS}
    number = signal.SIGINT if isinstance(error, KeyboardInterrupt) else codes.get(getattr(error, "code", None))
    main = threading.main_thread().ident
    if number is None or main is None:
        tell(dropped)
        return
    # a moment later: here, it would be dropped once more
    again = threading.Timer(AGAIN_SECONDS, signal.pthread_kill, (main, number))
    again.daemon = True
    with contextlib.suppress(RuntimeError):  # no thread is started while the process ends by itself
        again.start()
