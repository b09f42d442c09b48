"""Reading a person's data: what cannot be read, or held, is said with the name of the file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from smupar_transfer.records import regular
from smupar_transfer.theory import InputError

COPIES = 3
"""Of a corpus that is read at once: its files, both splits, and what is hashed."""


@contextmanager
def readable(path: str) -> Iterator[None]:
    """Turn failures to read, within the block, into an ``InputError`` that names the file, or else ``path``."""
    try:
        yield
    except OSError as error:
        shown = str(error.filename or path)
        raise InputError("data.path", shown, f"cannot be read: {error.strerror or error}") from error


def contents(files: Sequence[Path], path: str) -> list[bytes]:
    """What files hold, read at once.

    Args:
        files: The files.
        path: What a person gave, for the message.

    Raises:
        InputError: see ``require_memory``.
        OSError: one cannot be read, or is no file.
    """
    require_memory(files, path)
    return [_content(file) for file in files]


def require_memory(files: Sequence[Path], path: str) -> None:
    """Check that files can be read at once; what is refused is told beside ``path``, as a person gave it.

    Raises:
        InputError: they would not fit into this machine's memory.
    """
    total = sum(file.stat().st_size for file in files)
    if COPIES * total > _memory_bytes():
        problem = f"holds {total / 1e9:,.0f} GB, more than this machine's memory takes at once"
        raise InputError("data.path", path, problem, "give fewer files, or data=bin, whose files are mapped")


def _content(file: Path) -> bytes:
    with regular(file) as opened:
        return opened.read()


def _memory_bytes() -> float:
    """Memory of this machine; infinite where the system does not tell."""
    try:
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, ValueError, OSError):
        return float("inf")
