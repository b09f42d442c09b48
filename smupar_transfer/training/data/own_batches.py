"""Batches of a person's own task."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from smupar_transfer.model import Task
from smupar_transfer.records import DataSpec

NAME = "module"
VALIDATION_SEED = 0
"""Every run is validated on the same batches."""


@dataclass(frozen=True, eq=False)
class OwnBatches:
    """What a task file learns from, as it gives it: nothing is known of batches but that the task's loss takes them.

    Attributes:
        spec: What it is; sizes are unknown, and 0.
        task: The task.
    """

    spec: DataSpec
    task: Task

    @classmethod
    def of(cls, task: Task) -> OwnBatches:
        """The batches of a task."""
        spec = DataSpec(NAME, task.sha256, 0, 0, bytes_per_token=None, path=str(task.path))
        return cls(spec, task)

    def check(self, sequence_length: int) -> None:
        """Accept any length of sequences: a step is a batch, whatever that holds."""

    def stream(self, seed: int, first: int) -> Iterator[Any]:
        """Batches to train on, from the one of step ``first`` on; those of the next seed where one seed's end.

        Raises:
            InputError: the task gives none.
        """
        batches = itertools.chain.from_iterable(self._passes(seed))
        # a person's own stream has no state that could be kept: a run that goes on passes over what it has seen
        return itertools.islice(batches, first, None)

    def _passes(self, seed: int) -> Iterator[Iterator[Any]]:
        for number in itertools.count(seed):
            batches = self.task.stream("train", number)
            yield itertools.chain([next(batches)], batches)

    def validation_batches(self, count: int, batch_size: int, sequence_length: int = 1) -> list[Any]:
        """The first ``count`` batches of the validation split, fewer if there are fewer."""
        del batch_size, sequence_length
        return list(itertools.islice(self.task.stream("validation", VALIDATION_SEED), count))

    def loss(self, network: nn.Module, batch: Any, device: torch.device) -> Tensor:
        """The task's loss of a batch.

        Raises:
            InputError: the task's function fails, or gives no single number.
        """
        return self.task.loss_of(network, moved(batch, device))


def moved(batch: Any, device: torch.device) -> Any:
    """A batch with all of its tensors on a device, in mappings, lists and tuples at any depth."""
    if isinstance(batch, Tensor):
        return batch.to(device)
    if isinstance(batch, Mapping):
        return {name: moved(value, device) for name, value in batch.items()}
    if isinstance(batch, list | tuple):
        values = [moved(value, device) for value in batch]
        # a named tuple takes its values one by one
        return type(batch)(*values) if hasattr(batch, "_fields") else type(batch)(values)
    return batch
