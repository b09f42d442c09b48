"""Labelled examples for classifiers: the handwritten digits that come with scikit-learn."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from smupar_transfer.records import DataSpec
from smupar_transfer.theory import InputError

VALIDATION_EVERY = 5
"""Of each class, every fifth example is for validation: 20 %."""


@dataclass(frozen=True, eq=False)
class ExampleData:
    """Vectors with labels, in two splits.

    Attributes:
        spec: What and how much it is; sizes in examples.
        train_inputs: Vectors to train on, float32 of shape (examples, features); over all their entries together they
            have mean 0 and standard deviation 1.
        train_labels: Their labels, int64 of shape (examples,), in [0, classes).
        validation_inputs: Vectors for validation, which went through the same map as those to train on.
        validation_labels: Their labels.
        features: The length of an input.
        classes: The number of labels.
    """

    spec: DataSpec
    train_inputs: Tensor
    train_labels: Tensor
    validation_inputs: Tensor
    validation_labels: Tensor
    features: int
    classes: int

    def check(self, sequence_length: int) -> None:
        """Refuse sequences.

        Raises:
            InputError: ``sequence_length`` is not 1.
        """
        if sequence_length != 1:
            raise InputError(
                "budget.sequence_length",
                sequence_length,
                f"must be 1 for data={self.spec.name}: no sequences there",
            )

    def train_batch(
        self, generator: torch.Generator, batch_size: int, sequence_length: int = 1
    ) -> tuple[Tensor, Tensor]:
        """Examples of the training split, each with equal probability.

        Args:
            generator: on the CPU; the only source of randomness.
            batch_size: examples, drawn with replacement.
            sequence_length: 1.

        Returns:
            inputs, float32 of shape (batch_size, features), and labels, int64 of shape (batch_size,).

        Raises:
            InputError: see ``check``.
        """
        self.check(sequence_length)
        chosen = torch.randint(len(self.train_labels), (batch_size,), generator=generator)
        return self.train_inputs[chosen], self.train_labels[chosen]

    def validation_batches(self, count: int, batch_size: int, sequence_length: int = 1) -> list[tuple[Tensor, Tensor]]:
        """The same examples of the validation split in every run, evenly spaced over it.

        Args:
            count: batches.
            batch_size: examples in each.
            sequence_length: 1.

        Returns:
            ``count`` pairs as from ``train_batch``. How often two examples come up differs by one at most.

        Raises:
            InputError: see ``check``.
        """
        self.check(sequence_length)
        total = count * batch_size
        chosen = torch.arange(total) * len(self.validation_labels) // max(1, total)
        parts = (chosen[first : first + batch_size] for first in range(0, total, batch_size))
        return [(self.validation_inputs[part], self.validation_labels[part]) for part in parts]


def load_digits() -> ExampleData:
    """1,797 handwritten digits of 8x8 pixels from scikit-learn; it took them from the UCI repository.

    Pixels, 0 to 16, are standardised by mean and deviation of all training pixels together: pixel by pixel,
    those that are almost always blank would blow up. The split is ``stratified``.

    Raises:
        InputError: scikit-learn is not installed.
    """
    try:
        from sklearn import datasets
    except ImportError as error:
        raise InputError(
            "data", "digits", "needs scikit-learn", "run: pip install 'smupar-transfer[digits]'"
        ) from error
    pixels, labels = datasets.load_digits(return_X_y=True)
    held_out = stratified(labels)
    inputs = (pixels - pixels[~held_out].mean()) / pixels[~held_out].std()
    # pixels and labels are whole numbers below 256, so that a byte each holds them exactly
    content = pixels.astype(np.uint8).tobytes() + labels.astype(np.uint8).tobytes()
    return ExampleData(
        spec=DataSpec(
            name="digits",
            sha256=hashlib.sha256(content).hexdigest(),
            train_size=int((~held_out).sum()),
            validation_size=int(held_out.sum()),
            bytes_per_token=None,
        ),
        train_inputs=torch.from_numpy(inputs[~held_out].astype(np.float32)),
        train_labels=torch.from_numpy(labels[~held_out].astype(np.int64)),
        validation_inputs=torch.from_numpy(inputs[held_out].astype(np.float32)),
        validation_labels=torch.from_numpy(labels[held_out].astype(np.int64)),
        features=inputs.shape[1],
        classes=int(labels.max()) + 1,
    )


def stratified(labels: NDArray[np.integer[Any]]) -> NDArray[np.bool_]:
    """Which examples are held out, of each class every fifth in the order given: booleans, one a label."""
    held_out = np.zeros(labels.shape, dtype=np.bool_)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        held_out[members[VALIDATION_EVERY - 1 :: VALIDATION_EVERY]] = True
    return held_out
