"""What a storage's URL says, and what is said when the database fails."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import NoReturn

import optuna
import pytest
import sqlalchemy as sa
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy.exc import OperationalError

from smupar_transfer.theory import InputError
from smupar_transfer.tuning import file_storage, storage
from smupar_transfer.tuning.storage import close_storage, open_storage, patiently, reachable, refuse_bare_at_sign, shown
from tests import postgresql


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite+pysqlite:///:memory:",
        "sqlite:///file::memory:?cache=shared&uri=true",
        "sqlite:///file:study?mode=memory&cache=shared&uri=true",
    ],
)
def test_a_database_in_memory_is_refused(url: str) -> None:
    with pytest.raises(InputError, match="keeps the study in memory") as caught:
        open_storage(url)
    assert (caught.value.key, caught.value.value) == ("study.storage", url)


@pytest.mark.parametrize("password", ["sec@ret", "@secret", "se/c@ret", "sec@ret:x", "a@b/secret"])
def test_a_password_with_an_at_sign_is_refused_before_a_part_of_it_is_taken_for_a_host(password: str) -> None:
    url = f"postgresql://me:{password}@host/name"
    with pytest.raises(InputError, match="%40") as caught:
        open_storage(url)
    assert caught.value.value == "postgresql://me:***@host/name"


@pytest.mark.parametrize("url", ["postgresql://me:secret@host/name?application_name=a@b", "sqlite:////a:b@c/d@e.db"])
def test_other_at_signs_are_no_matter(url: str) -> None:
    """The control."""
    refuse_bare_at_sign(url)


@pytest.mark.parametrize("name", ["plain", "a?b", "%20", " ", "{x}", "é #&='", "a:b@c"])
def test_a_file_is_the_one_that_was_named_whatever_its_path_holds(tmp_path: Path, name: str) -> None:
    path = tmp_path / name / "study.db"
    open_storage(file_storage(path)).engine.dispose()
    assert path.read_bytes().startswith(b"SQLite format 3")
    assert [file.name for file in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("postgresql://me:secret@host/name", "postgresql://me:***@host/name"),
        ("postgresql://me@host:sec@ret@host/name", "postgresql://me@host:***@host/name"),
        ("postgresql://host/name?user=me&password=secret&x=1", "postgresql://host/name?user=me&password=***&x=1"),
        ("mysql://host:port/name?passwd=secret", "mysql://host:port/name?passwd=***"),
        ("nonsense://me:secret@host", "nonsense://me:***@host"),
        ("postgresql://me:sec?ret@host/name", "postgresql://me:***@host/name"),
        ("postgresql://me@host:5432/name", "postgresql://me@host:5432/name"),
        ("sqlite:////a:b@c/study.db", "sqlite:////a:b@c/study.db"),
    ],
)
def test_passwords_are_not_shown_and_the_rest_is(url: str, text: str) -> None:
    assert shown(url) == text


def failing(times: int) -> Callable[[], str]:
    left = [OperationalError("select", {}, Exception("database is locked\nmore"))] * times

    def work() -> str:
        if left:
            raise left.pop()
        return "done"

    return work


def test_a_database_that_fails_for_a_moment_is_given_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "PAUSES", (0.0, 0.0))
    assert patiently(failing(2)) == "done"
    with pytest.raises(OperationalError):
        patiently(failing(3))


def test_what_takes_long_to_fail_is_not_tried_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy file is waited for by SQLite itself, each time anew."""
    now = 0.0

    def slow() -> NoReturn:
        nonlocal now
        now += 20
        raise OperationalError("select", {}, Exception("database is locked"))

    monkeypatch.setattr(storage, "time", SimpleNamespace(monotonic=lambda: now, sleep=lambda _: None))
    with pytest.raises(OperationalError):
        patiently(slow)
    assert now == 40


def filled(path: Path) -> NoReturn:
    """SQLite's own refusal to let a file grow, as on a disk that is full."""
    with open_storage(file_storage(path)).engine.begin() as connection:
        connection.execute(sa.text("pragma max_page_count = 1"))  # at most as large as it is
        connection.execute(sa.text("create table large as select zeroblob(1000000)"))
    raise AssertionError("it was written")


def unreadable(path: Path) -> NoReturn:
    path.write_bytes(b"no database at all, but longer than a header is" * 100)
    open_storage(file_storage(path))
    raise AssertionError("it was read")


@pytest.mark.parametrize(("fails", "said"), [(filled, "is full"), (unreadable, "not a database")])
def test_what_no_waiting_mends_is_told_at_once(
    fails: Callable[[Path], NoReturn], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(storage, "time", SimpleNamespace(monotonic=time.monotonic, sleep=pauses.append))
    with pytest.raises(InputError, match=said), reachable("sqlite:///study.db"):
        patiently(partial(fails, tmp_path / "study.db"))
    assert pauses == []


def test_other_errors_are_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def work() -> NoReturn:
        calls.append(1)
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 - it has no message
        patiently(work)
    assert len(calls) == 1


def test_a_database_that_fails_is_told_in_one_line_without_its_password() -> None:
    url = "postgresql://me:secret@host/name"
    internal = StorageInternalError("An exception is raised during the commit.")
    internal.__cause__ = OperationalError("select", {}, Exception("database is locked\nmore"))
    with pytest.raises(InputError) as caught, reachable(url):
        raise internal
    assert str(caught.value).startswith("study.storage=postgresql://me:***@host/name: failed: database is locked; ")
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "same command again" in str(caught.value)


def test_a_file_that_another_program_is_writing_is_waited_for(tmp_path: Path) -> None:
    url = file_storage(tmp_path / "study.db")
    engine = open_storage(url).engine
    other = sqlite3.connect(tmp_path / "study.db", check_same_thread=False)
    other.execute("begin exclusive")
    timer = threading.Timer(6.0, other.commit)  # a second more than the driver would wait by itself
    timer.start()
    with engine.begin() as connection:
        connection.execute(sa.text("create table mine (number integer)"))
    timer.join()
    other.close()
    engine.dispose()


def test_how_long_a_file_is_waited_for_is_a_persons_own_choice(tmp_path: Path) -> None:
    engine = open_storage(f"sqlite:///{tmp_path}/study.db?timeout=0.1").engine
    other = sqlite3.connect(tmp_path / "study.db")
    other.execute("begin exclusive")
    with pytest.raises(OperationalError, match="locked"), engine.begin() as connection:
        connection.execute(sa.text("create table mine (number integer)"))
    other.close()
    engine.dispose()


def journal(path: Path) -> str:
    """How SQLite's own library finds a file to be written."""
    with closing(sqlite3.connect(path)) as connection:
        return str(connection.execute("pragma journal_mode").fetchone()[0])


def test_a_file_is_written_ahead_while_it_is_open_and_plain_afterwards(tmp_path: Path) -> None:
    """Every transaction used to wait for the disk several times."""
    path = tmp_path / "study.db"
    engine = open_storage(file_storage(path)).engine
    assert journal(path) == "wal"
    close_storage(engine)
    assert journal(path) == "delete"
    assert [file.name for file in tmp_path.iterdir()] == ["study.db"]


def test_a_file_that_others_have_open_stays_as_it_is_until_the_last_leaves(tmp_path: Path) -> None:
    path = tmp_path / "study.db"
    first, last = (open_storage(file_storage(path)).engine for _ in range(2))
    with last.connect() as connection:
        connection.exec_driver_sql("select * from studies").fetchall()
        close_storage(first)
        assert journal(path) == "wal"
    close_storage(last)
    assert journal(path) == "delete"


def test_a_study_that_was_made_before_is_read_and_written(tmp_path: Path) -> None:
    path = tmp_path / "study.db"
    old = RDBStorage(file_storage(path))
    optuna.create_study(storage=old, study_name="old").set_user_attr("known", 1)
    old.engine.dispose()
    assert journal(path) == "delete"
    new = open_storage(file_storage(path))
    optuna.load_study(storage=new, study_name="old").set_user_attr("new", 2)
    close_storage(new.engine)
    again = RDBStorage(file_storage(path))
    assert optuna.load_study(storage=again, study_name="old").user_attrs == {"known": 1, "new": 2}
    again.engine.dispose()


@pytest.mark.parametrize(
    ("kind", "mode"), [("ext4", "wal"), ("tmpfs", "wal"), ("nfs4", "delete"), ("fuse.sshfs", "delete"), ("", "delete")]
)
def test_a_network_folder_has_no_shared_memory_to_write_ahead_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, mode: str
) -> None:
    """Two machines that write ahead into one file would each destroy what the other wrote."""
    folder, mounts = tmp_path / "with blank", tmp_path / "mounts"
    escaped = str(folder).replace(" ", "\\040")
    mounts.write_text(f"/dev/x / ext4 rw 0 0\nserver:/x {escaped} {kind} rw 0 0\n")
    monkeypatch.setattr(storage, "MOUNTS", mounts if kind else tmp_path / "none")
    engine = open_storage(file_storage(folder / "study.db")).engine
    assert journal(folder / "study.db") == mode
    close_storage(engine)


def test_a_file_that_is_locked_is_not_brought_into_another_mode_and_opens_at_once(tmp_path: Path) -> None:
    path = tmp_path / "study.db"
    open_storage(file_storage(path)).engine.dispose()
    with closing(sqlite3.connect(path)) as other:
        other.execute("pragma journal_mode=delete")
        other.execute("begin exclusive")
        connection = sqlite3.connect(path, timeout=30, factory=storage.WriteAheadConnection)
        assert connection.execute("pragma busy_timeout").fetchone() == (30_000,), "it is as patient as before"
        connection.close()
    assert journal(path) == "delete"


def test_a_server_has_no_connection_between_two_transactions(server: str) -> None:
    """A pool in each of a hundred processes would have all the connections that a server allows."""
    url = postgresql.new_database(server)
    opened = open_storage(url)
    optuna.create_study(storage=opened, study_name="study")
    watching, name = sa.create_engine(server, poolclass=sa.NullPool), sa.make_url(url).database
    with watching.connect() as connection:
        query = sa.text("select count(*) from pg_stat_activity where datname = :name")
        deadline = time.monotonic() + 10  # a server notices late that a connection was closed
        while connection.execute(query, {"name": name}).scalar_one():
            assert time.monotonic() < deadline
            connection.rollback()
            time.sleep(0.05)
