"""Reading what anybody may have put where a file is expected."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from smupar_transfer.records import FileKind, identify, read_text, read_tuned, regular
from smupar_transfer.theory import InputError


def pipe(path: Path) -> Path:
    os.mkfifo(path)
    return path


def in_time(work: threading.Thread) -> None:
    work.start()
    work.join(10)
    assert not work.is_alive(), "it waits for somebody to write into the pipe"


def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    """Guards against `tuned=PIPE`, which hung before the first message."""
    path, refused = pipe(tmp_path / "tuned.yaml"), []

    def read() -> None:
        with pytest.raises(InputError, match="cannot be read: it is a pipe, a device or a socket, no file") as caught:
            read_tuned(path)
        refused.append(caught.value)

    in_time(threading.Thread(target=read, daemon=True))
    assert [error.key for error in refused] == ["tuned"]


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/urandom", "/dev/null"])
def test_a_device_is_refused_before_it_fills_memory(device: str) -> None:
    with pytest.raises(InputError, match=f"^recipe={device}: cannot be read: it is a pipe, a device or a socket"):
        read_text(Path(device), "recipe")
    assert identify(Path(device)) is None


def test_a_folder_is_said_to_be_one(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError), regular(tmp_path):
        pass
    assert identify(tmp_path) is FileKind.FOLDER


def test_a_file_that_is_far_too_large_is_not_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.touch()
    os.truncate(path, 1 << 40)
    with pytest.raises(InputError, match="has more than 10 bytes"):
        read_text(path, "recipe", largest=10)
    path.write_text("0123456789")
    assert read_text(path, "recipe", largest=10) == "0123456789"


def test_ends_of_lines_are_read_as_those_of_any_text(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"a\r\nb\rc\nd")
    assert read_text(tmp_path / "file", "key") == "a\nb\nc\nd"


def test_nothing_stays_open(tmp_path: Path) -> None:
    """The control: a file that was opened, or refused, is closed again."""
    (tmp_path / "file").write_text("x")
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - names, not paths
    for path in (tmp_path / "file", tmp_path, Path("/dev/zero")):
        try:
            with regular(path):
                pass
        except OSError:
            pass
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
