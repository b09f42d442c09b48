"""Parameters and floating-point operations of a network, with and without counting zeros."""

from __future__ import annotations

from dataclasses import dataclass

from smupar_transfer.records import GPTSpec, RunSpec
from smupar_transfer.theory import Role
from smupar_transfer.transfer import ParameterPlan


@dataclass(frozen=True)
class Cost:
    """The size of one network, and what a token costs it.

    Attributes:
        parameters: The number of entries in all.
        nonzero_parameters: The number of entries that exist.
        flops_dense: The floating-point operations to train on one token (or example), forward and backward, when zeros
            are multiplied.
        flops_sparse: The same when zeros are not multiplied.
    """

    parameters: int
    nonzero_parameters: int
    flops_dense: float
    flops_sparse: float


def network_cost(plan: tuple[ParameterPlan, ...], spec: RunSpec) -> Cost:
    """Count what training on one token (or example) takes.

    A matrix product is 6 operations a weight and token (2 forward, 4 backward; Kaplan et al., arXiv 2001.08361,
    section 2.1), causal attention half of all pairs; look-ups and vectors cost nothing.
    """
    total = nonzero = 0
    dense = sparse = 0.0
    for row in plan:
        size = 1
        for extent in row.shape:
            size *= extent
        # rounded: the density is that of the mask, which has a whole number of entries
        exists = round(size * row.density)
        total, nonzero = total + size, nonzero + exists
        if _is_multiplied(row, spec):
            dense, sparse = dense + 6.0 * size, sparse + 6.0 * exists
    attention = 0.0
    if isinstance(spec.model, GPTSpec):
        # queries with keys and weights with values: 2 products of T/2 x width a token, 3 passes
        attention = 6.0 * spec.model.depth * spec.budget.sequence_length * spec.model.width
    return Cost(total, nonzero, dense + attention, sparse + attention)


def _is_multiplied(row: ParameterPlan, spec: RunSpec) -> bool:
    if row.role is Role.VECTOR:
        return False
    if row.role is Role.EMBEDDING and isinstance(spec.model, GPTSpec):
        return spec.model.tied and row.name == "tokens.weight"  # multiplied as the readout
    return True
