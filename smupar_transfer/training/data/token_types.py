"""What integers a file of token ids holds: types by name, files that are something else, and types that it cannot be.

A file without a header is bytes; read as another type than it was written in, most files still give numbers that train.
So what is assumed is checked against the content, and a person can name the type in ``data.dtype``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from smupar_transfer.theory import InputError

TOKEN_TYPES = {
    "uint8": "u1",
    "uint16": "<u2",
    "uint32": "<u4",
    "uint64": "<u8",
    "int16": "<i2",
    "int32": "<i4",
    "int64": "<i8",
}
"""Names of ``data.dtype`` and what NumPy calls them; always little-endian."""

MOST_IDS = 1 << 20
"""No tokenizer has more (XLM-V has 901,629); larger numbers are no ids, unless a person gives ``data.vocab_size``."""

FORMATS = {
    b"\x93NUMPY": "a NumPy array with a header",
    b"PK\x03\x04": "a zip archive, such as .npz or PyTorch's files",
    b"\x1f\x8b\x08": "compressed by gzip",
    b"\x28\xb5\x2f\xfd": "compressed by zstd",
    b"\xfd7zXZ\x00": "compressed by xz",
    b"BZh": "compressed by bzip2",
    b"\x04\x22\x4d\x18": "compressed by lz4",
    b"PAR1": "a Parquet table",
    b"ARROW1": "an Arrow table",
    b"\x89HDF\r\n\x1a\n": "an HDF5 file",
    b"SQLite format 3": "an SQLite database",
    b"MMIDIDX\x00\x00": "an index of Megatron's; its tokens are in the .bin file beside it",
    b"GGUF": "a GGUF model",
}
"""How files of other formats begin."""

CHANCE = 1e-6
"""Below this a pattern in a file is no accident."""
FEWEST, MANY = 512, 4096
"""Values that statistics are made of, and so many that these are exact."""


def refuse_other_formats(file: str, start: bytes, end: bytes, *, certain: bool) -> None:
    """Refuse a file that holds its numbers in some format of its own.

    Args:
        file: its path, for the message.
        start: its first bytes.
        end: its last byte.
        certain: whether a person named the type of the numbers; then what may be chance is let pass.

    Raises:
        InputError: it is such a file.
    """
    kind = next((kind for magic, kind in FORMATS.items() if start.startswith(magic)), None)
    if kind is None and not certain:
        # protocols 2 to 5: an opcode with the number of the protocol begins a pickle, and a full stop ends it
        if start[:1] == b"\x80" and start[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05") and end == b".":
            kind = "a Python pickle"
        elif start[:4] == b"\xff" * 4 and start[6:12] == b"\x00\x00\x10\x00\x00\x00":  # after a length, a flatbuffer
            kind = "a stream of Arrow tables"
        elif _is_text(start):
            kind = "text"
    if kind == "text":
        raise InputError("data.path", file, "is text and no file of token ids", "use data=text")
    if kind is not None:
        remedy = 'write the ids alone, say numpy.asarray(ids, dtype="<u2").tofile(path)'
        raise InputError("data.path", file, f"is no file of token ids, but {kind}", remedy)


def _is_text(start: bytes) -> bool:
    try:
        text = start.decode()
    except UnicodeDecodeError as error:
        if error.start < len(start) - 3:  # and not just cut within a character
            return False
        text = start[: error.start].decode()
    return len(start) >= 16 and all(letter.isprintable() or letter in "\t\n\r\f" for letter in text)


def doubt(values: NDArray[np.unsignedinteger[Any]]) -> str | None:
    """Why the beginning of a file can hardly be of the type that it was taken for; None if it may be.

    Args:
        values: as read under ``<u2`` or ``<u4``.

    Returns:
        A clause on the file, for a message.
    """
    bits = 8 * values.itemsize
    # ids of twice and of four times the length have nothing in their upper parts
    for period, place in ((2, "second"), (4, "fourth")):
        columns = values[: len(values) // period * period].reshape(-1, period).T
        if any(_is_no_accident(columns == 0, column) for column in range(period)):
            return f"has a zero in every {place} place if read as {bits}-bit ids, as if ids were longer"
    if bits != 16:
        return None
    pairs = values[: len(values) // 2 * 2].reshape(-1, 2).T
    wide = [pair.size and pair.max() >= 1 << 12 for pair in pairs[::-1]]  # the other column, as lower halves are
    looks = (_upper_half, _swapped, _float)
    if any(wide[column] and _is_no_accident(look(pairs), column) for column in (0, 1) for look in looks):
        return "has next to nothing in every second place if read as 16-bit ids, as if ids were longer"
    return _doubt_of_bytes(values) if len(values) >= FEWEST else None


def _is_no_accident(holds: NDArray[np.bool_], column: int) -> bool:
    """Whether something holds for a whole column, and so rarely for the others that this cannot be chance."""
    if not holds[column].all():
        return False
    others = np.delete(holds, column, axis=0)
    rate = (others.sum() + 1) / (others.size + 2)  # Laplace's rule of succession
    return bool(rate ** holds.shape[1] < CHANCE)


def _upper_half(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Of ids beyond 16 bits, some of them perhaps negative."""
    # all ones are the upper half of -1 and of other small negative numbers
    plausible: NDArray[np.bool_] = (values < MOST_IDS >> 16) | (values == 0xFFFF)
    return plausible


def _swapped(values: NDArray[Any]) -> NDArray[np.bool_]:
    """The same in the other byte order."""
    return _upper_half(values.byteswap())


def _float(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Sign, exponent and first digits of 32-bit floating-point numbers that are 0, or from 1 to ``MOST_IDS``."""
    # the upper halves of 1.0 and of 2**20, which is MOST_IDS, in float32
    plausible: NDArray[np.bool_] = (values == 0) | ((values >= 0x3F80) & (values <= 0x4980))
    return plausible


def _doubt_of_bytes(values: NDArray[Any]) -> str | None:
    """What histograms of both bytes say.

    In ids the lower byte varies more than the upper one: common ids are small, or the order of ids tells nothing.
    """
    lower, upper = (np.bincount(half, minlength=256) for half in (values & 0xFF, values >> 8))
    difference = _entropy(upper) - _entropy(lower)
    if difference > 0.3:
        return "has more variety in the upper bytes of its 16-bit ids than in the lower, as if their order were another"
    structured = 1 <= _entropy(lower) < (7.9 if len(values) >= MANY else 6.5)  # 8 is noise, alike whatever it holds
    if structured and abs(difference) < 0.3 and _are_alike(lower, upper):
        return "is alike in both bytes of its 16-bit ids, as if ids were shorter"
    return None


def _are_alike(first: NDArray[np.integer[Any]], second: NDArray[np.integer[Any]]) -> bool:
    """Whether two histograms of as many values are those of one source.

    Either by a chi-squared test, whose statistic is about 1 a degree of freedom, or because they differ by a tenth of
    the values at most: with many values a test finds the slightest difference.
    """
    total, difference = first + second, np.abs(first - second)
    statistic = (difference**2 / np.maximum(total, 1)).sum() / max(1, np.count_nonzero(total) - 1)
    return bool(statistic < 2 or difference.sum() < 0.1 * total.sum())


def _entropy(counts: NDArray[np.integer[Any]]) -> float:
    """Of a histogram, in bits."""
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log2(shares)).sum())
