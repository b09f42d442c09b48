"""A stream of tokens, and the windows that a language model learns from."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from smupar_transfer.records import DataSpec
from smupar_transfer.theory import InputError

Tokens = NDArray[np.integer[Any]]
Batch = tuple[Tensor, Tensor]


class LazyTokens:
    """Token ids that are read when the first of them is asked for, which commands that train nothing never do.

    Args:
        length: The number of token ids.
        read: Reads them; called once.
    """

    def __init__(self, length: int, read: Callable[[], Tokens]) -> None:
        self._length, self._read = length, read

    @cached_property
    def _tokens(self) -> Tokens:
        return self._read()

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: Any) -> Any:
        return self._tokens[index]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Tokens:
        return np.array(self._tokens, dtype=dtype, copy=copy)


@dataclass(frozen=True, eq=False)
class TokenData:
    """A corpus for language modelling, in two splits.

    Attributes:
        spec: What and how much it is.
        train: Token ids to train on, in reading order, one dimension; perhaps a mapped file, or ``LazyTokens``.
        validation: Token ids for validation, likewise.
        vocab_size: A number that every token id is below; 256 for bytes.
    """

    spec: DataSpec
    train: Tokens
    validation: Tokens
    vocab_size: int

    def check(self, sequence_length: int) -> None:
        """Make sure that both splits hold at least one window.

        Raises:
            InputError: they do not; a window is ``sequence_length`` inputs and one more token to predict.
        """
        if sequence_length < 1:
            raise InputError("budget.sequence_length", sequence_length, "must be at least 1")
        for split, tokens in (("training", self.train), ("validation", self.validation)):
            if len(tokens) <= sequence_length:
                raise InputError(
                    "budget.sequence_length",
                    sequence_length,
                    f"needs {sequence_length + 1} tokens in a row, "
                    f"the {split} split of data={self.spec.name} holds {len(tokens)}",
                    "use a shorter sequence or a larger corpus",
                )

    def train_batch(self, generator: torch.Generator, batch_size: int, sequence_length: int) -> Batch:
        """Windows of the training split, each position with equal probability.

        Args:
            generator: on the CPU; the only source of randomness, so its state is all a resumed run needs.
            batch_size: windows.
            sequence_length: inputs in a window.

        Returns:
            inputs and targets, both int64 of shape (batch_size, sequence_length); targets are shifted by one.

        Raises:
            InputError: see ``check``.
        """
        self.check(sequence_length)
        # the last window ends with the last token, as a target
        starts = torch.randint(len(self.train) - sequence_length, (batch_size,), generator=generator)
        return _windows(self.train, starts.numpy(), sequence_length)

    def validation_batches(self, count: int, batch_size: int, sequence_length: int) -> list[Batch]:
        """The same windows of the validation split in every run: evenly spaced, from first token to last.

        Args:
            count: batches.
            batch_size: windows in each.
            sequence_length: inputs in a window.

        Returns:
            ``count`` pairs as from ``train_batch``; windows overlap if together they exceed the split.

        Raises:
            InputError: see ``check``.
        """
        self.check(sequence_length)
        last_start = len(self.validation) - sequence_length - 1
        # a single window begins with the first token
        starts = np.arange(count * batch_size) * last_start // max(1, count * batch_size - 1)
        return [
            _windows(self.validation, starts[first : first + batch_size], sequence_length)
            for first in range(0, count * batch_size, batch_size)
        ]


def require_whole(tokens: Tokens) -> None:
    """Check that a file which is mapped has not become shorter: looking beyond its end would kill the process.

    Args:
        tokens: Tokens in memory, or a part of a mapped file.

    Raises:
        InputError: the file was cut.
    """
    owner: object = tokens
    while isinstance(owner, np.ndarray):
        name, owner = getattr(owner, "filename", None), owner.base
    if isinstance(owner, mmap.mmap) and owner.size() < len(owner):
        problem = f"was cut to {owner.size():,} bytes while it was read, of {len(owner):,}"
        raise InputError("data.path", str(name), problem, "restore the file and run the same command again")


def _windows(tokens: Tokens, starts: NDArray[np.int64], sequence_length: int) -> Batch:
    require_whole(tokens)
    positions = starts[:, None] + np.arange(sequence_length + 1)
    windows = torch.from_numpy(tokens[positions].astype(np.int64))
    return windows[:, :-1].contiguous(), windows[:, 1:].contiguous()
