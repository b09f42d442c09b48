"""Initial values of a planned network."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from smupar_transfer.sparsity import SparseLinear, named_generator
from smupar_transfer.transfer.plan import ParameterPlan
from smupar_transfer.transfer.roles import role_table


@torch.no_grad()
def initialise(network: nn.Module, plan: Iterable[ParameterPlan], seed: int) -> None:
    """Give every parameter its initial values: normal with the planned standard deviation, or its constant.

    Values come from one generator per (seed, parameter name): networks that differ in sparsity start from the same
    weights up to their scale, and a new layer leaves the others as they were.
    """
    claims = role_table(network)
    for row in plan:
        constant = claims[row.name].constant
        owner_name, _, leaf = row.name.rpartition(".")
        owner = network.get_submodule(owner_name)
        if constant is not None:
            getattr(owner, leaf).fill_(constant)
            continue
        generator = named_generator(seed, "weight", row.name)
        values = torch.randn(row.shape, generator=generator) * row.init_std
        if isinstance(owner, SparseLinear):
            owner.set_weight(values)
        else:
            getattr(owner, leaf).copy_(values)
