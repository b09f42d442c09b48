"""Corpora of bytes and their split, file by file."""

from __future__ import annotations

import hashlib
import importlib.metadata
import time
from importlib.machinery import ModuleSpec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smupar_transfer.theory import InputError
from smupar_transfer.training.data import corpora
from smupar_transfer.training.data.corpora import byte_corpus, load_python, load_text, split_tail

SYMPY_1_14_0 = "a6d1a0377a2751527df56192e227deee699282ff09b5ede1fc4059530c40c5e5"
"""Of the .py files in the wheel sympy-1.14.0 outside tests and benchmarks, sorted, joined with newlines."""


@given(st.binary(max_size=300), st.floats(0.01, 0.99))
def test_a_split_covers_each_byte_once(content: bytes, fraction: float) -> None:
    head, tail = split_tail(content, fraction)
    assert head + tail == content
    assert len(tail) <= len(content) * fraction < len(tail) + 1


@given(st.lists(st.binary(max_size=60), min_size=1, max_size=6).filter(any), st.floats(0.01, 0.99))
def test_each_file_counts_in_both_splits(files: list[bytes], fraction: float) -> None:
    data = byte_corpus("text", files, fraction)
    pieces = [split_tail(content, fraction) for content in files]
    assert data.train.tobytes() == b"\n".join(head for head, _ in pieces if head)
    assert data.validation.tobytes() == b"\n".join(tail for _, tail in pieces if tail)
    assert (len(data.train), len(data.validation)) == (data.spec.train_size, data.spec.validation_size)


def test_bytes_are_tokens() -> None:
    data = byte_corpus("text", [b"\x00\xff" * 10], 0.1)
    assert data.train.dtype == np.uint8
    assert data.train.tolist() == [0, 255] * 9
    assert (data.vocab_size, data.spec.bytes_per_token) == (256, 1.0)


def test_the_hash_is_that_of_the_file_itself() -> None:
    whole, two, other = (byte_corpus("text", files, 0.1).spec for files in ([b"abc"], [b"ab", b"c"], [b"abd"]))
    assert whole.sha256 == hashlib.sha256(b"abc").hexdigest()
    assert two.sha256 == hashlib.sha256(b"ab\nc").hexdigest()
    assert len({whole.sha256, two.sha256, other.sha256}) == 3


@pytest.mark.parametrize("files", [[], [b""], [b"", b""]])
def test_an_empty_corpus_is_refused(files: list[bytes]) -> None:
    with pytest.raises(InputError, match=r"data\.path=somewhere: is empty"):
        byte_corpus("text", files, 0.1, path="somewhere")


def test_python_is_sympy_without_tests_and_benchmarks() -> None:
    data = load_python(0.1)
    tokens = np.concatenate([data.train, data.validation])
    assert len(np.unique(tokens)) < 256
    assert data.spec.validation_size == pytest.approx(data.spec.train_size / 9, rel=0.01)
    if importlib.metadata.version("sympy") == "1.14.0":
        assert data.spec.sha256 == SYMPY_1_14_0
        assert len(np.unique(tokens)) == 137
        assert len(tokens) == pytest.approx(16.14e6, rel=1e-3)


def test_python_loads_fast_enough_for_every_worker() -> None:
    load_python(0.1)
    started = time.process_time()
    load_python(0.1)
    assert time.process_time() - started < 1


def fake_package(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = ModuleSpec("sympy", None, is_package=True)
    spec.submodule_search_locations = [str(root)]
    monkeypatch.setattr(corpora, "find_spec", lambda name: spec)


def write(root: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)


def test_python_files_are_sorted_by_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = {"a/b.py": b"2" * 10, "a-c.py": b"1" * 10, "z.py": b"3" * 10}
    skipped = {"a/tests/t.py": b"-", "tests/t.py": b"-", "benchmarks/t.py": b"-", "a/data.txt": b"-"}
    write(tmp_path / "tests", wanted | skipped)  # a folder above the package may well be called tests
    fake_package(tmp_path / "tests", monkeypatch)
    assert np.asarray(load_python(0.1).train).tobytes() == b"\n".join([b"1" * 9, b"2" * 9, b"3" * 9])


def test_a_missing_sympy_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpora, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"data=python: .*not installed; run: pip install sympy"):
        load_python(0.1)


def test_a_sympy_without_source_code_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_package(tmp_path, monkeypatch)
    with pytest.raises(InputError, match="is empty"):
        load_python(0.1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    files = {"b.txt": b"B" * 10, "a/z.md": b"Z" * 10, "a/deep/y.txt": b"Y" * 10, ".git/object": b"hidden"}
    write(tmp_path, files)
    return tmp_path


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("b.txt", "B"),
        ("", "YZB"),
        ("a", "YZ"),
        ("*.txt", "B"),
        ("**/*.txt", "YB"),
        ("a/*", "Z"),
        (".git/object", "h"),
    ],
)
def test_text_takes_files_folders_and_patterns(folder: Path, path: str, expected: str) -> None:
    data = load_text(str(folder / path), 0.1)
    assert [piece[:1].decode() for piece in np.asarray(data.train).tobytes().split(b"\n")] == list(expected)
    assert data.spec.path == str(folder / path)


def test_text_finds_the_home_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder))
    assert load_text("~/b.txt", 0.5).train.tobytes() == b"BBBBB"


def test_a_file_whose_name_looks_like_a_pattern_is_taken_as_it_is(folder: Path) -> None:
    (folder / "[b].txt").write_bytes(b"brackets")
    assert load_text(str(folder / "[b].txt"), 0.5).train.tobytes() == b"brac"


def test_the_content_counts_and_not_where_it_lies(folder: Path) -> None:
    write(folder / "copy", {"b.txt": b"B" * 10})
    assert load_text(str(folder / "copy"), 0.1).spec.sha256 == load_text(str(folder / "b.txt"), 0.1).spec.sha256


@pytest.mark.parametrize(
    ("path", "problem"),
    [("absent.txt", "does not exist"), ("*.csv", "matches no file"), ("empty", "folder without files")],
)
def test_text_that_is_not_there_is_refused(folder: Path, path: str, problem: str) -> None:
    (folder / "empty").mkdir()
    with pytest.raises(InputError, match=problem) as caught:
        load_text(str(folder / path), 0.1)
    assert (caught.value.key, caught.value.value) == ("data.path", str(folder / path))


@pytest.mark.parametrize("path", [None, ""])
def test_text_needs_a_path(path: str | None) -> None:
    with pytest.raises(InputError, match="is needed by data=text; name a file"):
        load_text(path, 0.1)
