"""Token ids in binary files, mapped into memory: the formats of nanoGPT and of llm.c."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from smupar_transfer.records import DataSpec, regular
from smupar_transfer.theory import InputError
from smupar_transfer.training.data.files import own_path
from smupar_transfer.training.data.fingerprints import Facts, remembered, sha256_of
from smupar_transfer.training.data.reading import readable
from smupar_transfer.training.data.token_types import MOST_IDS, TOKEN_TYPES, doubt, refuse_other_formats
from smupar_transfer.training.data.tokens import TokenData, Tokens, require_whole

# 256 int32, as llm.c writes them
HEADER_BYTES = 256 * 4
_CHUNK = 1 << 24  # token ids that are looked at in one piece
HEADERS = {20240520: (1, "<u2"), 20240801: (7, "<u4")}
"""Magic number -> version and token type. Source: llm.c, dev/data/data_common.py."""
OTHER_HEADERS = {
    20240326: "GPT-2's weights",
    20240327: "activations to compare with",
    20240328: "a tokenizer",
    20240522: "multiple-choice questions",
}
"""Magic numbers of llm.c's other files. Source: llm.c, train_gpt2.py and dev/data/data_common.py."""
UINT16_IDS = 1 << 16
LOOKED_AT = 1 << 20
"""So many values at the beginning of a file must look like token ids."""
_NAME_IT = f"name the type of its ids in data.dtype: {', '.join(TOKEN_TYPES)}, all little-endian"


@dataclass(frozen=True)
class _Layout:
    """Where tokens lie in a file.

    Attributes:
        dtype: The type of the tokens, as NumPy writes it.
        offset: The number of bytes before the first token.
        promised: The number of tokens that a header tells.
        told: Whether a header or a person says what the type is; otherwise it is an assumption.
    """

    dtype: str
    offset: int = 0
    promised: int | None = None
    told: bool = True


def load_binary(
    path: str | None,
    fraction: float,
    vocab_size: int | None = None,
    bytes_per_token: float | None = None,
    dtype: str | None = None,
) -> TokenData:
    """Tokens that some tokenizer wrote to disk; little-endian, mapped, not read into memory.

    A header (256 int32: magic number, version, number of tokens, zeros) says itself what follows. Without one, a file
    holds what ``dtype`` says; where that is left out, uint16, or uint32 if ``vocab_size`` is above 65,536, unless its
    content says otherwise.

    Args:
        path: a file, or a folder with ``train.bin`` and ``val.bin``.
        fraction: part of a single file, in (0, 1), at its end, that goes to validation.
        vocab_size: every id must be below it; the largest id + 1 if left out.
        bytes_per_token: mean bytes of text behind a token, if known; without it there are no bits per byte.
        dtype: one of ``TOKEN_TYPES``, for files without a header.

    Returns:
        Both splits; the sha256 is that of the files' content, headers included, training first.

    Raises:
        InputError: a file is missing, unreadable, empty, of another format or, as it seems, of another type; or an id
            is negative, or not below ``vocab_size``.
    """
    if not path:
        raise InputError(
            "data.path", path, "is needed by data=bin", "name a file, or a folder with train.bin and val.bin"
        )
    with readable(path):
        files = _files(own_path(path))
        layouts = [_layout(file, dtype, vocab_size) for file in files]
        mapped = [_map(file, layout) for file, layout in zip(files, layouts, strict=True)]
        train, validation = _splits(mapped, fraction, path)
        # the layout is part of what is asked: the same bytes, read as another type, are other ids
        facts = remembered(files, f"bin {layouts}", lambda: _facts(files, mapped))
    return TokenData(
        spec=DataSpec(
            name="bin",
            sha256=str(facts["sha256"]),
            train_size=len(train),
            validation_size=len(validation),
            bytes_per_token=bytes_per_token,
            path=path,
        ),
        train=train,
        validation=validation,
        vocab_size=_checked_vocab_size(path, facts, vocab_size, told=all(layout.told for layout in layouts)),
    )


def _files(place: Path) -> list[Path]:
    files = [place / "train.bin", place / "val.bin"] if place.is_dir() else [place]
    for file in files:
        if not file.is_file():
            raise InputError("data.path", str(file), "is not a file" if file.exists() else "does not exist")
    if len(files) == 2 and files[0].samefile(files[1]):
        raise InputError("data.path", str(files[1]), "is the same file as train.bin", "validate on other data")
    return files


def _splits(mapped: Sequence[Tokens], fraction: float, path: str) -> tuple[Tokens, Tokens]:
    if len(mapped) == 2:
        if mapped[0].dtype != mapped[1].dtype:
            problem = f"holds {mapped[0].dtype} in train.bin and {mapped[1].dtype} in val.bin"
            raise InputError("data.path", path, problem, "write both alike")
        return mapped[0], mapped[1]
    (whole,) = mapped
    cut = len(whole) - int(len(whole) * fraction)
    return whole[:cut], whole[cut:]


def _map(file: Path, layout: _Layout) -> Tokens:
    size = file.stat().st_size
    item = np.dtype(layout.dtype).itemsize
    held, rest = divmod(size - layout.offset, item)
    if rest:
        problem = f"has {size} bytes, no whole number of {8 * item}-bit tokens"
        raise InputError("data.path", str(file), problem, "data=text takes files of any bytes")
    if layout.promised not in (None, held):
        problem = f"holds {held} tokens, its header promises {layout.promised}"
        raise InputError("data.path", str(file), problem, "write it again")
    if not held:
        raise InputError("data.path", str(file), "is empty: it holds no tokens")
    mapped: Tokens = np.memmap(file, dtype=layout.dtype, mode="r", offset=layout.offset)
    doubted = None if layout.told else doubt(np.asarray(mapped[:LOOKED_AT]))
    if doubted is not None:
        raise InputError("data.path", str(file), doubted, _NAME_IT)
    return mapped


def _layout(file: Path, dtype: str | None, vocab_size: int | None) -> _Layout:
    with regular(file) as stream:
        start = stream.read(HEADER_BYTES)
        # an empty file has no last byte
        stream.seek(-min(1, len(start)), os.SEEK_END)
        refuse_other_formats(str(file), start, stream.read(1), certain=dtype is not None)
    # NumPy refuses a buffer that ends within a number
    header = np.frombuffer(start[: len(start) // 4 * 4], dtype="<i4")
    magic = int(header[0]) if len(header) else 0
    if magic in HEADERS:
        return _announced(file, header, dtype)
    swapped = int(header[0].byteswap()) if magic else 0
    # where a person names the type, the first ids may be any numbers
    if swapped in HEADERS or (dtype is None and magic in OTHER_HEADERS):
        kind = f"of another byte order ({swapped})" if swapped in HEADERS else f"of {OTHER_HEADERS[magic]}"
        raise InputError("data.path", str(file), f"has a header {kind}", "give a file of token ids, little-endian")
    if dtype is not None:
        return _Layout(TOKEN_TYPES[dtype])
    return _Layout("<u4" if vocab_size is not None and vocab_size > UINT16_IDS else "<u2", told=False)


def _announced(file: Path, header: NDArray[np.int32], dtype: str | None) -> _Layout:
    expected, announced = HEADERS[int(header[0])]
    if header.nbytes < HEADER_BYTES:
        raise InputError("data.path", str(file), f"ends within its header {header[0]}", "write it again")
    magic, version, count = (int(field) for field in header[:3])
    if version != expected:
        raise InputError(
            "data.path",
            str(file),
            f"has a header {magic} of version {version}, only version {expected} is known",
        )
    if dtype is not None and TOKEN_TYPES[dtype] != announced:
        problem = f"is not what the header of {file} says: {np.dtype(announced)}"
        raise InputError("data.dtype", dtype, problem, "leave it out")
    return _Layout(announced, HEADER_BYTES, count)


def _facts(files: Sequence[Path], parts: Sequence[Tokens]) -> Facts:
    """What takes reading the files through: their hash, their smallest and their largest id."""
    ends = [(int(piece.min()), int(piece.max())) for part in parts for piece in _pieces(part)]
    lowest, highest = min(low for low, _ in ends), max(high for _, high in ends)
    return {"sha256": sha256_of(files), "lowest": lowest, "highest": highest}


def _checked_vocab_size(path: str, facts: Facts, vocab_size: int | None, *, told: bool) -> int:
    """See ``load_binary``; ``told`` is whether the type of the ids is known."""
    lowest, needed = int(facts["lowest"]), int(facts["highest"]) + 1
    if lowest < 0:
        raise InputError("data.path", path, f"holds the token id {lowest}", "ids count from 0: take it out")
    if vocab_size is None and needed > MOST_IDS:
        problem = f"holds the token id {needed - 1}, more than any tokenizer has"
        raise InputError("data.path", path, problem, f"{_NAME_IT}; or give data.vocab_size")
    if vocab_size is not None and vocab_size < needed:
        remedy = f"use {needed} or more" + ("" if told else f", or {_NAME_IT}")
        raise InputError("data.vocab_size", vocab_size, f"is too small for token id {needed - 1}", remedy)
    return needed if vocab_size is None else vocab_size


def _pieces(tokens: Tokens) -> Iterator[Tokens]:
    """A mapped file piece by piece; before each, it is made sure that the file is still there to its end."""
    for start in range(0, len(tokens), _CHUNK):
        require_whole(tokens)
        yield np.array(tokens[start : start + _CHUNK])
