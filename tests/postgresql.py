"""A PostgreSQL server of the tests' own, where its programs and a driver are installed."""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

VERSIONS = Path("/usr/lib/postgresql")
UNPRIVILEGED = "nobody"
"""PostgreSQL refuses to run as root."""


def _program(name: str) -> str | None:
    versions = sorted(VERSIONS.glob(f"*/bin/{name}"), key=lambda path: float(path.parents[1].name))
    return str(versions[-1]) if versions else shutil.which(name)


def missing() -> str | None:
    """What is not installed, if something is not."""
    if importlib.util.find_spec("psycopg") is None:
        return "psycopg is not installed"
    return None if _program("initdb") and _program("pg_ctl") else "PostgreSQL is not installed"


def _run(*command: str) -> None:
    user = UNPRIVILEGED if os.getuid() == 0 else None
    subprocess.run(command, check=True, capture_output=True, user=user, cwd="/")


@contextlib.contextmanager
def server() -> Iterator[str]:
    """URL of a server that ends with the block, reached by a socket alone; skips the test where there can be none."""
    reason = missing()
    if reason is not None:
        pytest.skip(reason)
    folder = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))  # a socket's path is at most 107 characters long
    if os.getuid() == 0:
        os.chown(folder, pwd.getpwnam(UNPRIVILEGED).pw_uid, -1)
    data, control = str(folder / "data"), str(_program("pg_ctl"))
    try:
        _run(str(_program("initdb")), "-D", data, "-A", "trust", "-U", "tuner", "-N")
        _run(control, "-D", data, "-l", str(folder / "log"), "-o", _options(folder), "-w", "start")
        try:
            yield f"postgresql+psycopg://tuner@/postgres?host={folder}"
        finally:
            _run(control, "-D", data, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)


def restart_later(url: str, seconds: float) -> threading.Timer:
    """Stop a server as a power cut would, and start it again after some seconds."""
    folder = Path(str(sa.make_url(url).query["host"]))
    command = (str(_program("pg_ctl")), "-D", str(folder / "data"), "-l", str(folder / "log"))
    _run(*command, "-m", "immediate", "stop")
    timer = threading.Timer(seconds, _run, (*command, "-o", _options(folder), "-w", "start"))
    timer.start()
    return timer


def _options(folder: Path) -> str:
    return f"-k {folder} -c listen_addresses='' -c fsync=off -c max_connections=50"


def new_database(url: str) -> str:
    """URL of an empty database on a server."""
    names = (f"study{number}" for number in itertools.count())
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        known = set(connection.scalars(sa.text("select datname from pg_database")))
        name = next(name for name in names if name not in known)
        connection.execute(sa.text(f"create database {name}"))
    engine.dispose()
    return url.replace("@/postgres?", f"@/{name}?")
