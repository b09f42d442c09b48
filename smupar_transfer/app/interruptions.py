"""Signals that ask a command to end: each ends it as Ctrl-C does, wherever the command is at."""

from __future__ import annotations

import signal
import sys
import threading

POLITE = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
"""What batch systems and terminals send; by themselves these would end Python on the spot."""
AGAIN_SECONDS = 0.05
"""Until a signal that Python dropped is sent once more; it may be dropped again, and sent again."""

_show_unraisable = sys.unraisablehook


def end_politely() -> None:
    """Have signals end workers and files as Ctrl-C does, and none be dropped.

    Under ``nohup``, SIGHUP stays ignored.
    """
    for number in POLITE:
        if signal.getsignal(number) is not signal.SIG_IGN or number == signal.SIGTERM:
            signal.signal(number, _terminate)
    sys.unraisablehook = _send_again


def _terminate(number: int, frame: object) -> None:
    """End the process with the exit code that shells give to a signal."""
    del frame
    raise SystemExit(128 + number)


def _send_again(dropped: sys.UnraisableHookArgs) -> None:
    """Send a signal again that came while Python ran a finalizer or a weak reference's callback.

    What such a function raises Python prints and drops: the command would go on as if nobody had asked it to end.
    """
    number = _signal_of(dropped.exc_value)
    if number is None:
        _show_unraisable(dropped)
        return
    # later, since it would be raised in this function now; to the main thread, which may be waiting for something
    again = threading.Timer(AGAIN_SECONDS, signal.pthread_kill, (threading.main_thread().ident, number))
    again.daemon = True
    again.start()


def _signal_of(error: BaseException | None) -> int | None:
    if isinstance(error, KeyboardInterrupt):
        return signal.SIGINT
    code = error.code if isinstance(error, SystemExit) else None
    return next((number for number in POLITE if code == 128 + number), None)
