"""Finished runs of one result, on disk.

A run that ends is one small file, written whole or not at all, so that workers never wait for each other and a kill
loses at most the run in progress. ``compact`` gathers them into ``records.jsonl``, one object a line, sorted by key.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock

from smupar_transfer.records.files import from_plain, read_text, to_plain, write_atomically
from smupar_transfer.records.record import RunRecord
from smupar_transfer.records.spec import SCHEMA_VERSION
from smupar_transfer.theory import InputError

RECORDS_FILE = "records.jsonl"
PENDING_FOLDER = "runs"


class RunStore:
    """The records under one folder, found by run key.

    Args:
        folder: ``results/NAME``; need not exist before the first ``put``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __contains__(self, key: str) -> bool:
        return self._pending(key).exists() or key in self._gathered()

    def put(self, record: RunRecord) -> None:
        """Store a record; an equal key is replaced."""
        write_atomically(self._pending(record.key), _line(record))

    def keys(self) -> set[str]:
        """Keys of all stored runs."""
        pending = self.folder / PENDING_FOLDER
        return set(self._gathered()) | {path.stem for path in pending.glob("*.json")}

    def get(self, key: str) -> RunRecord:
        """One record.

        Raises:
            KeyError: no such run is stored.
        """
        path = self._pending(key)
        try:
            return _parse(read_text(path, "results_dir"), path)
        except InputError as error:
            if not isinstance(error.__cause__, FileNotFoundError):
                raise
        # gathered already, maybe by another process a moment ago
        return _parse(self._gathered()[key], self.folder / RECORDS_FILE)

    def __iter__(self) -> Iterator[RunRecord]:
        pending = {path.stem for path in (self.folder / PENDING_FOLDER).glob("*.json")}
        gathered = self._gathered()
        for key in sorted(pending | gathered.keys()):
            yield self.get(key) if key in pending else _parse(gathered[key], self.folder / RECORDS_FILE)

    def compact(self) -> None:
        """Gather all records into one file; safe to interrupt at any point, and from several processes at once."""
        name = hashlib.sha256(str(self.folder.resolve()).encode()).hexdigest()[:16]
        with FileLock(Path(tempfile.gettempdir()) / f"smupar_transfer-{name}.lock"):
            pending = sorted((self.folder / PENDING_FOLDER).glob("*.json"))
            records = list(self)
            if not pending:
                return
            write_atomically(self.folder / RECORDS_FILE, "".join(_line(record) for record in records))
            for path in pending:
                path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # another process may have put a record in it by now
                (self.folder / PENDING_FOLDER).rmdir()

    def _pending(self, key: str) -> Path:
        return self.folder / PENDING_FOLDER / f"{key}.json"

    def _gathered(self) -> dict[str, str]:
        path = self.folder / RECORDS_FILE
        if not path.exists():
            return {}
        lines = [line for line in read_text(path, "results_dir").splitlines() if line.strip()]
        return {_key(line, path): line for line in lines}


def _line(record: RunRecord) -> str:
    return json.dumps({"schema": SCHEMA_VERSION, **to_plain(record)}, allow_nan=False) + "\n"


def _load(line: str, path: Path) -> dict[str, object]:
    try:
        content = json.loads(line)
    except json.JSONDecodeError as error:
        raise InputError("results_dir", str(path), f"holds a damaged record: {error}") from error
    if not isinstance(content, dict) or content.get("schema") != SCHEMA_VERSION:
        raise InputError(
            "results_dir", str(path), f"holds a record that is not of schema {SCHEMA_VERSION}", "move it away"
        )
    return content


def _key(line: str, path: Path) -> str:
    key = _load(line, path).get("key")
    if not isinstance(key, str):
        raise InputError("results_dir", str(path), "holds a record without a key", "move it away")
    return key


def _parse(line: str, path: Path) -> RunRecord:
    content = {key: value for key, value in _load(line, path).items() if key != "schema"}
    return from_plain(content, RunRecord, str(path))
