"""The user's cache: where it lies, and whether nobody else can have put into it what this process would run."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def user_cache() -> Path:
    """``$XDG_CACHE_HOME/smupar_transfer``, or the same below ``~/.cache``.

    Where there is no home, as in a container with a bare user id, a folder of this user's own below the temporary one.
    """
    base = os.environ.get("XDG_CACHE_HOME")
    if base:
        return Path(base) / "smupar_transfer"
    try:
        return Path.home() / ".cache" / "smupar_transfer"
    except RuntimeError:
        return Path(tempfile.gettempdir()) / f"smupar_transfer-{os.getuid()}"


def make_private(folder: Path) -> None:
    """Make a folder below the user's cache, and the cache, for nobody but its user; those that exist stay as they are.

    Raises:
        OSError: it cannot be made.
    """
    for path in (*reversed(folder.parents), folder):
        path.mkdir(mode=0o700, exist_ok=True)


def refuse_strangers(path: Path) -> None:
    """Make sure that only this user, or root, can have written a file or a folder that code is loaded from.

    The cache and all that lies in it count, and the folder that the cache lies in, which others could put another cache
    into. Of folders with the sticky bit, such as /tmp, they cannot.

    Raises:
        PermissionError: somebody else could.
    """
    if os.name != "posix":  # elsewhere, modes say nothing
        return
    outer = user_cache().parent
    for part in (path, *(parent for parent in path.parents if parent == outer or outer in parent.parents)):
        status = part.stat()
        if status.st_uid not in (os.getuid(), 0):
            raise PermissionError(f"{part} belongs to another user; set XDG_CACHE_HOME to a folder of your own")
        if status.st_mode & OTHERS_WRITE and not status.st_mode & stat.S_ISVTX:
            raise PermissionError(f"others may write {part}; run: chmod go-w {part}, or set XDG_CACHE_HOME")
