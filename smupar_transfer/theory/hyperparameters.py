"""Base hyperparameters: what is tuned on the dense proxy and never changes with scale."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from smupar_transfer.theory.errors import InputError


def _require_usable(name: str, value: float) -> None:
    if not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise InputError(f"hparams.{name}", value, "must be finite and not negative")
    # no decay is a choice; with any other of them at 0 nothing would be trained
    if value == 0 and name != "weight_decay":
        raise InputError(f"hparams.{name}", value, "must be positive")


@dataclass(frozen=True)
class BaseHyperparameters:
    """One point of the search space (SuPar, arXiv 2405.15743, section 4; the paper's symbols in brackets).

    Attributes:
        learning_rate: The peak learning rate (eta), positive.
        init_std: The standard deviation, not the variance, of initial weights (sigma), positive.
        input_multiplier: The factor on the embedding's output (alpha_input), positive.
        output_multiplier: The factor on the logits (alpha_output), positive.
        weight_decay: The coefficient as torch's AdamW takes it (lambda), not negative.
        init_scale: What every matrix's standard deviation is multiplied with, positive. A model that initialises itself
            has it in place of ``init_std``, which is 1 there.
    """

    learning_rate: float
    init_std: float
    input_multiplier: float = 1.0
    output_multiplier: float = 1.0
    weight_decay: float = 0.0
    init_scale: float = 1.0

    def __post_init__(self) -> None:
        for field in fields(self):
            _require_usable(field.name, getattr(self, field.name))


HYPERPARAMETERS = tuple(item.name for item in fields(BaseHyperparameters))
"""Names of the base hyperparameters."""


@dataclass(frozen=True)
class RelativeHyperparameters:
    """Base values of a model that initialises itself: what was tuned at its base, relative to the model's own ways.

    Attributes:
        learning_rate: The peak learning rate at the base (eta), positive; None where the optimizer is made with one.
        init_scale: What the standard deviation of every matrix is multiplied with, positive; 1 keeps the model's own.
        input_multiplier: The factor on what goes into the first layer (alpha_input), positive.
        output_multiplier: The factor on what comes out of the last one (alpha_output), positive.
        weight_decay: The coefficient at the base, as torch's AdamW takes it (lambda), not negative; None leaves it to
            the optimizer, unscaled.
    """

    learning_rate: float | None = None
    init_scale: float = 1.0
    input_multiplier: float = 1.0
    output_multiplier: float = 1.0
    weight_decay: float | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None or field.name not in ("learning_rate", "weight_decay"):
                _require_usable(field.name, value)
