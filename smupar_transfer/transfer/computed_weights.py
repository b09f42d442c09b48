"""Weights that a module computes from its parameters: whether they grow with these, as a plan takes for granted."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import TypeGuard

import torch
from torch import nn
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
    multiplied with. Masks, sums and transpositions are no problem: twice the parameter is twice the weight.

    Args:
        network: The network to plan.
        base: Its base, which is asked where the network has no values.

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
