"""Finished runs, or coordinate checks, of one result, on disk.

A run that ends is one small file, written whole or not at all, so that workers never wait for each other and a kill
loses at most the run in progress. ``compact`` gathers them into one file, one object a line, sorted by key.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from smupar_transfer.records.claims import lock_of
from smupar_transfer.records.coordinates import CoordinateRecord
from smupar_transfer.records.files import write_atomically
from smupar_transfer.records.reading import read_text
from smupar_transfer.records.record import RunRecord
from smupar_transfer.records.record_checks import gathered_lines, parse_record, record_line
from smupar_transfer.theory import InputError

RECORDS_FILE = "records.jsonl"
PENDING_FOLDER = "runs"
COORDINATES_FILE = "coordinates.jsonl"


class _Keyed(Protocol):
    @property
    def key(self) -> str: ...


Record = TypeVar("Record", bound=_Keyed)


class Store(Generic[Record]):
    """The records of one kind under one folder, found by run key.

    Args:
        folder: The folder ``results/NAME``, which need not exist before the first ``put``.

    Attributes:
        kind: The type of the records.
        file: The name of the file that gathers them.
        pending: The name of the folder of those not yet gathered.
    """

    kind: type[Record]
    file: ClassVar[str]
    pending: ClassVar[str]

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._read: tuple[tuple[int, int, int], dict[str, str]] | None = None

    def __contains__(self, key: str) -> bool:
        return self._pending(key).exists() or key in self._gathered()

    def put(self, record: Record) -> None:
        """Store a record; an equal key is replaced."""
        write_atomically(self._pending(record.key), record_line(record))

    def drop(self, key: str) -> None:
        """Remove a record that is not yet gathered, if there is one."""
        with contextlib.suppress(OSError):
            self._pending(key).unlink()
            self._pending(key).parent.rmdir()

    def keys(self) -> set[str]:
        """Keys of all stored runs."""
        pending = self._pending_keys()  # first: what another process gathers meanwhile is seen twice, not missed
        return pending | self._gathered().keys()

    def get(self, key: str) -> Record:
        """One record.

        Raises:
            KeyError: no such run is stored.
        """
        path = self._pending(key)
        try:
            return parse_record(read_text(path, "results_dir"), self.kind, path)
        except InputError as error:
            if not isinstance(error.__cause__, FileNotFoundError):
                raise
        # gathered already, maybe by another process a moment ago
        return parse_record(self._gathered()[key], self.kind, self.folder / self.file)

    def __iter__(self) -> Iterator[Record]:
        pending = self._pending_keys()
        gathered = {
            key: parse_record(line, self.kind, self.folder / self.file, content)
            for key, line, content in self._lines()
            if key not in pending
        }
        for key in sorted(pending | gathered.keys()):
            yield self.get(key) if key in pending else gathered[key]

    def compact(self) -> None:
        """Gather all records into one file; safe to interrupt at any point, and from several machines at once."""
        if not (self.folder / self.pending).is_dir():
            return
        with lock_of(self.folder / self.file):
            pending = self._pending_keys()
            records = list(self)
            if pending:
                # first all records in one file, then the single ones away: at no moment is a record nowhere
                write_atomically(self.folder / self.file, "".join(record_line(record) for record in records))
            self._clear(pending, {record.key for record in records})

    def _clear(self, gathered: set[str], stored: set[str]) -> None:
        """Remove the files of what was gathered, and those that a killed process left of what is stored."""
        folder = self.folder / self.pending
        half_written = [path for path in folder.glob(".*.json.*") if path.name.split(".")[1] in stored]
        try:
            for path in [*map(self._pending, gathered), *half_written]:
                path.unlink(missing_ok=True)
        except OSError as error:  # another user's, in a folder where only they may remove them
            problem = f"cannot be removed: {error.strerror or error}"
            raise InputError(
                "results_dir", str(folder), problem, "no record is lost; let its owner run this"
            ) from error
        with contextlib.suppress(OSError):  # another process may have put a record in it by now
            folder.rmdir()

    def _pending_keys(self) -> set[str]:
        try:
            with os.scandir(self.folder / self.pending) as entries:
                return {entry.name.removesuffix(".json") for entry in entries if entry.name.endswith(".json")}
        except (FileNotFoundError, NotADirectoryError):
            return set()

    def _pending(self, key: str) -> Path:
        return self.folder / self.pending / f"{key}.json"

    def _gathered(self) -> dict[str, str]:
        try:
            about = (self.folder / self.file).stat()
        except (FileNotFoundError, NotADirectoryError):
            return {}
        # a file is replaced and never changed, so that even one of the same size and time has another inode
        version = (about.st_ino, about.st_size, about.st_mtime_ns)
        if self._read is None or self._read[0] != version:
            self._read = version, {key: line for key, line, _ in self._lines()}
        return self._read[1]

    def _lines(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Key, line and content of all that is gathered."""
        path = self.folder / self.file
        if path.exists():  # where results_dir is a file, who writes says so
            # no splitlines: other characters that end lines may stand within a text
            yield from gathered_lines(read_text(path, "results_dir").split("\n"), path)


class RunStore(Store[RunRecord]):
    """Training runs: ``records.jsonl``."""

    kind = RunRecord
    file = RECORDS_FILE
    pending = PENDING_FOLDER


class CoordinateStore(Store[CoordinateRecord]):
    """Coordinate checks: ``coordinates.jsonl``."""

    kind = CoordinateRecord
    file = COORDINATES_FILE
    pending = "coordinates"
