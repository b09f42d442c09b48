"""The files of a run's checkpoints: the newest, those before it, and what a killed process left half-written."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import socket
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import torch

from smupar_transfer.theory import InputError

KEEP = 2
"""Generations that are kept where nobody says how many: the newest, and one to go back to if it is damaged."""
FOREIGN_SECONDS = 86_400.0
"""The age from which a half-written file of another machine, whose processes cannot be looked at, counts as left."""


@dataclass
class CheckpointFiles:
    """The generations of one run's checkpoint, each a file, or a folder where several processes wrote parts of it.

    ``run.pt`` is the newest, ``run.1.pt`` the one before it, and so on. A new one is written beside them under another
    name and renamed when all of it is on the disk, so whenever a process dies at least one whole generation is left.

    Attributes:
        newest: The path of the newest.
        keep: The number of generations that are kept, at least 1.
        damaged: Those that could not be read; they go when the next is written, in the place of a good one.
    """

    newest: Path
    keep: int = KEEP
    damaged: list[Path] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.keep < 1:
            raise InputError("checkpoint.keep", self.keep, "must be at least 1")

    def _generation(self, number: int) -> Path:
        return self.newest.with_name(f"{self.newest.stem}.{number}{self.newest.suffix}") if number else self.newest

    def existing(self) -> list[Path]:
        """All generations that are there, newest first; numbers may be missing where a process died renaming them."""
        pattern = re.compile(rf"{re.escape(self.newest.stem)}(?:\.(\d+))?{re.escape(self.newest.suffix)}")
        matches = [(pattern.fullmatch(name), name) for name in _names(self.newest.parent)]
        numbered = [(int(match[1] or 0), name) for match, name in matches if match]
        return [self.newest.with_name(name) for _, name in sorted(numbered)]

    @contextmanager
    def writing(self) -> Iterator[Path]:
        """Make the next generation: at the end of the block, what it wrote to the path it was given is the newest.

        Yields:
            A path at which there is nothing yet, for a file or a folder.

        Raises:
            InputError: it cannot be written; what was there before is left as it was.
        """
        temporary = self.begin()
        try:
            with self.told():
                yield temporary
            self.finish(temporary)
        finally:
            remove(temporary)

    def begin(self) -> Path:
        """A path for the next generation, at which there is nothing yet; see ``writing``."""
        with self.told():
            self.newest.parent.mkdir(parents=True, exist_ok=True)
        # names the writer, so that a later process can tell whether it still writes
        owner = f"{socket.gethostname()}-{os.getpid()}"
        return self.newest.with_name(f".{self.newest.name}.{owner}-{secrets.token_hex(4)}")

    def finish(self, temporary: Path) -> None:
        """Make what was written at a path that ``begin`` gave the newest generation; see ``writing``."""
        with self.told():
            self._replace_newest(temporary)

    @contextmanager
    def told(self) -> Iterator[None]:
        """Say of an error of the operating system that this checkpoint cannot be written.

        Raises:
            InputError: there was one.
        """
        try:
            yield
        except OSError as error:
            problem = f"cannot be written: {error.strerror or error}"
            raise InputError("results_dir", str(self.newest), problem, "nothing was changed") from error

    def _replace_newest(self, temporary: Path) -> None:
        # before the others move up: a damaged generation would count among those that are kept
        for path in self.damaged:
            remove(path)
        self.damaged.clear()
        generations = self.existing()
        # the oldest first, so that every name is free when it is taken
        for number, path in reversed(list(enumerate(generations, start=1))):
            path.rename(self._generation(number))
        temporary.rename(self.newest)
        sync(self.newest.parent)  # else a power cut may undo the renaming
        # last of all: until here there may be one generation too many, and never one too few
        for path in self.existing()[self.keep :]:
            remove(path)

    def remove_strays(self) -> None:
        """Remove what processes that are no more left half-written."""
        prefix = f".{self.newest.name}."
        for name in _names(self.newest.parent):
            path = self.newest.with_name(name)
            if name.startswith(prefix) and _is_left(path, name.removeprefix(prefix)):
                remove(path)


def _names(folder: Path) -> list[str]:
    try:
        return sorted(path.name for path in folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise InputError("results_dir", str(folder), f"cannot be read: {error.strerror or error}") from error


def _is_left(path: Path, owner: str) -> bool:
    """Whether the process that writes a file is no more; files of earlier versions do not name it."""
    match = re.fullmatch(r"(.*)-(\d+)-[0-9a-f]{8}", owner)
    if match is not None and match[1] == socket.gethostname():
        return not _is_alive(int(match[2]))
    with suppress(OSError):
        return time.time() - path.stat().st_mtime > FOREIGN_SECONDS
    return False


def _is_alive(process: int) -> bool:
    try:
        # signal 0 is delivered to nobody: the system only says whether the process is there
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # somebody else's process, which lives
        return True
    return True


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there and may be removed: nothing depends on its being gone."""
    with suppress(OSError):
        # rmtree refuses links, and what they lead to is not ours to remove
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Have a file, or the names in a folder, on the disk before anything else happens."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError:
        if not path.is_dir():  # some network file systems cannot do it for folders
            raise
    finally:
        os.close(handle)


class _Noting:
    """A file that remembers why it could not be written: ``torch.save`` tells that it could not be, and not why."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        """See ``io.RawIOBase.write``."""
        try:
            return self._file.write(data)
        except OSError as error:
            self.error = error
            raise

    def flush(self) -> None:
        """See ``io.IOBase.flush``."""


def write_content(content: dict[str, Any], path: Path) -> None:
    """Write a file that ``torch.load`` reads, to the disk and not only to the system's memory.

    Raises:
        OSError: it cannot be written.
    """
    with path.open("xb") as file:
        noting = _Noting(file)
        try:
            torch.save(content, noting)  # type: ignore[arg-type]
        except RuntimeError as error:
            raise noting.error or error from None
        file.flush()
        os.fsync(file.fileno())  # before the name changes: after a crash the new name must lead to all of it


def read_content(path: Path) -> Any:
    """What ``write_content`` wrote, on the CPU; nothing in it is executed.

    Raises:
        ValueError: it is damaged.
        OSError: it cannot be read. A file that is something else raises whatever ``zipfile`` and ``torch.load`` do.
    """
    with zipfile.ZipFile(path) as archive:  # torch writes checksums but does not read them
        if damaged := archive.testzip():
            raise ValueError(f"{damaged} is damaged")
    # to the CPU, since a run may go on where the device it was written on is missing
    return torch.load(path, map_location="cpu", weights_only=True)
