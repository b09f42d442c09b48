"""Data sets by name."""

from __future__ import annotations

import math
from pathlib import Path

from smupar_transfer.theory import InputError
from smupar_transfer.training.data.binary import load_binary
from smupar_transfer.training.data.corpora import BYTES, load_python, load_text
from smupar_transfer.training.data.examples import ExampleData, load_digits
from smupar_transfer.training.data.files import own_path
from smupar_transfer.training.data.own_batches import OwnBatches
from smupar_transfer.training.data.shakespeare import load_shakespeare
from smupar_transfer.training.data.token_types import TOKEN_TYPES
from smupar_transfer.training.data.tokens import TokenData

Data = TokenData | ExampleData | OwnBatches

VALIDATION_FRACTION = 0.1
"""What is held out where nobody said how much, and the one value that data with a split of its own takes."""
DATA_NAMES = ("python", "shakespeare", "text", "bin", "digits")
"""Data sets by name; what a person's own task learns from has none."""


def load_data(
    name: str,
    path: str | None = None,
    *,
    vocab_size: int | None = None,
    bytes_per_token: float | None = None,
    dtype: str | None = None,
    validation_fraction: float = VALIDATION_FRACTION,
    cache_dir: Path | None = None,
) -> Data:
    """Load a data set; the same arguments and content give the same data, split by split, on every machine.

    Args:
        name: One of ``DATA_NAMES``.
        path: where a person's own data lies; for ``text`` and ``bin``.
        vocab_size: of the tokenizer, for ``bin``. Bytes have 256.
        bytes_per_token: mean bytes of text behind a token, for ``bin``. Bytes have 1.
        dtype: one of ``TOKEN_TYPES``: of the ids in ``bin`` files without a header. Bytes are uint8.
        validation_fraction: part held out, in (0, 1). ``digits`` and ``bin`` folders have their own splits.
        cache_dir: where ``shakespeare`` is kept; by default the user's cache folder.

    Raises:
        InputError: an argument is wrong or does not go with the data set, or the data cannot be had.
    """
    if name not in DATA_NAMES:
        raise InputError("data", name, "is no known data set", f"choose from {', '.join(DATA_NAMES)}")
    if not 0 < validation_fraction < 1:
        raise InputError("data.validation_fraction", validation_fraction, "must lie in (0, 1)")
    own_split = name == "digits" or (name == "bin" and path is not None and own_path(path).is_dir())
    if own_split and validation_fraction != VALIDATION_FRACTION:
        problem = f"is not used by data={name}, which has a split of its own"
        raise InputError("data.validation_fraction", validation_fraction, problem, "leave it out")
    _check_options(name, path, vocab_size, bytes_per_token, dtype)
    if name == "python":
        return load_python(validation_fraction)
    if name == "shakespeare":
        return load_shakespeare(validation_fraction, cache_dir)
    if name == "text":
        return load_text(path, validation_fraction)
    if name == "bin":
        return load_binary(path, validation_fraction, vocab_size, bytes_per_token, dtype)
    return load_digits()


def _check_options(
    name: str, path: str | None, vocab_size: int | None, bytes_per_token: float | None, dtype: str | None
) -> None:
    """A setting that would be ignored is an error: whoever gave it believes that it counts."""
    if vocab_size is not None and vocab_size < 1:
        raise InputError("data.vocab_size", vocab_size, "must be at least 1")
    if bytes_per_token is not None and not (math.isfinite(bytes_per_token) and bytes_per_token > 0):
        raise InputError("data.bytes_per_token", bytes_per_token, "must be a positive number")
    if dtype is not None and dtype not in TOKEN_TYPES:
        raise InputError("data.dtype", dtype, f"is not one of {', '.join(TOKEN_TYPES)}")
    if path is not None and name not in ("text", "bin"):
        raise InputError(
            "data.path", path, f"is not used by data={name}", "choose data=text or data=bin, or leave it out"
        )
    fixed = {
        "data.vocab_size": (vocab_size, BYTES),
        "data.bytes_per_token": (bytes_per_token, 1),
        "data.dtype": (dtype, "uint8"),
    }
    for key, (given, value) in fixed.items():
        if name == "digits" and given is not None:
            raise InputError(key, given, "has no meaning for data=digits", "leave it out")
        # what holds anyway may be said
        if name not in ("bin", "digits") and given not in (None, value):
            raise InputError(key, given, f"is always {value} for data={name}, whose tokens are bytes", "leave it out")
