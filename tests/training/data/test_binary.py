"""Token files of nanoGPT and llm.c."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from smupar_transfer.theory import InputError
from smupar_transfer.training.data.binary import load_binary

IDS = list(range(1000, 1100))


def header(magic: int = 20240520, version: int = 1, count: int = len(IDS)) -> bytes:
    fields = np.zeros(256, dtype="<i4")
    fields[:3] = magic, version, count
    return fields.tobytes()


def tokens(ids: list[int] = IDS, dtype: str = "<u2") -> bytes:
    return np.array(ids, dtype=dtype).tobytes()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "tokens.bin"
    path.write_bytes(tokens())
    return path


def test_a_headerless_file_is_uint16_with_its_tail_for_validation(file: Path) -> None:
    data = load_binary(str(file), 0.1)
    assert data.train.tolist() == IDS[:90]
    assert data.validation.tolist() == IDS[90:]
    assert data.train.dtype == np.uint16
    assert (data.spec.train_size, data.spec.validation_size, data.spec.path) == (90, 10, str(file))


@given(ids=st.lists(st.integers(0, 65535), min_size=1, max_size=700), fraction=st.floats(0.01, 0.99))
def test_each_token_comes_up_once(tmp_path_factory: pytest.TempPathFactory, ids: list[int], fraction: float) -> None:
    path = tmp_path_factory.mktemp("ids") / "tokens.bin"
    for start, count in ((b"", len(ids)), (header(count=len(ids)), len(ids))):
        path.write_bytes(start + tokens(ids))
        data = load_binary(str(path), fraction)
        assert [*data.train.tolist(), *data.validation.tolist()] == ids
        assert data.spec.train_size + data.spec.validation_size == count


def test_files_are_mapped_and_not_read(file: Path) -> None:
    data = load_binary(str(file), 0.1)
    assert isinstance(data.train, np.memmap)
    inputs, targets = data.train_batch(torch.Generator().manual_seed(0), 2, 5)
    assert torch.equal(targets, inputs + 1)


def test_a_header_is_no_token(file: Path) -> None:
    file.write_bytes(header() + tokens())
    data = load_binary(str(file), 0.1)
    assert data.spec.train_size + data.spec.validation_size == len(IDS)
    assert data.train.tolist() == IDS[:90]


def test_the_other_header_announces_uint32(file: Path) -> None:
    ids = [0, 128255, 7]  # the first is a legal id, the second needs 17 bits
    file.write_bytes(header(20240801, 7, 3) + tokens(ids, "<u4"))
    data = load_binary(str(file), 0.4)
    assert [*data.train.tolist(), *data.validation.tolist()] == ids
    assert (data.train.dtype.name, data.vocab_size) == ("uint32", 128256)


def test_a_header_outweighs_the_vocabulary(file: Path) -> None:
    file.write_bytes(header() + tokens())
    assert load_binary(str(file), 0.1, vocab_size=70_000).train.dtype == np.uint16


def test_a_large_vocabulary_makes_headerless_files_uint32(file: Path) -> None:
    file.write_bytes(tokens([1, 70_000, 2, 3], "<u4"))
    data = load_binary(str(file), 0.25, vocab_size=70_001)
    assert (data.train.tolist(), data.validation.tolist()) == ([1, 70_000, 2], [3])
    assert data.train.dtype == np.uint32


def test_65536_ids_still_fit_uint16(file: Path) -> None:
    assert load_binary(str(file), 0.1, vocab_size=65_536).spec.train_size == 90


def test_the_vocabulary_is_counted_or_given(file: Path) -> None:
    assert load_binary(str(file), 0.1).vocab_size == 1100
    assert load_binary(str(file), 0.1, vocab_size=1100).vocab_size == 1100
    assert load_binary(str(file), 0.1, vocab_size=50_304).vocab_size == 50_304


def test_an_id_outside_the_vocabulary_is_refused(file: Path) -> None:
    """The largest id lies in the validation split, so both are looked through."""
    with pytest.raises(InputError, match=r"^data\.vocab_size=1099: is too small for token id 1099; use 1100"):
        load_binary(str(file), 0.1, vocab_size=1099)


def test_a_folder_brings_its_own_split(tmp_path: Path) -> None:
    (tmp_path / "train.bin").write_bytes(tokens([5, 6, 7]))
    (tmp_path / "val.bin").write_bytes(header(count=2) + tokens([8, 9]))
    data = load_binary(str(tmp_path), 0.9, bytes_per_token=4.5)
    assert (data.train.tolist(), data.validation.tolist()) == ([5, 6, 7], [8, 9])
    assert (data.vocab_size, data.spec.bytes_per_token) == (10, 4.5)
    both = (tmp_path / "train.bin").read_bytes() + (tmp_path / "val.bin").read_bytes()
    assert data.spec.sha256 == hashlib.sha256(both).hexdigest()


def test_the_hash_is_that_of_the_file(file: Path) -> None:
    assert load_binary(str(file), 0.1).spec.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert load_binary(str(file), 0.1).spec.bytes_per_token is None


@pytest.mark.parametrize(
    ("content", "vocab_size", "problem"),
    [
        (b"", None, "is empty"),
        (header(count=0), None, "is empty"),
        (b"odd", None, "has 3 bytes, no whole number of 16-bit tokens"),
        (header() + b"odd", None, "no whole number of 16-bit tokens"),
        (b"sixsix", 100_000, "has 6 bytes, no whole number of 32-bit tokens"),
        (header(count=101) + tokens(), None, "holds 100 tokens, its header promises 101"),
        (header(count=99) + tokens(), None, "holds 100 tokens, its header promises 99"),
        (header(version=2) + tokens(), None, "header 20240520 of version 2, only version 1 is known"),
        (header(count=0)[:1000], None, "ends within its header 20240520; write it again"),
        (header()[:4], None, "ends within its header 20240520; write it again"),
        (header(20240801, 7)[:8], None, "ends within its header 20240801; write it again"),
        (np.frombuffer(header(), "<i4").byteswap().tobytes() + tokens(), None, r"of another byte order \(20240520\)"),
        (header(20240326, 3) + tokens(), None, "has a header of GPT-2's weights"),
        (header(20240328) + tokens(), 70_000, "has a header of a tokenizer"),
        (header(20240522) + tokens(), None, "has a header of multiple-choice questions"),
    ],
)
def test_damaged_files_are_refused(file: Path, content: bytes, vocab_size: int | None, problem: str) -> None:
    file.write_bytes(content)
    with pytest.raises(InputError, match=problem) as caught:
        load_binary(str(file), 0.1, vocab_size=vocab_size)
    assert (caught.value.key, caught.value.value) == ("data.path", str(file))


def test_missing_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.bin: does not exist"):
        load_binary(str(tmp_path / "absent.bin"), 0.1)
    (tmp_path / "train.bin").write_bytes(tokens())
    with pytest.raises(InputError, match=r"val\.bin: does not exist"):
        load_binary(str(tmp_path), 0.1)
    (tmp_path / "val.bin").mkdir()
    with pytest.raises(InputError, match=r"val\.bin: is not a file"):
        load_binary(str(tmp_path), 0.1)


@pytest.mark.parametrize("path", [None, ""])
def test_a_path_is_needed(path: str | None) -> None:
    with pytest.raises(InputError, match=r"is needed by data=bin; name a file, or a folder with train\.bin"):
        load_binary(path, 0.1)


WRITTEN = ["uint8", "uint16", "uint32", "uint64", "int16", "int32", "int64"]


@pytest.mark.parametrize("written", WRITTEN)
@pytest.mark.parametrize("vocab_size", [None, 127, 100_000])
def test_a_named_type_is_read_as_it_was_written(file: Path, written: str, vocab_size: int | None) -> None:
    ids = [index * 7 % 127 for index in range(500)]
    file.write_bytes(np.array(ids, dtype=written).tobytes())
    data = load_binary(str(file), 0.1, vocab_size, dtype=written)
    assert [*data.train.tolist(), *data.validation.tolist()] == ids
    assert data.train.dtype.name == written
    assert data.vocab_size == (vocab_size or 127)
    inputs, targets = data.train_batch(torch.Generator().manual_seed(0), 2, 5)
    assert inputs.dtype is torch.int64
    assert torch.equal(targets, (inputs + 7) % 127)


@pytest.mark.parametrize(
    ("written", "vocab_size"),
    [
        *[(written, vocab_size) for written in ("uint8", "uint64", "int64") for vocab_size in (None, 127, 100_000)],
        *[(written, vocab_size) for written in ("uint32", "int32") for vocab_size in (None, 127)],
        ("uint16", 100_000),
    ],
)
def test_a_type_that_was_not_named_is_not_guessed_wrong(file: Path, written: str, vocab_size: int | None) -> None:
    """Ids of a character or two: 32-bit numbers trained to a loss of half the truth."""
    ids = np.random.default_rng(0).integers(0, 127, 2000) ** 2 // 127
    file.write_bytes(ids.astype(written).tobytes())
    with pytest.raises(InputError) as caught:
        load_binary(str(file), 0.1, vocab_size)
    assert "data.dtype: uint8, uint16, uint32, uint64, int16, int32, int64, all little-endian" in str(caught.value)


def test_a_folder_takes_the_named_type_for_both_files(tmp_path: Path) -> None:
    (tmp_path / "train.bin").write_bytes(tokens([5, 6, 7], "<i8"))
    (tmp_path / "val.bin").write_bytes(tokens([8, 9], "<i8"))
    data = load_binary(str(tmp_path), 0.9, dtype="int64")
    assert (data.train.tolist(), data.validation.tolist()) == ([5, 6, 7], [8, 9])


def test_files_of_a_folder_must_hold_one_type(tmp_path: Path) -> None:
    (tmp_path / "train.bin").write_bytes(header(20240801, 7) + tokens(dtype="<u4"))
    (tmp_path / "val.bin").write_bytes(header() + tokens())
    with pytest.raises(InputError, match=r"holds uint32 in train\.bin and uint16 in val\.bin; write both alike"):
        load_binary(str(tmp_path), 0.1)


@pytest.mark.parametrize("link", ["symlink_to", "hardlink_to"])
def test_training_data_are_no_validation_data(tmp_path: Path, link: str) -> None:
    (tmp_path / "train.bin").write_bytes(tokens())
    getattr(tmp_path / "val.bin", link)(tmp_path / "train.bin")
    with pytest.raises(InputError, match=r"val\.bin: is the same file as train\.bin; validate on other data"):
        load_binary(str(tmp_path), 0.1)


def test_a_header_and_a_named_type_must_agree(file: Path) -> None:
    file.write_bytes(header() + tokens())
    assert load_binary(str(file), 0.1, dtype="uint16").train.tolist() == IDS[:90]
    with pytest.raises(
        InputError, match=r"^data\.dtype=int32: is not what the header of .* says: uint16; leave it out"
    ):
        load_binary(str(file), 0.1, dtype="int32")


@pytest.mark.parametrize("position", [0, 99])
def test_negative_ids_are_refused_in_either_split(file: Path, position: int) -> None:
    ids = list(IDS)
    ids[position] = -100
    file.write_bytes(tokens(ids, "<i4"))
    with pytest.raises(InputError, match="holds the token id -100; ids count from 0: take it out"):
        load_binary(str(file), 0.1, dtype="int32")


@pytest.mark.parametrize(("written", "named"), [("uint16", "uint32"), ("uint16", "int64"), ("int32", "int64")])
def test_a_type_named_too_long_is_refused(file: Path, written: str, named: str) -> None:
    file.write_bytes(np.array(IDS, dtype=written).tobytes())
    with pytest.raises(InputError, match=r"holds the token id \d+, more than any tokenizer has; name the type"):
        load_binary(str(file), 0.1, dtype=named)


def test_ids_beyond_every_tokenizer_may_be_vouched_for(file: Path) -> None:
    file.write_bytes(tokens([1, 2**24, 2, 3], "<u4"))
    assert load_binary(str(file), 0.25, 2**24 + 1).vocab_size == 2**24 + 1


def test_an_id_outside_the_vocabulary_may_be_none(file: Path) -> None:
    """Where the type is an assumption, the vocabulary need not be at fault."""
    with pytest.raises(InputError, match=r"use 1100 or more, or name the type of its ids in data\.dtype"):
        load_binary(str(file), 0.1, vocab_size=1099)
    with pytest.raises(InputError, match=r"use 1100 or more$"):
        load_binary(str(file), 0.1, vocab_size=1099, dtype="uint16")
