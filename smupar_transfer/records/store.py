"""Finished runs, or coordinate checks, of one result, on disk.

A run that ends is one small file, written whole or not at all, so that workers never wait for each other and a kill
loses at most the run in progress. ``compact`` gathers them into one file, one object a line, sorted by key.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Generic, Protocol, TypeVar

from smupar_transfer.records.coordinates import CoordinateRecord
from smupar_transfer.records.files import lock_of, to_plain, write_atomically
from smupar_transfer.records.reading import read_text
from smupar_transfer.records.record import RunRecord
from smupar_transfer.records.record_checks import gathered_lines, parse_record
from smupar_transfer.records.spec import SCHEMA_VERSION
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

    def __contains__(self, key: str) -> bool:
        return self._pending(key).exists() or key in self._gathered()

    def put(self, record: Record) -> None:
        """Store a record; an equal key is replaced."""
        write_atomically(self._pending(record.key), _line(record))

    def keys(self) -> set[str]:
        """Keys of all stored runs."""
        pending = self.folder / self.pending
        return set(self._gathered()) | {path.stem for path in pending.glob("*.json")}

    def get(self, key: str) -> Record:
        """One record.

        Raises:
            KeyError: no such run is stored.
        """
        path = self._pending(key)
        try:
            return self._parse(read_text(path, "results_dir"), path)
        except InputError as error:
            if not isinstance(error.__cause__, FileNotFoundError):
                raise
        # gathered already, maybe by another process a moment ago
        return self._parse(self._gathered()[key], self.folder / self.file)

    def __iter__(self) -> Iterator[Record]:
        pending = {path.stem for path in (self.folder / self.pending).glob("*.json")}
        gathered = self._gathered()
        for key in sorted(pending | gathered.keys()):
            yield self.get(key) if key in pending else self._parse(gathered[key], self.folder / self.file)

    def compact(self) -> None:
        """Gather all records into one file; safe to interrupt at any point, and from several processes at once."""
        with lock_of(self.folder / self.file):
            pending = sorted((self.folder / self.pending).glob("*.json"))
            records = list(self)
            if not pending:
                return
            # first all records in one file, then the single ones away: at no moment is a record nowhere
            write_atomically(self.folder / self.file, "".join(_line(record) for record in records))
            for path in pending:
                path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # another process may have put a record in it by now
                (self.folder / self.pending).rmdir()

    def _pending(self, key: str) -> Path:
        return self.folder / self.pending / f"{key}.json"

    def _gathered(self) -> dict[str, str]:
        path = self.folder / self.file
        if not path.exists():
            return {}
        return gathered_lines(read_text(path, "results_dir"), path)

    def _parse(self, line: str, path: Path) -> Record:
        return parse_record(line, self.kind, path)


def _line(record: object) -> str:
    return json.dumps({"schema": SCHEMA_VERSION, **to_plain(record)}, allow_nan=False) + "\n"


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
