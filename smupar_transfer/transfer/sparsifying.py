"""Masked linear layers of anybody's model, exchanged for sparse ones that do not compute with zeros."""

from __future__ import annotations

import torch
from torch import nn

from smupar_transfer.sparsity import SparseLinear, require_backend
from smupar_transfer.theory import InputError
from smupar_transfer.transfer.applying import applied_digest
from smupar_transfer.transfer.held_masks import HELD, HeldMask, release_held
from smupar_transfer.transfer.layouts import is_transposed_linear
from smupar_transfer.transfer.names import join
from smupar_transfer.transfer.plan_data import PlanData

FUNCTIONAL = (nn.MultiheadAttention, nn.TransformerEncoderLayer)
"""Modules of torch that compute with the weights of their linear layers without calling these."""
HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


@torch.no_grad()
def sparsify_(model: nn.Module, plan: PlanData, backend: str = "auto") -> list[str]:
    """Exchange masked linear layers for sparse ones: faster where a backend is, and less memory.

    Names of parameters stay, so that ``plan.groups(model)``, which comes next, is as before; the mask moves from the
    buffer ``weight_mask`` to the layer's own ``mask_bits``. Linear layers of torch are exchanged, and those of GPT-2 in
    ``transformers``, which keep their weight transposed; other masked modules stay as they are.

    Args:
        model: A model that the plan was applied to, not wrapped or sharded yet.
        plan: The plan.
        backend: What computes: ``auto`` measures once a shape; see ``SparseLinear``.

    Returns:
        The paths of the layers that were exchanged.

    Raises:
        InputError: the plan was not applied to this model, or a layer has hooks, which would be lost; nothing has
            changed then.
    """
    require_backend(backend)
    if applied_digest(model) != plan.digest:
        raise InputError("model", type(model).__name__, "has not this plan applied", "call plan.apply_(model) first")
    chosen = {
        path: module
        for parent_path, parent in model.named_modules()
        if not isinstance(parent, FUNCTIONAL)
        for path, module in ((join(parent_path, name), child) for name, child in parent.named_children())
        if _is_linear(module) and any(held.leaf == "weight" for held in module.__dict__.get(HELD, ()))
    }
    for path, module in chosen.items():
        # all of them before the first is exchanged, so that an error leaves the model whole
        if any(getattr(module, hooks) for hooks in HOOKS):
            raise InputError("model", path, "has hooks, which a new layer would not have", "add them afterwards")
    for path, module in chosen.items():
        owner, _, leaf = path.rpartition(".")
        (held,) = module.__dict__[HELD]
        setattr(model.get_submodule(owner), leaf, _sparse(module, held, backend))
        release_held(held)
    return list(chosen)


def _is_linear(module: nn.Module) -> bool:
    """Whether a layer computes x W^T + b and nothing else."""
    # by its forward: a subclass with another one computes something else
    return type(module).forward is nn.Linear.forward or is_transposed_linear(module)


def _sparse(module: nn.Module, held: HeldMask, backend: str) -> SparseLinear:
    weight, mask, bias = held.parameter.detach(), held.mask, module.bias
    if is_transposed_linear(module):
        weight, mask = weight.T, mask.T
    outputs, inputs = weight.shape
    density = int(mask.sum()) / mask.numel()
    layer = SparseLinear(inputs, outputs, bias=bias is not None, density=density, backend=backend)
    layer.to(device=weight.device, dtype=weight.dtype)
    layer.mask = mask.contiguous()
    # after the mask: a new mask would leave weights that were not there before at zero
    layer.set_weight(weight)
    layer.weight.requires_grad_(held.parameter.requires_grad)
    if isinstance(bias, nn.Parameter):
        layer.bias = bias  # the very same, whoever else holds it
    return layer.train(module.training)
