"""Token ids in binary files, mapped into memory: the formats of nanoGPT and of llm.c."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from smupar_transfer.records.spec import DataSpec
from smupar_transfer.theory import InputError
from smupar_transfer.training.data.reading import readable
from smupar_transfer.training.data.tokens import TokenData, Tokens

HEADER_BYTES = 256 * 4
HEADERS = {20240520: (1, "<u2"), 20240801: (7, "<u4")}
"""Magic number -> version and token type. Source: llm.c, dev/data/data_common.py."""
UINT16_IDS = 1 << 16
_CHUNK = 1 << 24


@dataclass(frozen=True)
class _Layout:
    """Where tokens lie in a file: after ``offset`` bytes; a header may have ``promised`` how many."""

    dtype: str
    offset: int = 0
    promised: int | None = None


def load_binary(
    path: str | None, fraction: float, vocab_size: int | None = None, bytes_per_token: float | None = None
) -> TokenData:
    """Tokens that some tokenizer wrote to disk; little-endian, mapped, not read into memory.

    Without a header a file holds uint16, or uint32 if ``vocab_size`` is above 65,536. A header (256 int32:
    magic number, version, number of tokens, zeros) says itself which of the two follows.

    Args:
        path: a file, or a folder with ``train.bin`` and ``val.bin``.
        fraction: part of a single file, in (0, 1), at its end, that goes to validation.
        vocab_size: every id must be below it; the largest id + 1 if left out.
        bytes_per_token: mean bytes of text behind a token, if known; without it there are no bits per byte.

    Returns:
        Both splits; the sha256 is that of the files' content, headers included, training first.

    Raises:
        InputError: a file is missing, unreadable, empty or not of these formats, or an id is not below
            ``vocab_size``.
    """
    if not path:
        raise InputError(
            "data.path", path, "is needed by data=bin", "name a file, or a folder with train.bin and val.bin"
        )
    headerless = "<u4" if vocab_size is not None and vocab_size > UINT16_IDS else "<u2"
    with readable(path):
        files = _files(Path(path).expanduser())
        train, validation = _splits([_map(file, headerless) for file in files], fraction)
        sha256 = _sha256(files)
    return TokenData(
        spec=DataSpec(
            name="bin",
            sha256=sha256,
            train_size=len(train),
            validation_size=len(validation),
            bytes_per_token=bytes_per_token,
            path=path,
        ),
        train=train,
        validation=validation,
        vocab_size=_checked_vocab_size((train, validation), vocab_size),
    )


def _files(place: Path) -> list[Path]:
    files = [place / "train.bin", place / "val.bin"] if place.is_dir() else [place]
    for file in files:
        if not file.is_file():
            raise InputError("data.path", str(file), "is not a file" if file.exists() else "does not exist")
    return files


def _splits(mapped: Sequence[Tokens], fraction: float) -> tuple[Tokens, Tokens]:
    if len(mapped) == 2:
        return mapped[0], mapped[1]
    (whole,) = mapped
    cut = len(whole) - int(len(whole) * fraction)
    return whole[:cut], whole[cut:]


def _map(file: Path, headerless: str) -> Tokens:
    size = file.stat().st_size
    layout = _layout(file, headerless)
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
    return mapped


def _layout(file: Path, headerless: str) -> _Layout:
    with file.open("rb") as stream:
        start = stream.read(HEADER_BYTES)
    header = np.frombuffer(start[: len(start) // 4 * 4], dtype="<i4")
    if len(start) < HEADER_BYTES or int(header[0]) not in HEADERS:
        return _Layout(headerless)
    magic, version, count = (int(field) for field in header[:3])
    expected, dtype = HEADERS[magic]
    if version != expected:
        raise InputError(
            "data.path",
            str(file),
            f"has a header {magic} of version {version}, only version {expected} is known",
        )
    return _Layout(dtype, HEADER_BYTES, count)


def _checked_vocab_size(parts: Sequence[Tokens], vocab_size: int | None) -> int:
    needed = max(int(part.max()) for part in parts if len(part)) + 1
    if vocab_size is not None and vocab_size < needed:
        raise InputError(
            "data.vocab_size", vocab_size, f"is too small for token id {needed - 1}", f"use {needed} or more"
        )
    return needed if vocab_size is None else vocab_size


def _sha256(files: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
    return digest.hexdigest()
