"""What data a process shall load; loaded once per process."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from smupar_transfer.model import load_task
from smupar_transfer.training.data.load import Data, load_data
from smupar_transfer.training.data.own_batches import NAME, OwnBatches


@dataclass(frozen=True)
class DataRequest:
    """Arguments of ``load_data`` that travel to worker processes.

    Attributes:
        name: The name of the data set.
        path: Where a person's own data lies.
        vocab_size: The number of token ids, for token files, where the person knows it.
        bytes_per_token: The mean number of bytes of text behind a token, likewise.
        validation_fraction: The part kept for validation, in (0, 1).
        dtype: The type of the ids in token files without a header, where the person names it.
    """

    name: str
    path: str | None = None
    vocab_size: int | None = None
    bytes_per_token: float | None = None
    validation_fraction: float = 0.1
    dtype: str | None = None


def load(request: DataRequest) -> Data:
    """The data of a request, from memory where this process has them already; task files are looked at every time.

    Raises:
        InputError: see ``load_data``.
    """
    return OwnBatches.of(load_task(request.path or "")) if request.name == NAME else _loaded(request)


@cache
def _loaded(request: DataRequest) -> Data:
    return load_data(
        request.name,
        request.path,
        vocab_size=request.vocab_size,
        bytes_per_token=request.bytes_per_token,
        dtype=request.dtype,
        validation_fraction=request.validation_fraction,
    )
