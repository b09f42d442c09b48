"""Constants of the forward pass, the same in training and in generation."""

from __future__ import annotations

from dataclasses import dataclass

from smupar_transfer.records import GPTSpec, RunSpec
from smupar_transfer.theory import Role, ScaleFactors, scale


@dataclass(frozen=True)
class Multipliers:
    """SuPar (arXiv 2405.15743), Table 1.

    Attributes:
        input: on the output of the embedding (alpha_input).
        output: on the logits (alpha_output / m_d under muP and SuPar).
        attention: on the products of queries and keys (1 / d_head under muP and SuPar, 1 / sqrt(d_head) under SP).
    """

    input: float = 1.0
    output: float = 1.0
    attention: float = 1.0


def multipliers(spec: RunSpec) -> Multipliers:
    """The constants of a run, read from the rows of its parametrization."""
    factors = ScaleFactors(width=spec.width_factor)

    def forward(role: Role) -> float:
        return scale(spec.table, role, factors, spec.hparams, spec.optimizer).forward_multiplier

    attention = 1.0
    if isinstance(spec.model, GPTSpec):
        attention = float(spec.model.head_dim**spec.table.attention_exponent)
    return Multipliers(forward(Role.EMBEDDING), forward(Role.READOUT), attention)
