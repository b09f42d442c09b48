"""Where multipliers act in anybody's model: on which modules, on which side, and on attention."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from smupar_transfer.theory import InputError, Role
from smupar_transfer.transfer.evidence import Evidence
from smupar_transfer.transfer.layouts import Layout, layouts_of, stored_name
from smupar_transfer.transfer.plan_data import ModuleMultiplier
from smupar_transfer.transfer.roles import Claim


def users_of(network: nn.Module, name: str) -> Iterator[tuple[str, Layout]]:
    """The modules that own a parameter, shared or not, by path, and how each uses it."""
    shared = network.get_parameter(name)
    for path, module in network.named_modules():
        for leaf, layout in layouts_of(module).items():
            owner, _, stored = stored_name(module, leaf).rpartition(".")
            if module.get_submodule(owner)._parameters.get(stored) is shared:
                yield path, layout


def own_multipliers(evidence: Evidence, claim: Claim, factor: float) -> list[ModuleMultiplier]:
    """The hooks that multiply what a parameter of an end of the network makes; none where no hook can.

    Args:
        evidence: What the parameter was claimed by.
        claim: The parameter.
        factor: The forward multiplier of its role.
    """
    if factor == 1 or not claim.is_end or claim.layout is None or not claim.layout.hookable:
        return []
    side = "output" if claim.layout.role is Role.EMBEDDING else "input"
    users = users_of(evidence.network, claim.name)
    return [ModuleMultiplier(path, side, factor) for path, layout in users if layout == claim.layout]


def tied_readouts(evidence: Evidence, claim: Claim) -> Iterator[tuple[str, Layout]]:
    """The layers that multiply with an embedding's own weight: readouts, by path."""
    if claim.role is Role.EMBEDDING and claim.is_end:
        for path, layout in users_of(evidence.network, claim.name):
            if layout != claim.layout and layout.hookable:
                yield path, layout


def attention_factors(evidence: Evidence, exponent: float) -> dict[str, float]:
    """What the ``scaling`` of attention modules is to be multiplied with, where heads are not of the base's size.

    A module scales logits by head_dim ** -1/2 itself. Relative to the base, which is left as it is, a parametrization
    wants them to follow head_dim ** exponent.

    Raises:
        InputError: heads are of another size and the module has no ``scaling`` that could be changed.
    """
    factors: dict[str, float] = {}
    base = dict(evidence.base.named_modules())
    for path, module in evidence.network.named_modules():
        own, theirs = getattr(module, "head_dim", None), getattr(base.get(path), "head_dim", None)
        if not isinstance(own, int) or not isinstance(theirs, int) or own == theirs or exponent == -0.5:
            continue
        if not isinstance(getattr(module, "scaling", None), float):
            problem = f"is {own}, and {theirs} in the base: how {type(module).__name__} scales attention is not known"
            raise InputError(f"{path}.head_dim", own, problem, "keep head_dim and have more heads")
        factors[path] = (own / theirs) ** (exponent + 0.5)
    return factors
