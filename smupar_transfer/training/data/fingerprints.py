"""What is known of the content of files, so that they are read through once and not by every command and worker."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from smupar_transfer.kernels import user_cache
from smupar_transfer.records import regular, write_atomically
from smupar_transfer.theory import InputError

Facts = dict[str, int | str]
"""What was found out about files by reading them: plain values by name."""

SETTLED_SECONDS = 2.0
"""A file that changed a moment ago may change again within one tick of its time stamp: nothing is remembered of it."""
# bytes that are read in one piece: a file may be larger than the memory
_CHUNK = 1 << 24


def facts_folder() -> Path:
    """Where facts about files are kept."""
    return user_cache() / "files"


def identities(files: Sequence[Path]) -> list[tuple[str | int, ...]]:
    """What is another whenever a file's content is: its place, number, size and the times of its last changes."""
    status = [(os.path.realpath(file), file.stat()) for file in files]
    # the last of them cannot be set back, as programs that copy or unpack do with the one before it
    return [(path, at.st_dev, at.st_ino, at.st_size, at.st_mtime_ns, at.st_ctime_ns) for path, at in status]


def remembered(files: Sequence[Path], what: str, find_out: Callable[[], Facts]) -> Facts:
    """Facts about files, from the user's cache where they were found out before and no file has changed since.

    Args:
        files: The files, in order.
        what: What is asked; another word where other facts are asked of the same files.
        find_out: Reads the files. What it finds is kept where the cache can be written.
    """
    known = identities(files)
    name = hashlib.sha256(json.dumps([what, known]).encode()).hexdigest()
    entry = facts_folder() / f"{name}.json"
    with contextlib.suppress(OSError, ValueError):  # absent or damaged: the files are read
        facts = json.loads(entry.read_bytes())
        if isinstance(facts, dict) and facts:
            return facts
    facts = find_out()
    latest = max((max(file.stat().st_mtime, file.stat().st_ctime) for file in files), default=0.0)
    if identities(files) == known and time.time() - latest > SETTLED_SECONDS:
        # a cache that cannot be written spares nothing, and does no harm
        with contextlib.suppress(InputError):
            write_atomically(entry, json.dumps(facts))
    return facts


def sha256_of(files: Sequence[Path], between: bytes = b"") -> str:
    """The hash of the content of files, one after the other; ``between`` stands between two of them."""
    digest = hashlib.sha256()
    for number, file in enumerate(files):
        digest.update(between if number else b"")
        for chunk in _chunks(file):
            digest.update(chunk)
    return digest.hexdigest()


def _chunks(file: Path) -> Iterator[bytes]:
    with regular(file) as stream:
        while chunk := stream.read(_CHUNK):
            yield chunk
