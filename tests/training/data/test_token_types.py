"""Bytes that are no token ids, or ids of another type; and ids that look odd but are right."""

from __future__ import annotations

import gzip
import io
import lzma
import pickle
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from smupar_transfer.theory import InputError
from smupar_transfer.training.data.binary import load_binary
from smupar_transfer.training.data.token_types import doubt, refuse_other_formats

Ids = NDArray[np.int64]
RNG = np.random.default_rng(0)


def zipf(vocabulary: int, count: int, *, shuffled: bool = False) -> Ids:
    """Ids as frequent as words are; the most frequent first, or in no order, as an alphabet leaves them."""
    weights = 1 / (np.arange(vocabulary) + 2.7)
    order = RNG.permutation(vocabulary) if shuffled else np.arange(vocabulary)
    return order[RNG.choice(vocabulary, size=count, p=weights / weights.sum())]


def letters(count: int) -> Ids:
    """Characters of prose by their alphabet: 0 is the newline, 1 the space, as in nanoGPT's char-level files."""
    prose = Path(__file__).read_text(encoding="utf-8") * (1 + count // 5000)
    alphabet = {letter: index for index, letter in enumerate(sorted(set(prose)))}
    return np.array([alphabet[letter] for letter in prose[:count]])


SIZES = [700, 5_000, 200_000]
TEXTS: dict[str, Callable[[int], Ids]] = {
    "letters": letters,
    "300 words": lambda count: zipf(300, count),
    "1000 words": lambda count: zipf(1_000, count, shuffled=True),
    "GPT-2": lambda count: zipf(50_257, count),
    "GPT-2, shuffled": lambda count: zipf(50_257, count, shuffled=True),
    "all ids": lambda count: zipf(65_536, count, shuffled=True),
    "noise": lambda count: RNG.integers(0, 65_536, count),
    "noise below 50257": lambda count: RNG.integers(0, 50_257, count),
    "counting": lambda count: np.arange(count) % 50_257,
}


def as_uint16(content: bytes) -> NDArray[np.uint16]:
    return np.frombuffer(content[: len(content) // 2 * 2], dtype="<u2")


@pytest.mark.parametrize("count", [16, 100, *SIZES])
@pytest.mark.parametrize("text", TEXTS)
def test_ids_of_16_bits_are_not_doubted(text: str, count: int) -> None:
    assert doubt(as_uint16(TEXTS[text](count).astype("<u2").tobytes())) is None


@pytest.mark.parametrize("count", [40, *SIZES])
@pytest.mark.parametrize("dtype", ["<u4", "<i4", "<i8", ">u4", ">i8", "<f8"])
@pytest.mark.parametrize("text", ["letters", "300 words", "GPT-2", "GPT-2, shuffled", "noise below 50257"])
def test_longer_ids_are_doubted(text: str, dtype: str, count: int) -> None:
    content = TEXTS[text](count).astype(dtype).tobytes()
    assert re.search(r"in every (second|fourth) place .* as if ids were longer", str(doubt(as_uint16(content))))


@pytest.mark.parametrize("text", ["letters", "GPT-2", "GPT-2, shuffled", "noise below 50257"])
def test_numbers_with_a_fraction_are_doubted(text: str) -> None:
    content = TEXTS[text](700).astype("<f4").tobytes()
    assert "as if ids were longer" in str(doubt(as_uint16(content)))


@pytest.mark.parametrize("dtype", ["<u4", "<i4", ">i4", "<i8"])
@pytest.mark.parametrize("vocabulary", [100_277, 128_256, 256_000])
def test_so_are_ids_beyond_16_bits_and_negative_ones(vocabulary: int, dtype: str) -> None:
    ids = zipf(vocabulary, 5_000, shuffled=True)
    assert doubt(as_uint16(ids.astype(dtype).tobytes())) is not None
    ids[::50] = -100
    assert doubt(as_uint16(ids.astype(dtype).tobytes())) is not None


@pytest.mark.parametrize("count", SIZES[1:])
@pytest.mark.parametrize("text", ["letters", "300 words", "GPT-2", "noise below 50257"])
def test_another_byte_order_is_doubted(text: str, count: int) -> None:
    assert "upper bytes" in str(doubt(as_uint16(TEXTS[text](count).astype(">u2").tobytes())))


@pytest.mark.parametrize("count", [2_000, 200_000])
def test_ids_of_8_bits_are_doubted(count: int) -> None:
    assert "ids were shorter" in str(doubt(as_uint16(letters(count).astype("u1").tobytes())))
    assert "ids were shorter" in str(doubt(as_uint16((zipf(256, 5 * count)).astype("u1").tobytes())))


@pytest.mark.parametrize("text", ["letters", "GPT-2", "noise below 50257"])
def test_ids_of_64_bits_are_doubted_where_32_are_assumed(text: str) -> None:
    content = TEXTS[text](1_000).astype("<i8").tobytes()
    assert "if read as 32-bit ids" in str(doubt(np.frombuffer(content, "<u4")))
    assert doubt(np.frombuffer(TEXTS[text](1_000).astype("<u4").tobytes(), "<u4")) is None


@pytest.mark.parametrize(
    "ids",
    [
        [0],
        [5],
        [5, 0],
        [5, 0, 7, 0],
        [0] * 1000,
        [257] * 5000,
        [0] * 999 + [5],
        [0, 1] * 3,
        [3, 3, 0] * 500,
        [5, 200] * 50,
    ],
)
def test_hardly_anything_is_no_reason_to_doubt(ids: list[int]) -> None:
    assert doubt(np.array(ids, dtype="<u2")) is None


def test_a_common_zero_is_no_reason_to_doubt() -> None:
    """Nine in ten: at every second place of ten, by chance, in one of three files."""
    for _ in range(300):
        assert doubt((RNG.random(20) > 0.9).astype("<u2")) is None


def numpy_file(ids: Ids) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, ids.astype("<u2"))
    return buffer.getvalue()


def torch_file(ids: Ids) -> bytes:
    buffer = io.BytesIO()
    torch.save(torch.from_numpy(ids), buffer)
    return buffer.getvalue()


def zipped(ids: Ids) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("ids", ids.tobytes())
    return buffer.getvalue()


OTHERS: dict[str, tuple[Callable[[Ids], bytes], str]] = {
    "npy": (numpy_file, "a NumPy array with a header"),
    "pt": (torch_file, "a zip archive"),
    "zip": (zipped, "a zip archive"),
    "gz": (lambda ids: gzip.compress(ids.tobytes()), "compressed by gzip"),
    "xz": (lambda ids: lzma.compress(ids.tobytes()), "compressed by xz"),
    "zst": (lambda ids: b"\x28\xb5\x2f\xfd" + ids.tobytes(), "compressed by zstd"),
    "parquet": (lambda ids: b"PAR1" + ids.tobytes() + b"PAR1", "a Parquet table"),
    "arrow": (lambda ids: b"ARROW1\x00\x00" + ids.tobytes(), "an Arrow table"),
    "idx": (lambda ids: b"MMIDIDX\x00\x00" + ids.tobytes(), "an index of Megatron's"),
}
ODD: dict[str, tuple[Callable[[Ids], bytes], str]] = {
    "pickle": (lambda ids: pickle.dumps(ids.tolist()), "a Python pickle"),
    "old pickle": (lambda ids: pickle.dumps(ids.tolist(), 2), "a Python pickle"),
    "stream": (
        lambda ids: b"\xff\xff\xff\xff\x98\x02\x00\x00\x10\x00\x00\x00" + ids.tobytes(),
        "a stream of Arrow tables",
    ),
    "text": (lambda ids: " ".join(map(str, ids)).encode(), "is text"),
    "lines": (lambda ids: "\r\n".join(f'{{"täxt": "{index}"}}' for index in ids).encode(), "is text"),
}


@pytest.mark.parametrize("name", [*OTHERS, *ODD])
def test_files_of_other_formats_are_refused(tmp_path: Path, name: str) -> None:
    write, kind = {**OTHERS, **ODD}[name]
    content = write(RNG.integers(0, 50_257, 999))
    (tmp_path / "file").write_bytes(content + b" " * (len(content) % 2 if name in ("text", "lines") else 0))
    if len(content) % 2 and name not in ("text", "lines"):
        (tmp_path / "file").write_bytes(content[:-2] + content[-1:])  # of whole tokens, whatever it is
    with pytest.raises(InputError, match=kind) as caught:
        load_binary(str(tmp_path / "file"), 0.1)
    assert (caught.value.key, caught.value.value) == ("data.path", str(tmp_path / "file"))


@pytest.mark.parametrize("name", OTHERS)
def test_they_are_whatever_type_is_named(name: str) -> None:
    write, kind = OTHERS[name]
    with pytest.raises(InputError, match=kind):
        refuse_other_formats("file", write(RNG.integers(0, 50_257, 999))[:1024], b"", certain=True)


@pytest.mark.parametrize("name", ODD)
def test_what_ids_might_look_like_by_chance_is_let_pass_if_the_type_is_named(tmp_path: Path, name: str) -> None:
    content = ODD[name][0](RNG.integers(0, 50_257, 999))
    (tmp_path / "file").write_bytes(content)
    assert load_binary(str(tmp_path / "file"), 0.1, dtype="uint8").spec.train_size > 0


def test_a_named_type_is_taken_at_its_word(tmp_path: Path) -> None:
    """The way out for ids that are as odd as ids of another type."""
    ids = [5, 0] * 500
    (tmp_path / "file").write_bytes(np.array(ids, dtype="<u2").tobytes())
    with pytest.raises(InputError, match="zero in every second place"):
        load_binary(str(tmp_path / "file"), 0.1)
    data = load_binary(str(tmp_path / "file"), 0.1, dtype="uint16")
    assert [*data.train.tolist(), *data.validation.tolist()] == ids


def test_text_cut_within_a_letter_is_text() -> None:
    content = ("ä" * 600).encode()
    with pytest.raises(InputError, match="is text and no file of token ids; use data=text"):
        refuse_other_formats("file", content[:1001], b"", certain=False)
    refuse_other_formats("file", content[:1001] + b"\x00" * 23, b"", certain=False)
