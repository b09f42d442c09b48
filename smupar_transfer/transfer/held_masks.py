"""Masks of ordinary modules, held under any optimizer.

A mask is a buffer ``<parameter>_mask`` beside its weight, so that checkpoints have it. Gradients are masked as they
arrive, before anybody clips them by their norm; and after every step of an optimizer that trains the weight, what the
step wrote off the mask is taken away: decay of moments, noise or orthogonalised updates would revive it.
"""

from __future__ import annotations

import functools
from typing import Any
from weakref import ReferenceType, WeakSet, ref

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook

from smupar_transfer.theory import InputError
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
        self._start(module, leaf, buffer)

    def _start(self, module: nn.Module, leaf: str, buffer: str) -> None:
        self.module, self.leaf, self.buffer = module, leaf, buffer
        self._hooked: ReferenceType[Tensor] | None = None
        self._hook: Any = None
        # references, since a new tensor may get the id of one that is gone; the version tells of writing in place
        self._made_for: tuple[ReferenceType[Tensor], ReferenceType[Tensor], int] | None = None
        self._made: Tensor | None = None
        _alive.add(self)
        _after_every_step()  # here, so that a process that only unpickled a mask holds it as well

    def __getstate__(self) -> dict[str, Any]:
        # with the parameter, since a copy of this may be made before the copy of its module has one
        parameter = self.module._parameters.get(self.leaf)
        return {"module": self.module, "leaf": self.leaf, "buffer": self.buffer, "parameter": parameter}

    def __setstate__(self, state: dict[str, Any]) -> None:
        parameter = state.pop("parameter")
        self._start(**state)
        if parameter is not None:
            self._watch(parameter)

    @property
    def parameter(self) -> nn.Parameter:
        """The weight as it is now."""
        parameter = self.module._parameters.get(self.leaf)
        if parameter is None:
            problem = "is held to a mask, and is no longer a parameter"
            raise InputError("model", self.leaf, problem, "prune or parametrize first, then plan, then apply")
        return parameter

    @property
    def mask(self) -> Tensor:
        """The mask as the module keeps it: whole, boolean."""
        mask: Tensor = getattr(self.module, self.buffer)
        return mask

    def off(self, parameter: Tensor) -> Tensor:
        """True where there is no weight, sharded as the weight is and on its device."""
        mask, kept = self.mask, self._made_for
        if kept is None or kept[0]() is not parameter or kept[1]() is not mask or kept[2] != mask._version:
            off = (mask == 0).to(parameter.device)  # not ~mask: masks of somebody else's may be of numbers
            if _is_sharded(parameter):
                from torch.distributed.tensor import distribute_tensor  # takes a while to import

                placed: Any = parameter
                # every rank has the whole mask: without a source rank nothing is sent
                off = distribute_tensor(off, placed.device_mesh, placed.placements, src_data_rank=None)
                off = off.to(parameter.device)  # shards may be offloaded to another device than the mesh's
            self._made, self._made_for = off, (ref(parameter), ref(mask), mask._version)
        assert self._made is not None
        return self._made

    @torch.no_grad()
    def clear(self, values: Tensor, parameter: Tensor) -> None:
        """Set to zero what is off the mask in values that belong to the weight, not-a-numbers included."""
        # no product: 0 times not-a-number is not a number
        values.masked_fill_(self.off(parameter), 0)

    def zero(self) -> None:
        """Take away what is off the mask."""
        self.clear(self.parameter.data, self.parameter)

    def watch_gradient(self) -> None:
        """Have gradients masked from now on, before they are clipped; harmless if they are already."""
        self._watch(self.parameter)

    def after_step(self, stepped: set[int]) -> None:
        """Take away what an optimizer wrote off the mask, if it trains the weight.

        Under FSDP the module may have the gathered weight just now, and the optimizer has the shard.
        """
        now = self.module._parameters.get(self.leaf)
        watched = None if self._hooked is None else self._hooked()
        for parameter in (now, watched):
            if parameter is not None and id(parameter) in stepped:
                self.clear(parameter.data, parameter)
                self._watch(parameter)
                return

    def forget(self) -> None:
        """Hold the weight no longer."""
        _alive.discard(self)
        if self._hook is not None:
            self._hook.remove()
        self._hook = self._hooked = None

    def _watch(self, parameter: Tensor) -> None:
        watched = None if self._hooked is None else self._hooked()
        # torch refuses hooks on what needs no gradient
        if watched is parameter or not parameter.requires_grad:
            return
        if self._hook is not None:
            self._hook.remove()
        if _is_sharded(parameter):  # autograd sees the gathered weight; FSDP calls these with the shard
            self._hook = parameter.register_post_accumulate_grad_hook(self._mask_accumulated)  # type: ignore[no-untyped-call]
        else:  # before it is accumulated, so that DistributedDataParallel reduces masked gradients
            self._hook = parameter.register_hook(self._masked)  # type: ignore[no-untyped-call]
        self._hooked = ref(parameter)

    def _masked(self, gradient: Tensor) -> Tensor:
        parameter = None if self._hooked is None else self._hooked()
        # a new tensor: hooks of torch must not change what they are given
        return gradient if parameter is None else gradient.masked_fill(self.off(parameter), 0)

    def _mask_accumulated(self, parameter: Tensor) -> None:
        if parameter.grad is not None:
            self.clear(parameter.grad, parameter)


# weak: a network that nobody has any longer takes its masks with it
_alive = WeakSet()


def _is_sharded(parameter: Tensor) -> bool:
    """Whether it is a ``DTensor``, as ``fully_shard`` makes of parameters."""
    return hasattr(parameter, "device_mesh")


def hold(module: nn.Module, leaf: str, mask: Tensor | None) -> HeldMask:
    """Hold a parameter of a module to a mask, and take away what is off it now.

    Args:
        module: The owner of the weight.
        leaf: The name of the weight in it.
        mask: Boolean, in the weight's shape; None for the one that the module has as ``<leaf>_mask`` already.

    Returns:
        The mask, as it is held from now on.
    """
    buffer = leaf + MASK_SUFFIX
    if mask is not None:
        module.register_buffer(buffer, mask.to(module.get_parameter(leaf).device))
    held = HeldMask(module, leaf, buffer)
    module.__dict__.setdefault(HELD, []).append(held)
    held.zero()
    held.watch_gradient()
    return held


def held_masks(network: nn.Module) -> list[HeldMask]:
    """All that are held in a network, copies of modules included."""
    return [held for module in network.modules() for held in module.__dict__.get(HELD, ())]


def release(network: nn.Module) -> None:
    """Leave a network's weights as they are, zeros included, without masks."""
    for held in held_masks(network):
        release_held(held)


def release_held(held: HeldMask) -> None:
    """Leave a weight as it is, without its mask."""
    held.forget()
    delattr(held.module, held.buffer)
    held.module.__dict__[HELD].remove(held)


# the hook is global: every further one would be one more call a step
@functools.cache
def _after_every_step() -> None:
    """Have PyTorch call it for every optimizer there is."""
    clean = torch.compiler.disable(_clean)  # type: ignore[no-untyped-call]
    register_optimizer_step_post_hook(lambda optimizer, _args, _kwargs: clean(optimizer))


def _clean(optimizer: Optimizer) -> None:
    stepped = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    for held in list(_alive):
        held.after_step(stepped)
