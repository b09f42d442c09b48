"""Generations of a checkpoint: one whole one is always there, and nothing half-written stays."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from smupar_transfer.theory import InputError
from smupar_transfer.training.checkpoint_files import FOREIGN_SECONDS, CheckpointFiles, sync


def write(files: CheckpointFiles, text: str, folder: bool = False) -> None:
    with files.writing() as path:
        if folder:
            path.mkdir()
            (path / "part").write_text(text)
        else:
            path.write_text(text)


def texts(files: CheckpointFiles) -> list[str]:
    return [(path / "part" if path.is_dir() else path).read_text() for path in files.existing()]


@pytest.mark.parametrize("folder", [False, True], ids=["file", "folder"])
@pytest.mark.parametrize("keep", [1, 2, 3])
def test_the_last_generations_are_kept(tmp_path: Path, keep: int, folder: bool) -> None:
    files = CheckpointFiles(tmp_path / "run.pt", keep)
    for text in "abcd":
        write(files, text, folder)
    assert texts(files) == list("dcba")[:keep]
    names = ["run.pt", "run.1.pt", "run.2.pt"][:keep]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)


def test_a_file_may_follow_a_folder_and_a_folder_a_file(tmp_path: Path) -> None:
    files = CheckpointFiles(tmp_path / "run.pt")
    for text, folder in [("a", False), ("b", True), ("c", False)]:
        write(files, text, folder)
    assert texts(files) == ["c", "b"]


def test_fewer_are_kept_when_a_person_says_so(tmp_path: Path) -> None:
    for text in "abc":
        write(CheckpointFiles(tmp_path / "run.pt", 3), text)
    write(CheckpointFiles(tmp_path / "run.pt", 1), "d")
    assert texts(CheckpointFiles(tmp_path / "run.pt")) == ["d"]


def test_runs_whose_names_begin_alike_do_not_share_generations(tmp_path: Path) -> None:
    write(CheckpointFiles(tmp_path / "run.pt"), "a")
    write(CheckpointFiles(tmp_path / "run.x.pt"), "b")
    write(CheckpointFiles(tmp_path / "other.run.pt"), "c")
    assert texts(CheckpointFiles(tmp_path / "run.pt")) == ["a"]


def test_at_least_one_is_kept() -> None:
    with pytest.raises(InputError, match=r"checkpoint\.keep=0: must be at least 1"):
        CheckpointFiles(Path("run.pt"), 0)


@pytest.mark.parametrize("renames", [0, 1, 2])
def test_whenever_a_process_dies_a_whole_generation_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, renames: int
) -> None:
    files = CheckpointFiles(tmp_path / "run.pt")
    write(files, "a")
    write(files, "b")
    real, left = Path.rename, [renames]

    def dying(self: Path, target: Path) -> Path:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return real(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", dying)
        with pytest.raises(KeyboardInterrupt):
            write(files, "c")
    assert texts(files) == ["b", "a"]
    write(files, "d")
    assert texts(files) == ["d", "b"]


def test_the_folder_is_on_the_disk_before_an_older_generation_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = CheckpointFiles(tmp_path / "run.pt", keep=1)
    write(files, "a")
    seen: list[list[str]] = []

    def noted(path: Path) -> None:
        assert path == tmp_path
        seen.append(texts(files))

    monkeypatch.setattr("smupar_transfer.training.checkpoint_files.sync", noted)
    write(files, "b")
    assert seen == [["b", "a"]]
    assert texts(files) == ["b"]


def test_a_full_disk_leaves_what_was_there(tmp_path: Path) -> None:
    files = CheckpointFiles(tmp_path / "run.pt")
    write(files, "a")

    def fill(path: Path) -> None:
        path.write_text("half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    problem = r"run\.pt: cannot be written: No space left on device; nothing was changed"
    with pytest.raises(InputError, match=problem), files.writing() as path:
        fill(path)
    assert [path.name for path in tmp_path.iterdir()] == ["run.pt"]


def test_a_folder_that_cannot_be_synced_is_no_reason_to_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(handle: int) -> None:
        raise OSError(errno.EINVAL, "as network file systems do")

    monkeypatch.setattr(os, "fsync", refuse)
    sync(tmp_path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(OSError, match="network"):
        sync(tmp_path / "file")


def stray(folder: Path, owner: str, age: float = 0.0) -> Path:
    path = folder / f".run.pt.{owner}"
    path.write_text("half")
    os.utime(path, (time.time() - age,) * 2)
    return path


def test_what_a_killed_process_left_is_removed_at_the_next_start(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    write(CheckpointFiles(tmp_path / "run.pt"), "a")
    dead = stray(tmp_path, f"{socket.gethostname()}-{process.pid}-0123abcd")
    living = stray(tmp_path, f"{socket.gethostname()}-{os.getpid()}-0123abcd", 10 * FOREIGN_SECONDS)
    elsewhere = stray(tmp_path, "another-host-1-0123abcd")
    forgotten = stray(tmp_path, "another-host-2-0123abcd", 2 * FOREIGN_SECONDS)
    earlier_version = stray(tmp_path, "x1y2z3w4", 2 * FOREIGN_SECONDS)
    of_another_run = tmp_path / f".other.pt.{socket.gethostname()}-{process.pid}-0123abcd"
    of_another_run.write_text("half")
    CheckpointFiles(tmp_path / "run.pt").remove_strays()
    removed = [dead, forgotten, earlier_version]
    kept = [living, elsewhere, of_another_run, tmp_path / "run.pt"]
    assert ([path.exists() for path in removed], [path.exists() for path in kept]) == ([False] * 3, [True] * 4)
