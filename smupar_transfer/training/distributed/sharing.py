"""What each of several processes holds of a network."""

from __future__ import annotations

import inspect
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, TypeGuard

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from smupar_transfer.sparsity import SparseLinear
from smupar_transfer.training.distributed.ranks import DDP, FSDP, Ranks

if TYPE_CHECKING:
    from torch.distributed.tensor import DTensor

_NAMES = {"forward_sync_buffers", "broadcast_buffers"} & set(inspect.signature(DistributedDataParallel).parameters)
# torch 2.13 takes both: the newer name is the last in the alphabet
UNSYNCED: dict[str, Any] = {max(_NAMES): False}
"""What keeps DDP from sending masks around in every step; torch 2.13 has another name for it than earlier versions."""


def agree_on_layouts(network: nn.Module, ranks: Ranks) -> None:
    """Have every sparse layer computed by the backend that the first process measured to be the fastest.

    Masks are equal everywhere, since seed and name draw them. Weights that are kept without their zeros would not be:
    another processor may measure another backend to be faster, which keeps them in another way.
    """
    if ranks.is_alone:
        return
    layers = {name: module for name, module in network.named_modules() if isinstance(module, SparseLinear)}
    chosen = ranks.shared({name: layer.backend_name for name, layer in layers.items()})
    for name, layer in layers.items():
        if layer.backend_name != chosen[name]:
            mask, layer.backend_name = layer.mask, chosen[name]
            layer.mask = mask  # lays the weights out anew


def share_out(network: nn.Module, ranks: Ranks) -> nn.Module:
    """Leave to this process its part of a network, before an optimizer is made.

    Under ``fsdp``, every tensor is cut along its first axis, also the values of sparse weights that are kept without
    their zeros; a block's are gathered whole while it computes.

    Returns:
        What computes losses whose gradients all processes shall have: the network, or a wrapper of it.
    """
    if ranks.sharing == DDP:
        devices = None if ranks.device == "cpu" else [torch.device(ranks.device)]
        return DistributedDataParallel(network, device_ids=devices, **UNSYNCED)
    if ranks.sharing == FSDP:
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        mesh = init_device_mesh(torch.device(ranks.device).type, (ranks.size,))
        # blocks first: fully_shard takes for a module what none within it has taken
        for module in list(network.modules()):
            if isinstance(module, nn.ModuleList):
                for block in module:
                    fully_shard(block, mesh=mesh)
        fully_shard(network, mesh=mesh)
    return network


def gradients_stay(module: nn.Module) -> AbstractContextManager[None]:
    """A block whose gradients need not reach the other processes yet, as more are to be added to them."""
    return module.no_sync() if isinstance(module, DistributedDataParallel) else nullcontext()


def as_parameter(values: Tensor, parameter: Tensor) -> Tensor:
    """Values of a whole parameter, cut as the parameter is."""
    if not is_cut(parameter):
        return values
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(values.to(parameter.device), parameter.device_mesh, parameter.placements)


def own_part(values: Tensor) -> Tensor:
    """What this process holds of a tensor."""
    return values.to_local() if is_cut(values) else values


def is_cut(tensor: Tensor) -> TypeGuard[DTensor]:
    """Whether a tensor is in parts, of which this process holds one."""
    # not imported for the question: it takes a second, and a process without it has no such tensor
    module = sys.modules.get("torch.distributed.tensor")
    return module is not None and isinstance(tensor, module.DTensor)
