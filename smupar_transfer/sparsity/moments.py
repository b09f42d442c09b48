"""Optimizer state follows the mask: gradients and moments belong to weights, wherever a layer stores them.

An optimizer knows parameters and not masks. When a mask changes, the same place of a weight parameter stands for
another weight, or the parameter has another length. Moments that stayed behind would move weights they do not belong
to, and PyTorch's fused kernels, which trust lengths, would write past the end of them. So a mask that changes in
training goes through ``change_mask``, which takes the moments along. Whatever else parts them (assigning
``layer.mask``, ``load_state_dict`` of another mask, an optimizer's state loaded beside another mask) is refused at the
optimizer's next step, before it writes anything, whichever optimizer of PyTorch's kind it is: its parameter groups note
the layouts that its moments were made for.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from smupar_transfer.theory import InputError

if TYPE_CHECKING:
    from smupar_transfer.sparsity.linear import SparseLinear

LAYOUTS = "mask_layouts"
"""Key of a parameter group: position in the group -> ``SparseLinear.layout`` that the moments were made for. State
dicts of optimizers carry it along, so that moments cannot be loaded beside another mask unnoticed."""

# weak: to be watched keeps no network in memory
_layers: WeakSet[SparseLinear] = WeakSet()
_lock = threading.Lock()  # networks may be built in one thread while another trains


@torch.no_grad()
def change_mask(layer: SparseLinear, mask: Tensor, optimizer: Optimizer) -> None:
    """Give a layer in training another mask, while its optimizer goes on.

    Weights that exist under both masks keep value, gradient and moments. New weights start at zero, with gradient and
    moments of zero; Adam's bias correction does not start anew for them. Works under every backend, to and from a full
    mask, and for every optimizer whose state has one number per weight, at first zero: AdamW and SGD with momentum
    among others. If anything is refused, nothing has changed.

    Args:
        layer: Any sparse layer that has its weights.
        mask: The new mask, boolean (fan_out, fan_in), True where a weight shall exist.
        optimizer: The optimizer that trains the layer.

    Raises:
        InputError: ``mask`` does not fit the layer; the optimizer does not train the layer, or holds moments of another
            mask already; or it keeps a state of which it is not known what that of a new weight would be.
    """
    layer.require_mask(mask)
    # before anything is changed: it refuses moments that would be moved to the wrong weights
    check_moments(optimizer)
    held = next((held for held in _held_weights(optimizer) if held.layer is layer), None)
    if held is None:
        remedy = "give the one that does; where there is none, assign to layer.mask"
        raise InputError("optimizer", type(optimizer).__name__, f"does not train {layer}", remedy)
    existing = layer.mask
    moments = {
        name: layer.backend.unpack(value).masked_fill(~existing, 0)
        for name, value in held.state.items()
        if _is_per_weight(optimizer, layer, name, value)
    }
    layer.mask = mask
    held.state.update({name: layer.in_layout(dense) for name, dense in moments.items()})
    held.note_layout()


def _is_per_weight(optimizer: Optimizer, layer: SparseLinear, name: str, value: object) -> bool:
    """Whether a state holds one number per weight; False for what all weights share, such as the number of steps."""
    if isinstance(value, Tensor) and value.shape == layer.weight.shape:
        elsewhere = isinstance(optimizer, torch.optim.Rprop) or optimizer.defaults.get("initial_accumulator_value")
        if not elsewhere:  # starts at zero
            return True
    elif value is None or isinstance(value, int | float) or (isinstance(value, Tensor) and value.ndim == 0):
        return False
    problem = f"keeps a state {name} of which it is not known what a new weight's would be"
    raise InputError("optimizer", type(optimizer).__name__, problem, "assign to layer.mask and make a new optimizer")


def watch(layer: SparseLinear) -> None:
    """Have every optimizer that steps a layer's weight checked, for as long as the layer lives."""
    with _lock:
        _layers.add(layer)
        if not layer.mask_bits.is_meta:  # else nobody trains it, and what follows takes a second
            _check_every_step()


@functools.cache
def _check_every_step() -> None:
    """Have PyTorch call the checks; compiled steps call them too, without compiling them."""
    # once a process, since these hooks are called for every optimizer
    before, after = (torch.compiler.disable(check) for check in (check_moments, _note_new_moments))  # type: ignore[no-untyped-call]
    register_optimizer_step_pre_hook(lambda optimizer, _args, _kwargs: before(optimizer))
    register_optimizer_step_post_hook(lambda optimizer, _args, _kwargs: after(optimizer))


@torch.no_grad()
def check_moments(optimizer: Optimizer) -> None:
    """Make sure that moments belong to the weights that a step would move by them. Called before every step.

    Moments that nobody noted a layout for, such as those of a checkpoint of an earlier version, are taken for the
    present mask's if they have its shape.

    Raises:
        InputError: moments were made for another mask, or for the layout of another backend.
    """
    for held in _held_weights(optimizer):
        _check_gradient(held.layer)
        if not held.state:
            continue
        if held.noted is None and all(value.shape == held.layer.weight.shape for value in _tensors(held.state)):
            for value in _tensors(held.state):
                value.copy_(held.layer.in_layout(value))  # moments of weights that do not exist would revive them
            held.note_layout()
        if held.noted != held.layer.layout:
            raise InputError(
                "optimizer",
                type(optimizer).__name__,
                f"holds moments for another mask or layout of {held.layer}",
                "change masks with sparsity.change_mask(layer, mask, optimizer), or make a new optimizer",
            )


def _check_gradient(layer: SparseLinear) -> None:
    gradient = layer.weight.grad
    if gradient is not None and gradient.shape != layer.weight.shape:
        problem = f"was computed before the mask of {layer} changed"
        raise InputError("gradient", tuple(gradient.shape), problem, "compute it anew")


def _note_new_moments(optimizer: Optimizer) -> None:
    """Note for which layout a step has made moments. Called after every step."""
    for held in _held_weights(optimizer):
        if held.state:
            held.note_layout()


def _tensors(state: dict[str, Any]) -> list[Tensor]:
    return [value for value in state.values() if isinstance(value, Tensor) and value.ndim]


@dataclass(frozen=True)
class _HeldWeight:
    """The weight of a sparse layer in an optimizer.

    Attributes:
        layer: The layer that the weight belongs to.
        group: The group of the optimizer's parameters that holds it.
        position: The position of the weight among the group's parameters.
        state: What the optimizer keeps for the weight, by name; empty before its first step.
    """

    layer: SparseLinear
    group: dict[str, Any]
    position: int
    state: dict[str, Any]

    @property
    def noted(self) -> int | None:
        """The layout that the state was made for; None where nobody noted it."""
        layout: int | None = self.group.get(LAYOUTS, {}).get(self.position)
        return layout

    def note_layout(self) -> None:
        """The state is that of the present layout."""
        self.group.setdefault(LAYOUTS, {})[self.position] = self.layer.layout


def _held_weights(optimizer: Optimizer) -> Iterator[_HeldWeight]:
    with _lock:
        # by identity: == between parameters compares their entries
        owners = {id(layer._parameters.get("weight")): layer for layer in _layers}
    for group in optimizer.param_groups:
        for position, parameter in enumerate(group["params"]):
            layer = owners.get(id(parameter))
            if layer is not None and not layer.mask_bits.is_meta:
                yield _HeldWeight(layer, group, position, _state_of(parameter, optimizer))


def _state_of(parameter: nn.Parameter, optimizer: Optimizer) -> dict[str, Any]:
    if isinstance(optimizer, torch.optim.LBFGS):  # keeps one state for all parameters together, with the first
        parameter = optimizer.param_groups[0]["params"][0]
    state: dict[str, Any] = optimizer.state.get(parameter, {})
    return state
