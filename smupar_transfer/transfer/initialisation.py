"""Initial values of a planned network."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from smupar_transfer.sparsity import SparseLinear, named_generator
from smupar_transfer.theory import Role
from smupar_transfer.transfer.parameters import ParameterPlan


@torch.no_grad()
def initialise(network: nn.Module, plan: Iterable[ParameterPlan], seed: int) -> None:
    """Give every parameter its initial values: normal with the planned standard deviation, or its constant.

    Values come from one generator per (seed, parameter name): networks that differ in sparsity start from the same
    weights up to their scale, and a new layer leaves the others as they were.
    """
    for row in plan:
        owner_name, _, leaf = row.name.rpartition(".")
        owner = network.get_submodule(owner_name)
        if row.role is Role.VECTOR:
            getattr(owner, leaf).fill_(1.0 if leaf == "weight" else 0.0)  # a norm's gain; a bias
            continue
        generator = named_generator(seed, "weight", row.name)
        values = torch.randn(row.shape, generator=generator) * row.init_std
        if isinstance(owner, SparseLinear):
            # dense values: what is kept of them is the backend's affair (decision 5)
            owner.set_weight(values)
        else:
            getattr(owner, leaf).copy_(values)
