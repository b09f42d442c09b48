"""Ctrl-C, and the signals of batch systems, held back until a run can be left without loss."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
"""Ctrl-C; a batch system's time limit; a terminal that goes away; Slurm's warning before a time limit
(``--signal=USR1@60``)."""


# no Exception: handlers of errors within the block would take it for one and go on
class _TerminatedError(BaseException):
    """SIGTERM came."""


def never() -> bool:
    """Nobody asks a run to end."""
    return False


@contextmanager
def endings_held_back(agree: Callable[[int], int] | None = None) -> Iterator[Callable[[], bool]]:
    """Hold back the first signal that asks this process to end until the block is done; a second one acts at once.

    Each then does what it would have done outside the block. Signals that are ignored stay ignored, and outside the
    main thread, where Python delivers none, nothing is held back.

    Args:
        agree: What makes of this process's signal, 0 for none, that of all processes that end together. They get it
            from several sides, so a second one does not act at once there.

    Yields:
        A function that says whether one was held back, so that the block can come to its end.
    """
    if threading.current_thread() is not threading.main_thread():
        yield never
        return
    handlers = {number: signal.getsignal(number) for number in ENDINGS}
    # None stands for a handler that was set in C, and that Python could not put back
    outside = {number: handler for number, handler in handlers.items() if handler not in (signal.SIG_IGN, None)}
    asked: list[int] = []

    def restore() -> None:
        for number, handler in outside.items():
            signal.signal(number, handler)

    def hold_back(number: int, frame: object) -> None:
        del frame
        asked.append(number)
        if len(asked) > 1 and agree is None:
            restore()
            signal.raise_signal(number)

    def asked_to_end() -> bool:
        own = asked[0] if asked else 0
        number = own if agree is None else agree(own)
        # another process was asked: this one ends of the same signal, and with the same exit code
        if number and not asked:
            asked.append(number)
        return number > 0

    for number in outside:
        signal.signal(number, hold_back)
    try:
        yield asked_to_end
    finally:
        restore()
    if asked:
        signal.raise_signal(asked[0])


@contextmanager
def termination_raised() -> Iterator[None]:
    """Have a SIGTERM that would end this process on the spot unwind the block first, and end the process after it.

    Workers are ended by it. Where SIGTERM has another answer, or outside the main thread, the block is run as it is.
    """
    on_the_spot = signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    if not on_the_spot or threading.current_thread() is not threading.main_thread():
        yield
        return

    def unwind(number: int, frame: object) -> None:
        del number, frame
        raise _TerminatedError

    signal.signal(signal.SIGTERM, unwind)
    try:
        yield
    except _TerminatedError:
        # by the signal itself, as whoever waits for this process reads from its exit status
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
