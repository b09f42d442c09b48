"""From base hyperparameters to the absolute numbers one parameter is trained with."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from smupar_transfer.theory.choices import with_choices
from smupar_transfer.theory.errors import InputError
from smupar_transfer.theory.hyperparameters import BaseHyperparameters
from smupar_transfer.theory.parametrizations import Parametrization
from smupar_transfer.theory.powers import Power, ScaleFactors
from smupar_transfer.theory.roles import Role
from smupar_transfer.theory.update_rules import ADAMW, UpdateRule, update_rule


class WeightDecayForm(StrEnum):
    """What stays constant across scale: lambda itself, or the product eta * lambda that torch's AdamW subtracts."""

    COUPLED = "coupled"
    INDEPENDENT = "independent"


class ClipNorm(StrEnum):
    """Of what ``gradient_clip`` is the largest value: the norm of all gradients together, or a scaled one.

    For the scaled one the norm of each parameter's gradient is divided by how it scales (``Rule.gradient_norm``): a
    network is clipped where its proxy would be. At the proxy both are the same.
    """

    GLOBAL = "global"
    SCALED = "scaled"


@dataclass(frozen=True)
class OptimizerSettings:
    """What an update rule needs beside the tuned hyperparameters.

    Attributes:
        name: The name of the update rule.
        weight_decay_form: What stays constant when the learning rate is rescaled; see ``WeightDecayForm``.
        beta1: Adam's decay rate of the mean of gradients, in [0, 1).
        beta2: Adam's decay rate of the mean of squared gradients, in [0, 1).
        epsilon: Adam's epsilon at the proxy, positive.
        momentum: SGD's momentum, in [0, 1).
        gradient_clip: The largest gradient norm, or 0 for no clipping.
        clip_norm: Of which norm that is; see ``ClipNorm``.
    """

    name: str = ADAMW.name
    weight_decay_form: WeightDecayForm = WeightDecayForm.INDEPENDENT
    beta1: float = 0.9
    beta2: float = 0.95
    epsilon: float = 1e-8
    momentum: float = 0.9
    gradient_clip: float = 1.0
    clip_norm: ClipNorm = ClipNorm.GLOBAL

    def __post_init__(self) -> None:
        # asked here, so that an unknown name is refused before anything is planned with it
        object.__setattr__(self, "name", update_rule(self.name).name)
        with_choices(self, "optimizer", weight_decay_form=WeightDecayForm, clip_norm=ClipNorm)
        for key in ("beta1", "beta2", "momentum"):
            if not 0 <= getattr(self, key) < 1:
                raise InputError(f"optimizer.{key}", getattr(self, key), "must lie in [0, 1)")
        if not (self.epsilon > 0 and math.isfinite(self.epsilon)):
            raise InputError("optimizer.epsilon", self.epsilon, "must be positive and finite")
        if not (self.gradient_clip >= 0 and math.isfinite(self.gradient_clip)):
            raise InputError("optimizer.gradient_clip", self.gradient_clip, "must be 0 (off) or positive and finite")
        if self.clip_norm is ClipNorm.SCALED and not self.gradient_clip:
            problem = "has no clip whose norm it could scale: optimizer.gradient_clip is 0"
            raise InputError("optimizer.clip_norm", self.clip_norm, problem, "leave it out, or clip")

    @property
    def rule(self) -> UpdateRule:
        """The update rule itself."""
        return update_rule(self.name)


@dataclass(frozen=True)
class ScaledHyperparameters:
    """Absolute values for one role at one scale; ``init_std`` and ``weight_decay`` are 0 for vectors."""

    init_std: float
    learning_rate: float
    weight_decay: float
    epsilon: float
    forward_multiplier: float


def weight_decay_power(learning_rate: Power, form: WeightDecayForm) -> Power:
    """Exponents of lambda: none when coupled; the inverse of the learning rate's when eta * lambda is to stay put.

    The independent form is MuAdamW's and CompleteP's lambda * m_d (arXiv 2505.01618), carried over to density.
    """
    match form:
        case WeightDecayForm.COUPLED:
            return Power()
        case WeightDecayForm.INDEPENDENT:
            return learning_rate**-1
    assert_never(form)


def scale(
    table: Parametrization,
    role: Role,
    factors: ScaleFactors,
    base: BaseHyperparameters,
    optimizer: OptimizerSettings,
) -> ScaledHyperparameters:
    """Apply one row of a parametrization (SuPar, arXiv 2405.15743, Table 1)."""
    rule = table[role]
    rate_power = optimizer.rule.learning_rate(rule, role)
    decay_power = weight_decay_power(rate_power, optimizer.weight_decay_form)
    multiplier = {Role.EMBEDDING: base.input_multiplier, Role.READOUT: base.output_multiplier}.get(role, 1.0)
    is_vector = role is Role.VECTOR
    return ScaledHyperparameters(
        # tables scale the variance, as the paper's do; initialisation takes the deviation
        init_std=0.0 if is_vector else base.init_std * base.init_scale * math.sqrt(rule.init_variance.at(factors)),
        learning_rate=base.learning_rate * rate_power.at(factors),
        weight_decay=0.0 if is_vector else base.weight_decay * decay_power.at(factors),
        epsilon=optimizer.epsilon * rule.adam_epsilon.at(factors),
        forward_multiplier=multiplier * rule.forward_multiplier.at(factors),
    )


def gradient_norm(table: Parametrization, role: Role, factors: ScaleFactors, optimizer: OptimizerSettings) -> float:
    """What the norm of a parameter's gradient is divided by before a clip sees it; 1 for the plain norm."""
    return table[role].gradient_norm.at(factors) if optimizer.clip_norm is ClipNorm.SCALED else 1.0
