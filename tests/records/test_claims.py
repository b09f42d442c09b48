"""Files by which processes on any machines share work: one at a time, and nothing is left of the dead."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from smupar_transfer.records import FileClaims, claims, lock_of
from smupar_transfer.records.liveness import this_process
from smupar_transfer.theory import InputError

HOLDER = """
import sys, time
from pathlib import Path
from smupar_transfer.records import FileClaims
with FileClaims(Path(sys.argv[1])) as claims:
    print(claims.take("run") is not None, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "claims"


@pytest.fixture
def mine(folder: Path) -> Iterator[FileClaims]:
    with FileClaims(folder) as made:
        yield made


@pytest.fixture
def foreign(folder: Path) -> Callable[..., Path]:
    """Write a claim of a process on another machine, whose last heartbeat was some seconds ago."""

    def write(seconds: float, name: str = "run.0") -> Path:
        folder.mkdir(exist_ok=True)
        content = {"process": "another-boot:pid:[1]/7/5", "host": "node7", "begun": 0.0, "nonce": "a"}
        (folder / name).write_text(json.dumps(content))
        os.utime(folder / name, (time.time() - seconds,) * 2)
        return folder / name

    return write


def kill_holder(folder: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(folder)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"
        assert FileClaims(folder).take("run") is None, "it lives"
        process.send_signal(signal.SIGKILL)
        process.wait()


def take_in_time(claimed: FileClaims, seconds: float = 20) -> claims.FileClaim | None:
    given_up = time.monotonic() + seconds
    while (claim := claimed.take("run")) is None and time.monotonic() < given_up:
        time.sleep(0.02)
    return claim


def test_a_name_is_held_by_one_until_it_is_released(folder: Path, mine: FileClaims) -> None:
    claim = mine.take("run")
    assert claim is not None
    assert (claim.name, claim.deaths, claim.process) == ("run", 0, this_process())
    other = FileClaims(folder)
    assert other.take("run") is None
    assert other.take("another") is not None
    assert other.names() == {"run", "another"}
    mine.release(claim)
    assert other.take("run") is not None


def test_nothing_is_left_behind_even_where_an_exception_ends_the_block(folder: Path) -> None:
    claimed = FileClaims(folder)

    def interrupted() -> None:
        with claimed:
            assert claimed.take("a") is not None
            assert claimed.take("b") is not None
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not folder.exists()


def test_a_claim_of_a_killed_process_on_this_machine_is_taken_over_at_once(folder: Path, mine: FileClaims) -> None:
    kill_holder(folder)
    assert mine.all()[0][1] is False
    started = time.monotonic()
    claim = mine.take("run")
    assert time.monotonic() - started < 5
    assert claim is not None
    assert claim.deaths == 1
    assert FileClaims(folder).take("run") is None
    mine.release(claim)
    assert list(folder.iterdir()) == [], "what the dead one left is gone, too"


def test_a_folder_that_others_take_away_whenever_it_is_empty_is_made_again(folder: Path) -> None:
    """Of eight light processes one said that the folder, gone at that moment, was no folder."""

    def work() -> None:
        for _ in range(40):
            with FileClaims(folder) as claimed:
                taken.append(claimed.take("run") is not None)

    taken: list[bool] = []
    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 240, "no thread ended early"
    assert any(taken)
    assert not folder.exists()


def test_of_many_that_see_a_dead_holder_one_takes_over(folder: Path) -> None:
    kill_holder(folder)
    everybody = [FileClaims(folder) for _ in range(16)]
    barrier, taken = threading.Barrier(16), []

    def attempt(claimed: FileClaims) -> None:
        barrier.wait()
        taken.append(claimed.take("run"))

    threads = [threading.Thread(target=attempt, args=(claimed,)) for claimed in everybody]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(claim is not None for claim in taken) == 1


def test_what_was_read_before_others_took_over_and_released_counts_for_nothing(
    folder: Path, mine: FileClaims, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The race that a rename would lose: the dead claim was read, and is not there any more when it is acted upon."""
    kill_holder(folder)
    late, create = FileClaims(folder), FileClaims._create
    winners: list[claims.FileClaim | None] = []

    def overtaken(self: FileClaims, claim: claims.FileClaim) -> bool:
        if self is late and not winners:
            first = mine.take("run")
            assert first is not None
            mine.release(first)
            winners.append(mine.take("run"))  # the name begins anew, and is held
        return create(self, claim)

    monkeypatch.setattr(FileClaims, "_create", overtaken)
    assert late.take("run") is None
    assert winners[0] is not None
    assert [(claim.deaths, alive) for claim, alive in mine.all()] == [(0, True)]


def test_a_claim_from_another_machine_expires(
    mine: FileClaims, foreign: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "HEARTBEAT_SECONDS", 0.05)
    foreign(seconds=claims.EXPIRY_SECONDS + 5)
    claim = take_in_time(mine)
    assert claim is not None
    assert claim.deaths == 1


def test_a_claim_from_another_machine_that_beat_a_while_ago_is_left_alone(
    mine: FileClaims, foreign: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control of the test above."""
    monkeypatch.setattr(claims, "HEARTBEAT_SECONDS", 0.05)
    foreign(seconds=claims.EXPIRY_SECONDS / 2)
    assert take_in_time(mine, seconds=0.5) is None


@pytest.mark.parametrize("jump", [-7200, 7200])
def test_a_clock_that_is_set_ends_no_claim_whose_holder_goes_on_beating(
    mine: FileClaims, foreign: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    monkeypatch.setattr(claims, "HEARTBEAT_SECONDS", 0.2)
    ended, path = threading.Event(), foreign(seconds=jump)

    def beat() -> None:
        while not ended.wait(0.05):
            os.utime(path, (time.time() - jump,) * 2)

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        assert take_in_time(mine, seconds=1) is None
    finally:
        ended.set()
        thread.join()
    assert take_in_time(mine) is not None, "when it beats no more, it has ended"


def test_a_claim_is_kept_alive_by_the_clock_of_its_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "HEARTBEAT_SECONDS", 0.05)
    with FileClaims(folder) as claimed:
        assert claimed.take("run") is not None
        os.utime(folder / "run.0", (0, 0))
        given_up = time.monotonic() + 20
        while (folder / "run.0").stat().st_mtime == 0:
            assert time.monotonic() < given_up
            time.sleep(0.02)
        assert claimed.all()[0][1] is True


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"process": "x"}', "[" * 100_000])
def test_a_claim_that_is_not_whole_counts_until_it_expires(
    mine: FileClaims, foreign: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    """Its process was killed between making the file and writing into it, or is about to write."""
    monkeypatch.setattr(claims, "HEARTBEAT_SECONDS", 0.02)
    path = foreign(seconds=0)
    path.write_text(content)
    assert take_in_time(mine, seconds=0.2) is None
    os.utime(path, (0, 0))
    assert take_in_time(mine) is not None


def test_what_nobody_wants_any_more_is_cleared(folder: Path, mine: FileClaims) -> None:
    kill_holder(folder)
    mine.clear("another")
    assert mine.names() == {"run"}
    mine.clear("run")
    assert not folder.exists()


def test_a_folder_that_cannot_be_made_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "claims").write_text("a file")
    with pytest.raises(InputError, match=r"^results_dir=.*cannot be written: Not a directory"):
        FileClaims(tmp_path / "claims").take("run")


def test_a_full_disk_leaves_no_claim(folder: Path, mine: FileClaims, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(json, "dumps", full)
        with pytest.raises(InputError, match=r"cannot be written: No space left on device"):
            mine.take("run")
    assert mine.take("run") is not None


def test_a_lock_is_held_by_one_and_leaves_nothing_beside_the_file(tmp_path: Path) -> None:
    inside = 0
    most = []

    def work() -> None:
        nonlocal inside
        for _ in range(5):
            with lock_of(tmp_path / "file"):
                inside += 1
                most.append(inside)
                time.sleep(0.002)
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 30
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_others_hold_for_ever_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "LOCK_SECONDS", 0.2)

    def lock() -> None:
        with lock_of(tmp_path / "file"):
            pass

    with lock_of(tmp_path / "file"), pytest.raises(InputError, match=r"^results_dir=.*file: has been held by"):
        lock()
    lock()
