"""Which process is this, and has that one ended?"""

from __future__ import annotations

import functools
import os
import uuid
from pathlib import Path

ENDED = "ended"
"""In the place of a time of birth: of a process that has ended and that its parent has not asked about yet."""


def this_process() -> str:
    """A name for this process that no other process on any machine has had: machine, process id, time of birth."""
    return f"{_machine() or f'{uuid.getnode():x}'}/{os.getpid()}/{_birth(os.getpid())}"


def has_died(process: str) -> bool:
    """Whether a process is known to have ended.

    Args:
        process: The process, as ``this_process`` named it there.

    Returns:
        Whether it has ended; False where this cannot be known, as of a process on another machine or in another
        container, or whose name is damaged.
    """
    # filled up, so that a damaged name has three parts as well
    machine, pid, birth = ["", "", *process.rsplit("/", 2)][-3:]
    if machine != _machine() or not pid.isdecimal():
        return False
    try:
        # signal 0 is not sent: the kernel only looks whether it could be
        os.kill(int(pid), 0)
    except (ProcessLookupError, OverflowError):
        return True
    except PermissionError:  # somebody else's: alive, or a new one with an old number
        return False
    # numbers are given out again: a process that was born at another time is not the one that was meant
    return _birth(int(pid)) not in (birth, "")


@functools.cache
def _machine() -> str | None:
    """This boot of this machine, and the container in which process ids count; None where Linux does not tell."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}:{os.readlink('/proc/self/ns/pid')}"  # noqa: PTH115 - no path: "pid:[4026531836]"
    except OSError:
        return None


def _birth(pid: int) -> str:
    """When a process began, in the kernel's ticks since boot; empty where that cannot be read."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return ""
    state, birth = fields[0], fields[19]  # columns 3 and 22 of proc(5); column 2, in brackets, may hold blanks
    return ENDED if state in "ZX" else birth
