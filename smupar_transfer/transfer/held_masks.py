"""Masks of ordinary modules, held under any optimizer.

A mask is a buffer ``<parameter>_mask`` beside its weight, so that checkpoints have it. Gradients are masked as they
arrive, before anybody clips them by their norm; and after every step of an optimizer that trains the weight, what the
step wrote off the mask is taken away: decay of moments, noise or orthogonalised updates would revive it.
"""

from __future__ import annotations

import functools
from typing import Any
from weakref import WeakSet

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook

from smupar_transfer.transfer.densities import MASK_SUFFIX

HELD = "_smupar_held_masks"
"""Attribute of a module that lists its held masks; copied and pickled with the module."""

_alive: WeakSet[HeldMask]


class HeldMask:
    """The mask of one parameter of a module.

    It looks the parameter up whenever it needs it: sharding, copying and compiling put another in its place.

    Args:
        module: The owner of the weight.
        leaf: The name of the weight in it.
        buffer: The name of the mask in it.
    """

    def __init__(self, module: nn.Module, leaf: str, buffer: str) -> None:
        self.module, self.leaf, self.buffer = module, leaf, buffer
        self.__setstate__(self.__dict__)

    def __getstate__(self) -> dict[str, Any]:
        return {"module": self.module, "leaf": self.leaf, "buffer": self.buffer}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._hooked: Tensor | None = None
        self._made_for: tuple[int, int, int] | None = None
        self._made: Tensor | None = None
        _alive.add(self)
        _after_every_step()

    @property
    def parameter(self) -> nn.Parameter:
        """The weight as it is now."""
        parameter = self.module._parameters[self.leaf]
        assert parameter is not None
        return parameter

    @property
    def mask(self) -> Tensor:
        """The mask as the module keeps it: whole, boolean."""
        mask: Tensor = getattr(self.module, self.buffer)
        return mask

    def fitting(self, parameter: Tensor) -> Tensor:
        """The mask, sharded as the weight is and on its device."""
        key = (id(parameter), id(self.mask), self.mask._version)
        if self._made is None or self._made_for != key:
            mask = self.mask.to(parameter.device)
            if _is_sharded(parameter):
                from torch.distributed.tensor import distribute_tensor  # takes a while to import

                placed: Any = parameter
                mask = distribute_tensor(mask, placed.device_mesh, placed.placements, src_data_rank=None)
            self._made, self._made_for = mask, key
        return self._made

    @torch.no_grad()
    def zero(self) -> None:
        """Take away what is off the mask."""
        parameter = self.parameter
        parameter.data.mul_(self.fitting(parameter))

    def watch_gradient(self) -> None:
        """Have gradients masked from now on, before they are clipped; harmless if they are already."""
        parameter = self.parameter
        if self._hooked is parameter or not parameter.requires_grad:
            return
        if _is_sharded(parameter):  # autograd sees the gathered weight; FSDP calls these with the shard
            parameter.register_post_accumulate_grad_hook(self._mask_accumulated)  # type: ignore[no-untyped-call]
        else:  # before it is accumulated, so that DistributedDataParallel reduces masked gradients
            parameter.register_hook(lambda gradient: gradient * self.fitting(parameter))  # type: ignore[no-untyped-call]
        self._hooked = parameter

    def _mask_accumulated(self, parameter: Tensor) -> None:
        if parameter.grad is not None:
            parameter.grad.mul_(self.fitting(parameter))


_alive = WeakSet()


def _is_sharded(parameter: Tensor) -> bool:
    """Whether it is a ``DTensor``, as ``fully_shard`` makes of parameters."""
    return hasattr(parameter, "device_mesh")


def hold(module: nn.Module, leaf: str, mask: Tensor | None) -> None:
    """Hold a parameter of a module to a mask, and take away what is off it now.

    Args:
        module: The owner of the weight.
        leaf: The name of the weight in it.
        mask: Boolean, in the weight's shape; None for the one that the module has as ``<leaf>_mask`` already.
    """
    buffer = leaf + MASK_SUFFIX
    if mask is not None:
        module.register_buffer(buffer, mask.to(module.get_parameter(leaf).device))
    held = HeldMask(module, leaf, buffer)
    module.__dict__.setdefault(HELD, []).append(held)
    held.zero()
    held.watch_gradient()


def held_masks(network: nn.Module) -> list[HeldMask]:
    """All that are held in a network, copies of modules included."""
    return [held for module in network.modules() for held in module.__dict__.get(HELD, ())]


def release(network: nn.Module) -> None:
    """Leave a network's weights as they are, zeros included, without masks."""
    for held in held_masks(network):
        release_held(held)


def release_held(held: HeldMask) -> None:
    """Leave a weight as it is, without its mask."""
    _alive.discard(held)
    delattr(held.module, held.buffer)
    held.module.__dict__[HELD].remove(held)


@functools.cache
def _after_every_step() -> None:
    """Have PyTorch call it for every optimizer there is."""
    clean = torch.compiler.disable(_clean)  # type: ignore[no-untyped-call]
    register_optimizer_step_post_hook(lambda optimizer, _args, _kwargs: clean(optimizer))


def _clean(optimizer: Optimizer) -> None:
    stepped = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    for held in list(_alive):
        if id(held.module._parameters.get(held.leaf)) in stepped:
            held.zero()
            held.watch_gradient()
