"""The role of every parameter of a network, read off the types of its modules and kept beside the network.

A side table, because attributes on ``nn.Parameter`` are lost by ``deepcopy`` and by moves between devices.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

from smupar_transfer.sparsity import SparseLinear
from smupar_transfer.theory import Role
from smupar_transfer.transfer.layers import Embedding, InputLinear, ReadoutLinear


@dataclass(frozen=True)
class Claim:
    """What one parameter is.

    Attributes:
        role: The row of the parametrization that applies.
        fan_in: The number of inputs that an output of its layer sums over; 1 for vectors.
        extent: The size of the dimension that its role scales with: fan-in of hidden weights and readouts, fan-out of
            embeddings, length of vectors. Over that of the proxy, it is the parameter's width factor.
        constant: The initial value of every entry, or None for random values.
    """

    role: Role
    fan_in: int
    extent: int
    constant: float | None = None


class UnclaimedParameterError(TypeError):
    """A network has parameters without a role, or with more than one."""


def role_table(network: nn.Module) -> dict[str, Claim]:
    """Claim every parameter of a network exactly once.

    Returns:
        Parameter name to claim, in the order of ``network.named_parameters()``.

    Raises:
        UnclaimedParameterError: a parameter belongs to no module of a known type; the message names it.
    """
    claims: dict[str, Claim] = {}
    for prefix, module in network.named_modules():
        for name, claim in _claims_of(module):
            full = f"{prefix}.{name}" if prefix else name
            if full in claims:
                raise UnclaimedParameterError(f"parameter {full} is claimed twice")
            claims[full] = claim
    names = [name for name, _ in network.named_parameters()]
    unclaimed = [name for name in names if name not in claims]
    if unclaimed:
        raise UnclaimedParameterError(
            f"no role for parameter {', '.join(unclaimed)}: its module is none of SparseLinear, Embedding, "
            "InputLinear, ReadoutLinear, LayerNorm"
        )
    return {name: claims[name] for name in names}


def _claims_of(module: nn.Module) -> Iterator[tuple[str, Claim]]:
    match module:
        case SparseLinear():
            yield "weight", Claim(Role.HIDDEN, module.in_features, module.in_features)
            outputs = module.out_features
        case Embedding():
            yield "weight", Claim(Role.EMBEDDING, module.num_embeddings, module.embedding_dim)
            return
        case InputLinear():
            yield "weight", Claim(Role.EMBEDDING, module.in_features, module.out_features)
            outputs = module.out_features
        case ReadoutLinear():
            yield "weight", Claim(Role.READOUT, module.in_features, module.in_features)
            outputs = module.out_features
        case nn.LayerNorm():
            outputs = math.prod(module.normalized_shape)
            if module.weight is not None:
                yield "weight", Claim(Role.VECTOR, 1, outputs, constant=1.0)
        case _:
            return
    if module.bias is not None:
        yield "bias", Claim(Role.VECTOR, 1, outputs, constant=0.0)
