"""What to say when the operating system refuses to read a person's files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from smupar_transfer.theory import InputError


@contextmanager
def readable(path: str) -> Iterator[None]:
    """Turn failures to read, within the block, into an ``InputError`` that names the file, or else ``path``."""
    try:
        yield
    except OSError as error:
        shown = str(error.filename or path)
        raise InputError("data.path", shown, f"cannot be read: {error.strerror or error}") from error
