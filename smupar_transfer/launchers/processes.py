"""A worker that is a process of this machine, and how processes begin and end."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import connection, resource_tracker
from typing import Any

from smupar_transfer.launchers.plugins import import_plugins

ENDING_SECONDS = 5.0
"""For processes that were told to end."""
PARENT_SECONDS = 1.0
"""Between two looks whether the parent of a process lives, where the kernel does not tell."""


class ProcessWorker:
    """One fresh process: never a fork, which torch's thread pools do not survive. See ``jobs.Worker``."""

    def __init__(self) -> None:
        # a pool for each worker: one that loses a process is broken as a whole
        self._executor = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), begin, (os.getpid(),))
        self._processes: list[multiprocessing.process.BaseProcess] = []

    def submit(self, work: Callable[[Any], Any], job: object) -> Future[Any]:
        """See ``Worker``."""
        # the pool does not say which process is its own
        before = multiprocessing.active_children()
        with _interrupts_blocked():  # a pool starts its process when it is given a job
            future = self._executor.submit(work, job)
        self._processes += [child for child in multiprocessing.active_children() if child not in before]
        return future

    def why_dead(self) -> str:
        """See ``Worker``."""
        deadline = time.monotonic() + ENDING_SECONDS
        # asked again: beside the pool's own thread, which waits too, a code may be known a moment later
        while any(process.exitcode is None for process in self._processes) and time.monotonic() < deadline:
            time.sleep(0.01)
        codes = [process.exitcode for process in self._processes]
        killed = [code for code in codes if code]
        return _told(killed[0]) if killed else "its process ended"

    def close(self) -> None:
        """See ``Worker``."""
        self._executor.shutdown(wait=True)

    def kill(self) -> None:
        """See ``Worker``."""
        self._executor.shutdown(wait=False, cancel_futures=True)
        for process in self._processes:
            # told first: a worker whose run is tracked still tells its tracker of the end
            process.terminate()
        for process in self._processes:
            process.join(ENDING_SECONDS)
            if process.is_alive():
                process.kill()


def _told(code: int) -> str:
    """What became of a process, by its exit code."""
    if code >= 0:
        return f"its process ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"its process was killed by {name}" + (", as it is when memory runs out" if name == "SIGKILL" else "")


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Have processes that are started here born deaf to Ctrl-C.

    A terminal sends it to all processes of a command. This one answers it and ends the others; one that is still
    importing when it comes would print a traceback of its own. It is delivered to this process after the block.
    """
    resource_tracker.ensure_running()  # a pool starts it with its first process, and doing so lifts the block
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def begin(parent: int) -> None:
    """What a worker on this machine does first.

    Args:
        parent: The number of the process that started it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # blocked until here: what came meanwhile is dropped
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    import_plugins()


def _end_with(parent: int) -> None:
    """End this process when the one that started it has: nobody else could tell it to, after a ``kill -9``."""
    process = multiprocessing.parent_process()
    if process is not None and process.sentinel is not None:
        connection.wait([process.sentinel])
    else:  # another library started it, which does not tell
        while os.getppid() == parent:
            time.sleep(PARENT_SECONDS)
    # sys.exit would end this thread alone
    os._exit(1)
