"""Multipliers as hooks on ordinary modules, and baked into weights for inference.

Hooks are objects of classes of this module, so copies, pickles, compiled and exported networks have them. No module is
exchanged and names stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from smupar_transfer.theory import InputError
from smupar_transfer.transfer.layouts import stored_name
from smupar_transfer.transfer.plan_data import ModuleMultiplier


class InputMultiplier:
    """Multiplies what goes into a layer: smaller than what comes out of a readout, and biases stay as they are.

    Args:
        factor: The constant.
    """

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def __call__(
        self, _module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """As ``register_forward_pre_hook`` calls it."""
        if args:
            return (args[0] * self.factor, *args[1:]), kwargs
        name = next(iter(kwargs))  # layers have one input, whatever they call it
        return args, {**kwargs, name: kwargs[name] * self.factor}


class OutputMultiplier:
    """Multiplies what comes out of a layer: of an embedding, whose input are numbers of rows.

    Args:
        factor: The constant.
    """

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def __call__(self, _module: nn.Module, _args: tuple[Any, ...], output: Tensor) -> Tensor:
        """As ``register_forward_hook`` calls it."""
        return output * self.factor


def add_hooks(network: nn.Module, multipliers: Iterable[ModuleMultiplier]) -> None:
    """Have modules multiply from now on."""
    for multiplier in multipliers:
        module = network.get_submodule(multiplier.module)
        if multiplier.side == "input":
            # torch hands keywords to those hooks alone that ask for them
            module.register_forward_pre_hook(InputMultiplier(multiplier.factor), with_kwargs=True)
        else:
            module.register_forward_hook(OutputMultiplier(multiplier.factor))


def remove_hooks(module: nn.Module) -> float:
    """Take the multipliers off a module.

    Returns:
        Their product; 1 if there was none.
    """
    product = 1.0
    for hooks, number, hook in _multipliers(module):
        product *= hook.factor
        del hooks[number]
        # torch notes elsewhere which hooks take keywords
        module._forward_pre_hooks_with_kwargs.pop(number, None)
    return product


def _multipliers(module: nn.Module) -> list[tuple[Any, int, Any]]:
    """Hooks that multiply: where each is kept, and under which number."""
    return [
        (hooks, number, hook)
        for hooks in (module._forward_pre_hooks, module._forward_hooks)
        for number, hook in hooks.items()
        if isinstance(hook, InputMultiplier | OutputMultiplier)
    ]


@torch.no_grad()
def fold_multipliers(network: nn.Module) -> None:
    """Multiply weights with what hooks multiply with, and take the hooks away: the same function, for inference.

    Weights that several modules share with different multipliers are shared no longer.

    Raises:
        InputError: a module with a multiplier has no weight; nothing has changed then.
    """
    for name, module in network.named_modules():
        if _weight(module) is None and any(_multipliers(module)):
            problem = "has a multiplier, and a weight that is computed from others"
            raise InputError("model", name, problem, "remove its parametrization, then fold")
    first: dict[int, float] = {}
    originals: dict[int, Tensor] = {}
    for module in network.modules():
        weight, factor = _weight(module), remove_hooks(module)
        if weight is None:
            continue
        # by identity: what modules share must be multiplied once
        if id(weight) not in first:
            first[id(weight)] = factor
            if factor != 1:
                # kept for modules that share it and have another multiplier: it is changed in place
                originals[id(weight)] = weight.detach().clone()
                weight.mul_(factor)
        elif factor != first[id(weight)]:
            original = originals.get(id(weight), weight.detach())
            own = nn.Parameter(original * factor, requires_grad=weight.requires_grad)
            module._parameters[stored_name(module, "weight")] = own
            _say_untied(network)


def _weight(module: nn.Module) -> nn.Parameter | None:
    """The weight of a module; where ``torch.nn.utils.prune`` has taken it, what it is computed from."""
    return module._parameters.get(stored_name(module, "weight"))


def _say_untied(network: nn.Module) -> None:
    """Models of ``transformers`` tie weights again when they are loaded, unless their configuration says otherwise."""
    config = getattr(network, "config", None)
    if getattr(config, "tie_word_embeddings", False):
        config.tie_word_embeddings = False  # type: ignore[union-attr]
