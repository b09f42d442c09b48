"""Base hyperparameters: what is tuned on the dense proxy and never changes with scale."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from smupar_transfer.theory.errors import InputError


@dataclass(frozen=True)
class BaseHyperparameters:
    """One point of the search space (SuPar, arXiv 2405.15743, section 4; the paper's symbols in brackets).

    Attributes:
        learning_rate: The peak learning rate (eta), positive.
        init_std: The standard deviation, not the variance, of initial weights (sigma), positive.
        input_multiplier: The factor on the embedding's output (alpha_input), positive.
        output_multiplier: The factor on the logits (alpha_output), positive.
        weight_decay: The coefficient as torch's AdamW takes it (lambda), not negative.
    """

    learning_rate: float
    init_std: float
    input_multiplier: float = 1.0
    output_multiplier: float = 1.0
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not math.isfinite(value) or value < 0:
                raise InputError(f"hparams.{field.name}", value, "must be finite and not negative")
            if value == 0 and field.name != "weight_decay":
                raise InputError(f"hparams.{field.name}", value, "must be positive")
