"""The one place where a parametrization's rules become numbers: plans, recipes and forward passes all ask here."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from smupar_transfer.theory import (
    BaseHyperparameters,
    OptimizerSettings,
    Parametrization,
    Role,
    ScaledHyperparameters,
    ScaleFactors,
    scale,
)


@dataclass(frozen=True)
class RoleValues:
    """What all parameters of one role, and of one shape and density relative to the proxy, are trained with.

    Attributes:
        m_d: The width relative to the proxy.
        m_rho: The density relative to the dense proxy.
        init_std: The absolute standard deviation of initial values; 0 for vectors, which start from a constant.
        learning_rate: The peak learning rate.
        weight_decay: The weight decay, as torch's optimizers take it.
        epsilon: Adam's epsilon, as torch takes it.
        forward_multiplier: The constant on the output of the embedding, or on the logits.
    """

    m_d: float
    m_rho: float
    init_std: float
    learning_rate: float
    weight_decay: float
    epsilon: float
    forward_multiplier: float


NUMBERS = tuple(item.name for item in fields(ScaledHyperparameters))
"""What a rule makes of base values: names of the numbers that a parameter is trained with."""


@dataclass(frozen=True)
class Multipliers:
    """Constants of a forward pass, the same in training and in generation (SuPar, arXiv 2405.15743, Table 1).

    Attributes:
        input: The factor on the output of the embedding (alpha_input).
        output: The factor on the logits (alpha_output / m_d under muP and SuPar).
        attention: The factor on the products of queries and keys (1 / d_head under muP and SuPar, 1 / sqrt(d_head)
            under SP).
    """

    input: float = 1.0
    output: float = 1.0
    attention: float = 1.0


@dataclass(frozen=True)
class Rules:
    """A parametrization, and the base values of the proxy that it rescales.

    Attributes:
        table: A rule for every role.
        hparams: The base hyperparameters, as they were tuned on the proxy.
        optimizer: The settings of the update rule at the proxy.
    """

    table: Parametrization
    hparams: BaseHyperparameters
    optimizer: OptimizerSettings = field(default_factory=OptimizerSettings)

    def scaled(self, role: Role, factors: ScaleFactors) -> ScaledHyperparameters:
        """What a parameter is trained with whose own fan-in and density are ``factors`` times those at the proxy."""
        return scale(self.table, role, factors, self.hparams, self.optimizer)

    def values(self, role: Role, factors: ScaleFactors) -> RoleValues:
        """The same, with the factors beside it."""
        return RoleValues(m_d=factors["width"], m_rho=factors["density"], **vars(self.scaled(role, factors)))

    def by_role(self, width: float, density: float) -> dict[Role, RoleValues]:
        """What the roles of a network are trained with; hidden weights alone are sparse (``Role.is_ever_sparse``).

        Args:
            width: m_d of the network, positive.
            density: m_rho of its hidden weights, in (0, 1].
        """
        return {role: self.values(role, ScaleFactors(width, density if role.is_ever_sparse else 1.0)) for role in Role}

    def multipliers(self, width: float, head_dim: int | None = None) -> Multipliers:
        """The constants of a network's forward pass.

        Args:
            width: m_d of the network, positive.
            head_dim: channels of an attention head; None for a network without attention.
        """
        factors = ScaleFactors(width)
        return Multipliers(
            input=self.scaled(Role.EMBEDDING, factors).forward_multiplier,
            output=self.scaled(Role.READOUT, factors).forward_multiplier,
            attention=1.0 if head_dim is None else float(head_dim**self.table.attention_exponent),
        )
