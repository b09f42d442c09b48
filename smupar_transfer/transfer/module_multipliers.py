"""Where multipliers act in anybody's model: on which modules, on which side, and on attention."""

from __future__ import annotations

import math
from collections.abc import Iterator

from torch import nn

from smupar_transfer.theory import InputError, Role
from smupar_transfer.transfer.evidence import Evidence
from smupar_transfer.transfer.layouts import Layout, layouts_of, stored_name
from smupar_transfer.transfer.plan_data import ModuleMultiplier
from smupar_transfer.transfer.roles import Claim

HEAD_SIZES = (
    "qk_head_dim",  # first: some have heads of another size for values
    *("head_dim", "attention_head_size", "attention_head_dim", "key_value_proj_dim", "d_head", "head_size", "dim_head"),
)
"""What attention modules of other people call the number of channels of a head."""
USUAL = -0.5
"""The exponent that attention modules follow where nothing is known of them."""


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
    # before a layer, so that its bias stays as it is; what goes into an embedding are numbers of rows
    side = "output" if claim.layout.role is Role.EMBEDDING else "input"
    users = users_of(evidence.network, claim.name)
    # a readout that shares the weight uses it the other way round, and has a hook of its own
    return [ModuleMultiplier(path, side, factor) for path, layout in users if layout == claim.layout]


def tied_readouts(evidence: Evidence, claim: Claim) -> Iterator[tuple[str, Layout]]:
    """The layers that multiply with an embedding's own weight: readouts, by path."""
    if claim.role is Role.EMBEDDING and claim.is_end:
        for path, layout in users_of(evidence.network, claim.name):
            if layout != claim.layout and layout.hookable:
                yield path, layout


def attention_factors(evidence: Evidence, exponent: float) -> dict[str, float]:
    """What the ``scaling`` of attention modules is to be multiplied with, where heads are not of the base's size.

    Relative to the base, which is left as it is, a parametrization wants logits to follow head_dim ** exponent. Most
    modules make them follow head_dim ** -1/2 by themselves, some leave them as they are: the scalings of model and base
    tell.

    Raises:
        InputError: heads are of another size and the module has no ``scaling`` that could be changed.
    """
    factors: dict[str, float] = {}
    base = dict(evidence.base.named_modules())
    for path, module in evidence.network.named_modules():
        own, key = head_size(module)
        theirs, _ = head_size(base.get(path))
        if own is None or theirs is None or own == theirs:
            continue
        before, now = getattr(base[path], "scaling", None), getattr(module, "scaling", None)
        if isinstance(before, float) and isinstance(now, float):
            # so that now * factor = before * (own / theirs)**exponent, whatever the module's own rule is
            factor = before / now * (own / theirs) ** exponent
            factors |= {} if math.isclose(factor, 1) else {path: factor}
        # otherwise the module does by itself what the table says
        elif exponent != USUAL:
            problem = f"is {own}, and {theirs} in the base: how {type(module).__name__} scales attention is not known"
            raise InputError(f"{path}.{key}", own, problem, f"keep {key} and have more heads")
    return factors


def head_size(module: nn.Module | None) -> tuple[int | None, str]:
    """The number of channels of a head of an attention module, and what the module calls it; None for other modules."""
    found = ((getattr(module, key, None), key) for key in HEAD_SIZES)
    return next(((size, key) for size, key in found if isinstance(size, int)), (None, ""))
