"""The database that holds studies: what its URL says, and what is said when it fails."""

from __future__ import annotations

import contextlib
import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy import NullPool
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.exc import SQLAlchemyError

from smupar_transfer.theory import InputError

T = TypeVar("T")

BUSY_SECONDS = 20
"""How long a process waits for others to be done with an SQLite file."""
CREATION_ATTEMPTS = 10
"""At making tables, which other processes may be making at the same moment."""
PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Seconds between attempts: a server that restarts is given half a minute."""
PATIENCE_SECONDS = 30
"""After so long there is no further attempt: each may have waited for a busy file by itself."""
STAYING_CODES = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
"""What SQLite says of a file that will not be better in half a minute."""
DRIVER = "pip install 'smupar-transfer[postgresql]' brings psycopg, for postgresql+psycopg://user@host/database"
BARE_AT_SIGN = re.compile(r"[^:]*://[^:/@?]*:[^@]*@[^?]*@")
"""A user, a password and two @ before the parameters: the second ends the password, the first does for SQLAlchemy."""
MOUNTS = Path("/proc/self/mounts")
"""What Linux says of the file systems that there are."""
LOCAL = ("btrfs", "ext2", "ext3", "ext4", "f2fs", "overlay", "tmpfs", "xfs", "zfs")
"""File systems of one machine: all processes that open a file there share its memory."""
SECRETS = ("password", "passwd", "sslpassword")
"""Parameters of a URL that are not shown."""

TROUBLE = (SQLAlchemyError, StorageInternalError)
"""What is raised where a database cannot be reached; Optuna wraps some of it."""


def file_storage(path: Path) -> str:
    """The URL of a study in a file, whatever characters its path has."""
    return URL.create("sqlite", database=str(path)).render_as_string()


def open_storage(url: str) -> RDBStorage:
    """Connect to a database, and make Optuna's tables in it where there are none.

    Args:
        url: The address of the database, as SQLAlchemy understands it.

    Raises:
        InputError: the database lies in memory, or the URL would be read otherwise than it is meant.
        SQLAlchemyError, StorageInternalError, ImportError, OSError, ValueError: it cannot be opened.
    """
    refuse_bare_at_sign(url)
    database = make_url(url)
    _refuse_memory(url, database)
    # a URI names its file in another way
    if database.get_backend_name() == "sqlite" and "uri" not in database.query:
        Path(str(database.database)).parent.mkdir(parents=True, exist_ok=True)
    for attempt in range(CREATION_ATTEMPTS):
        try:
            # Optuna formats URLs: braces in a path are no fields of it.
            return RDBStorage(url.replace("{", "{{").replace("}", "}}"), engine_kwargs=_engine_options(database))
        except TROUBLE as error:
            if attempt == CREATION_ATTEMPTS - 1 or not _is_race(error):
                raise
        time.sleep(0.1)  # another command makes the same tables at this moment
    raise AssertionError("unreachable")


def patiently(work: Callable[[], T]) -> T:
    """Do something that needs the database; again, after a pause, where it fails in a way that may pass."""
    started = time.monotonic()
    for pause in PAUSES:
        try:
            return work()
        except TROUBLE as error:
            if _stays(error) or time.monotonic() - started > PATIENCE_SECONDS:
                raise
            time.sleep(pause)
    return work()


def _stays(error: BaseException) -> bool:
    """Whether waiting cannot help: the disk is full, or the file cannot be written or read."""
    cause = error.__cause__ if isinstance(error, StorageInternalError) else error
    code = getattr(getattr(cause, "orig", None), "sqlite_errorcode", None)
    # extended codes say more in their higher bits (https://sqlite.org/rescode.html)
    return code is not None and code & 0xFF in STAYING_CODES


@contextmanager
def reachable(url: str) -> Iterator[None]:
    """Tell of a database that fails while a study is at work in it in one line.

    Raises:
        InputError: it failed.
    """
    try:
        yield
    except TROUBLE as error:
        raise InputError(
            "study.storage",
            shown(url),
            f"failed: {reason(error)}",
            "see to the disk or the server and run the same command again: finished trials are kept",
        ) from error


def shown(url: str) -> str:
    """A storage URL without its passwords."""
    without = re.sub(r"://([^:/]*):.*@", r"://\1:***@", url)
    return re.sub(rf"\b({'|'.join(SECRETS)})=[^&]*", r"\1=***", without)


def reason(error: BaseException) -> str:
    """What the database, or the lack of its driver, said, in a line."""
    cause = error.__cause__ if isinstance(error, StorageInternalError | ImportError) and error.__cause__ else error
    said = str(getattr(cause, "orig", None) or cause).splitlines()
    return said[0] if said else type(cause).__name__


def way_in(url: str, error: BaseException) -> str:
    """What to do about a database that cannot be opened: there may be no driver, or a path where a URL is meant."""
    if isinstance(error, ImportError):
        return DRIVER
    is_path = url and ":" not in url
    return f"a file is sqlite:///{url}" if is_path else "check the URL, the folder and the server"


def refuse_bare_at_sign(url: str) -> None:
    """Refuse a URL of which a part of the password would be looked up as a host, and named in messages.

    Raises:
        InputError: it is one.
    """
    if BARE_AT_SIGN.match(url):
        raise InputError("study.storage", shown(url), "has an @ in its password", "write %40 for it")


def _refuse_memory(url: str, database: URL) -> None:
    name, query = database.database or "", database.query
    in_memory = not name or ":memory:" in name or query.get("mode") == "memory"
    if database.get_backend_name() == "sqlite" and in_memory:
        raise InputError(
            "study.storage",
            shown(url),
            "keeps the study in memory, where no other process sees it and nothing of it is left in the end",
            "name a file: sqlite:///FOLDER/study.db",
        )


def _engine_options(database: URL) -> dict[str, Any]:
    if database.get_backend_name() != "sqlite":
        return {"poolclass": NullPool}  # a server counts connections, and may restart between two trials
    options: dict[str, Any] = {} if "timeout" in database.query else {"timeout": BUSY_SECONDS}
    if database.get_driver_name() == "pysqlite" and "uri" not in database.query and _is_local(str(database.database)):
        options["factory"] = WriteAheadConnection
    return {"connect_args": options}


class WriteAheadConnection(sqlite3.Connection):
    """A connection to a file that is written ahead: no transaction waits for the disk.

    A process that is killed loses nothing; a machine that loses its power may lose the last trials, and no more. Where
    the file cannot be brought into that mode, as when it is locked or may not be written, the mode stays as it is.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        with contextlib.suppress(sqlite3.Error):
            if self._set_journal("wal") == "wal":
                # spares the wait for the disk: written ahead, a power cut may cost the last trials, and not the file
                self.execute("PRAGMA synchronous=NORMAL")

    def leave(self) -> None:
        """Bring the file back into SQLite's usual mode, one file that can be copied, unless others have it open."""
        with contextlib.suppress(sqlite3.Error):
            self._set_journal("delete")

    def _set_journal(self, mode: str) -> str:
        (patience,) = self.execute("PRAGMA busy_timeout").fetchone()
        # without waiting: where another process holds the file, the mode stays as it is
        self.execute("PRAGMA busy_timeout=0")
        try:
            return str(self.execute(f"PRAGMA journal_mode={mode}").fetchone()[0])
        finally:
            self.execute(f"PRAGMA busy_timeout={patience}")


def close_storage(engine: Engine) -> None:
    """End the connections to a database, and leave an SQLite file without others beside it."""
    # SQLite leaves the mode only for a connection that is alone
    engine.dispose()
    if engine.dialect.name != "sqlite":
        return
    with contextlib.suppress(*TROUBLE), engine.connect() as connection:
        own: object = connection.connection.dbapi_connection
        if isinstance(own, WriteAheadConnection):
            own.leave()
    # what the pool took back in the block is still open
    engine.dispose()


def _is_local(path: str) -> bool:
    """Whether a file is known to lie in a file system of this machine alone; writing ahead needs shared memory."""
    try:
        mounts = [line.split()[1:3] for line in MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines()]
    except OSError:
        return False
    folder = Path(path).resolve()
    around = [(len(where), kind) for where, kind in mounts if folder.is_relative_to(_unescaped(where))]
    # of nested mount points the innermost, whose path is the longest
    return max(around, default=(0, ""), key=lambda mount: mount[0])[1] in LOCAL


def _unescaped(mount: str) -> str:
    """A mount point as it is; Linux writes blanks in it as octal numbers."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), mount)


def _is_race(error: BaseException) -> bool:
    said = f"{error} {error.__cause__ or ''}".lower()
    return any(words in said for words in ("already exists", "unique constraint", "duplicate"))
