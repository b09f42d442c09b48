"""Weights that a module computes from its parameters: whether they grow with these, as a plan takes for granted."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import TypeGuard

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils import parametrize
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from smupar_transfer.theory import InputError
from smupar_transfer.transfer.names import join

HOOKS: dict[type, str] = {WeightNorm: "remove_weight_norm", SpectralNorm: "remove_spectral_norm"}
"""Older forms of two parametrizations, which compute a weight before every forward pass, and what undoes them."""


def require_proportional(network: nn.Module, base: nn.Module) -> None:
    """Refuse weights to which a plan would do something else than it says.

    A plan multiplies parameters to have weights of another size, and gives them learning rates that suit that size. A
    weight that is normalised (weight norm, spectral norm, orthogonality) stays as it is whatever its parameter is
    multiplied with. Masks, sums and transpositions are no problem: twice the parameter is twice the weight. Layers of
    somebody's own that are like torch's are tried with numbers drawn at random.

    Args:
        network: The network to plan.
        base: Its base, whose layers are tried, and which is asked where the network has no values.

    Raises:
        InputError: a weight does not double where its parameter does.
    """
    for path, module in network.named_modules():
        for hook in module._forward_pre_hooks.values():
            if type(hook) in HOOKS:
                raise _refusal(join(path, hook.name), type(hook).__name__, f"torch.nn.utils.{HOOKS[type(hook)]}")
        for leaf, chain in _chains(module):
            if not all(_doubles(found) for found in (chain, _chain(base, path, leaf)) if _has_values(found)):
                names = ", ".join(type(step).__name__.lstrip("_") for step in chain)
                raise _refusal(join(path, leaf), names, "torch.nn.utils.parametrize.remove_parametrizations")
    # one of a kind is enough, and those of the base are small
    layers = {type(module): (path, module) for path, module in base.named_modules() if _is_own_kind(module)}
    for path, layer in layers.values():
        if not _follows_weight(layer):
            raise _refusal(join(path, "weight"), type(layer).__name__, "an ordinary layer")


def _refusal(weight: str, by: str, remedy: str) -> InputError:
    problem = f"is computed by {by}, and is not twice as large where its parameter is: a plan would mean another weight"
    return InputError("model", weight, problem, f"undo it with {remedy}, then plan")


def _chains(module: nn.Module) -> Iterator[tuple[str, parametrize.ParametrizationList]]:
    if parametrize.is_parametrized(module):
        for leaf, chain in module.parametrizations.items():  # type: ignore[union-attr,operator]
            # a plan leaves alone what is frozen
            if any(parameter.requires_grad for parameter in chain.parameters()):
                yield leaf, chain


def _chain(network: nn.Module, path: str, leaf: str) -> parametrize.ParametrizationList | None:
    """The same of another network; None where that computes no such weight."""
    other = dict(network.named_modules()).get(path)
    return None if other is None else dict(_chains(other)).get(leaf)


def _has_values(chain: parametrize.ParametrizationList | None) -> TypeGuard[parametrize.ParametrizationList]:
    return chain is not None and not any(parameter.is_meta for parameter in chain.parameters())


@torch.no_grad()
def _doubles(chain: parametrize.ParametrizationList) -> bool:
    """Whether the weight doubles with its parameter, tried on a copy: some count how often they are asked."""
    if not chain.is_tensor:
        return False  # several parameters, one of which is the size and one the direction
    tried = copy.deepcopy(chain).eval()
    before = tried().clone()  # it may be the parameter itself
    tried.original.mul_(2)
    return torch.allclose(tried(), 2 * before, rtol=1e-3)


def _is_own_kind(module: nn.Module) -> bool:
    """Whether it is like a layer of torch, with a forward pass of its own, or a limit on the norm of rows."""
    weight = module._parameters.get("weight")
    if not isinstance(module, nn.Linear | _ConvNd | nn.Embedding) or weight is None or weight.is_meta:
        return False
    own = not type(module).forward.__module__.startswith("torch.")
    return weight.requires_grad and (own or getattr(module, "max_norm", None) is not None)


@torch.no_grad()
def _follows_weight(layer: nn.Module) -> bool:
    """Whether a layer gives a constant and a part that doubles with its weight; also if that cannot be tried."""
    try:
        tried = copy.deepcopy(layer).eval()
        values = _inputs(tried)
        outputs = []
        for factor in (1, 2, 0):
            tried.get_parameter("weight").copy_(layer.get_parameter("weight") * factor)
            outputs.append(tried(values).clone())
        plain, doubled, constant = outputs
    except Exception:  # it takes something else, or gives something else
        return True
    return torch.allclose(doubled - constant, 2 * (plain - constant), rtol=1e-2, atol=1e-5)


def _inputs(layer: nn.Module) -> Tensor:
    """A few numbers that a layer takes, from a generator of their own."""
    generator, weight = torch.Generator().manual_seed(0), layer.get_parameter("weight")
    if isinstance(layer, nn.Embedding):
        return torch.arange(min(4, layer.num_embeddings), device=weight.device)[None]
    if isinstance(layer, nn.Linear):
        shape: tuple[int, ...] = (2, layer.in_features)
    else:
        assert isinstance(layer, _ConvNd)
        reach = (step * (size - 1) + 1 for step, size in zip(layer.dilation, layer.kernel_size, strict=True))
        shape = (2, layer.in_channels, *reach)
    return torch.randn(shape, generator=generator, device="cpu").to(weight)
