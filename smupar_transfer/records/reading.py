"""Reading files that anybody may have made: what is no file of bytes is refused before it can block or fill memory."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from smupar_transfer.theory import InputError

LARGEST_BY_HAND = 2**18
"""Bytes of a file of YAML that people write or edit: a recipe has 2,000, and reading more takes seconds."""
LARGEST_PAGE = 2**24
"""Bytes of a file beside the records, such as the list of a sweep's runs."""
LARGEST = 2**31
"""Bytes of a file that is read at once; a record has some 3,000, and 10^5 runs are a lot."""


@contextmanager
def regular(path: Path) -> Iterator[BinaryIO]:
    """Open a file of bytes.

    Raises:
        OSError: there is none, or it is a folder, or a pipe, a device or a socket, which might never end.
    """
    # without O_NONBLOCK, opening a pipe waits for somebody to write into it
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    try:
        mode = os.fstat(handle).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "it is a pipe, a device or a socket, no file", str(path))
        # the handle is closed below in any case, also where no file object was made of it
        with os.fdopen(handle, "rb", closefd=False) as file:
            yield file
    finally:
        os.close(handle)


def read_text(path: Path, key: str, remedy: str = "", largest: int = LARGEST) -> str:
    """Content of a text file.

    Args:
        path: The file.
        key: The configuration key that led here, for the message.
        remedy: What to do where there is no such file.
        largest: The number of bytes that it may have.

    Raises:
        InputError: the file cannot be read, is larger, or is no text; the message names ``key``.
    """
    try:
        with regular(path) as file:
            # one byte more tells that a file is too large without reading the rest
            content = file.read(largest + 1)
        if len(content) > largest:
            raise InputError(key, str(path), f"has more than {largest:,} bytes, too many for what it should be")
        text = content.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        no_text = f"it is no text ({error})" if isinstance(error, UnicodeDecodeError) else ""
        reason = no_text or getattr(error, "strerror", None) or str(error)
        hint = remedy if isinstance(error, FileNotFoundError) else ""
        raise InputError(key, str(path), f"cannot be read: {reason}", hint) from error
    return text.replace("\r\n", "\n").replace("\r", "\n")  # as Python's own text files
