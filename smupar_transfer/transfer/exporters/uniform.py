"""Stacks that know one width multiplier: hidden weights alike, everything else alike."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass

from smupar_transfer.records import GPTSpec
from smupar_transfer.theory import Role
from smupar_transfer.transfer.exporters.exported import Exported
from smupar_transfer.transfer.parameters import ParameterPlan

RESIDUAL = ("attention.out.weight", "mlp.down.weight")
"""Ends of the names of what the built-in GPT adds to its residual stream."""


@dataclass(frozen=True)
class Uniform:
    """The numbers that such a stack is told.

    Attributes:
        learning_rate: The peak learning rate of whatever is not hidden.
        multiplier: That rate over the one of hidden weights.
        init_std: The standard deviation of embeddings.
        weight_decay: The weight decay of hidden weights.
        epsilon: The epsilon of hidden weights.
    """

    learning_rate: float
    multiplier: float
    init_std: float
    weight_decay: float
    epsilon: float


def uniform(exported: Exported) -> Uniform:
    """The numbers of most hidden weights and of the embedding; what others have is told by ``differences``."""
    embedding, hidden = exported.of_role(Role.EMBEDDING), exported.of_role(Role.HIDDEN)

    def typical(value: Callable[[ParameterPlan], float]) -> float:
        # the low one, so that it is the number of some layer and no mean of two
        return statistics.median_low(value(row) for row in hidden)

    rate = embedding[0].learning_rate
    return Uniform(
        learning_rate=rate,
        multiplier=tidy(rate / typical(lambda row: row.learning_rate)),
        init_std=embedding[0].init_std,
        weight_decay=typical(lambda row: row.weight_decay),
        epsilon=typical(lambda row: row.epsilon),
    )


def tidy(value: float) -> float:
    """A quotient without the last bits that dividing has left."""
    return float(f"{value:.12g}")


def residual_root(exported: Exported, row: ParameterPlan) -> float:
    """The square root of twice the depth for what is added to the residual stream, 1 for anything else."""
    if isinstance(exported.model, GPTSpec) and row.name.endswith(RESIDUAL):
        # every block adds twice: its attention and its MLP
        return math.sqrt(2 * exported.model.depth)
    return 1.0


def shape_lines(exported: Exported) -> list[str]:
    """What such a file cannot know of a person's own model."""
    if not exported.is_own:
        return []
    return [
        "the model: the recipe is of a model of your own, numbers are by role; its shape is not said here",
        "initial values: the model's own, rescaled (see `smupar explain`); those of the stack are not set here",
    ]
