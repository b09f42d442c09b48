"""What is known of files without reading them again."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from smupar_transfer.theory import InputError
from smupar_transfer.training.data import fingerprints
from smupar_transfer.training.data.binary import load_binary
from smupar_transfer.training.data.corpora import load_text
from smupar_transfer.training.data.fingerprints import Facts, remembered, sha256_of
from smupar_transfer.training.data.tokens import TokenData

Load = Callable[[str, float], TokenData]


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that counts as settled, and an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(fingerprints, "SETTLED_SECONDS", -3600.0)
    file = tmp_path / "corpus" / "file.txt"
    file.parent.mkdir()
    file.write_bytes(b"The tokens. " * 20)
    return file


def reading(file: Path, seen: list[str]) -> Callable[[], Facts]:
    def find_out() -> Facts:
        seen.append(file.name)
        return {"sha256": sha256_of([file])}

    return find_out


def test_a_file_is_read_through_once(file: Path) -> None:
    seen: list[str] = []
    facts = remembered([file], "text", reading(file, seen))
    assert facts == {"sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
    assert remembered([file], "text", reading(file, seen)) == facts
    assert seen == ["file.txt"]
    remembered([file], "other facts", reading(file, seen))
    assert len(seen) == 2


def test_a_changed_file_is_read_again_though_its_size_and_date_are_the_same(file: Path) -> None:
    seen: list[str] = []
    before, status = remembered([file], "text", reading(file, seen)), file.stat()
    file.write_bytes(b"the tokens. " * 20)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    after = file.stat()
    assert (after.st_size, after.st_mtime_ns, after.st_ino) == (status.st_size, status.st_mtime_ns, status.st_ino)
    assert remembered([file], "text", reading(file, seen)) != before
    assert len(seen) == 2


def test_nothing_is_remembered_of_a_file_that_changed_a_moment_ago(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprints, "SETTLED_SECONDS", 3600.0)
    seen: list[str] = []
    for _ in range(2):
        remembered([file], "text", reading(file, seen))
    assert len(seen) == 2


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"\xff"])
def test_a_damaged_entry_counts_as_absent(file: Path, content: bytes) -> None:
    seen: list[str] = []
    facts = remembered([file], "text", reading(file, seen))
    (entry,) = fingerprints.facts_folder().iterdir()
    entry.write_bytes(content)
    assert remembered([file], "text", reading(file, seen)) == facts
    assert len(seen) == 2


def test_a_cache_that_cannot_be_written_is_done_without(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(file))  # no folder
    assert remembered([file], "text", reading(file, []))["sha256"] == sha256_of([file])


@pytest.mark.parametrize("load", [load_text, load_binary], ids=["text", "bin"])
def test_a_file_is_mapped_and_its_content_not_read_again(
    file: Path, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    if load is load_binary:
        file.write_bytes(np.arange(200, dtype="<u2").tobytes())
    first = load(str(file), 0.1)
    monkeypatch.setattr("smupar_transfer.training.data.corpora.sha256_of", None)
    monkeypatch.setattr("smupar_transfer.training.data.binary.sha256_of", None)
    again = load(str(file), 0.1)
    assert isinstance(again.train, np.memmap)
    assert again.spec == first.spec
    assert again.vocab_size == first.vocab_size


def test_a_folder_is_read_when_its_first_token_is_asked_for(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (file.parent / "second.txt").write_bytes(b"More of them.")
    folder = str(file.parent)
    expected = np.asarray(load_text(folder, 0.1).train).tobytes()
    opened: list[str] = []
    original = os.open

    def noted(path: str | Path, *arguments: int) -> int:
        opened.append(Path(path).name)
        return original(path, *arguments)

    monkeypatch.setattr(os, "open", noted)
    data = load_text(folder, 0.1)
    data.check(8)
    assert not {"file.txt", "second.txt"} & set(opened)
    assert np.asarray(data.train).tobytes() == expected
    assert {"file.txt", "second.txt"} <= set(opened)
    assert len(data.train) == len(expected) == data.spec.train_size


def test_files_that_change_before_they_are_read_are_refused(file: Path) -> None:
    second = file.parent / "second.txt"
    second.write_bytes(b"More of them.")
    data = load_text(str(file.parent), 0.1)
    second.write_bytes(b"Less of them.")
    with pytest.raises(InputError, match=r"data\.path=.*corpus: has changed meanwhile"):
        _ = data.train[0]
