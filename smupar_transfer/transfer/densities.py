"""How sparse every hidden weight becomes, and by which mask: from what a person asks for."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn

from smupar_transfer.sparsity import (
    BlockMask,
    MaskStructure,
    NOfMMask,
    SparseLinear,
    erdos_renyi_kernel,
    mask_structure,
    named_generator,
)
from smupar_transfer.theory import InputError, Role
from smupar_transfer.transfer.names import PARAMETRIZED
from smupar_transfer.transfer.roles import Claim

Density = float | str | Mapping[str, float | str]
"""A density, a structure with one (``"2:4"``, ``"block16:0.1"``, ``"erk:0.05"``, ``"found"``), or one per pattern."""
GIVEN, FOUND, ERK = "given", "found", "erk"
MASK_SUFFIX = "_mask"


@dataclass(frozen=True)
class MaskRequest:
    """Where the mask of one parameter comes from.

    Attributes:
        structure: The name of the structure that is drawn; ``given`` for a person's own mask, ``found`` for what the
            network has already.
        density: The density that is asked for; for ``given`` and ``found``, the one that was counted.
        shape: The shape of the parameter.
        order: Its axes in the order (others, output, inputs), in which it is a stack of matrices.
        fan_in: The number of inputs that an output sums over.
    """

    structure: str
    density: float
    shape: tuple[int, ...]
    order: tuple[int, ...]
    fan_in: int

    @property
    def matrix(self) -> tuple[int, int]:
        """(all outputs, fan_in): a stack of matrices is one tall matrix."""
        return math.prod(self.shape) // self.fan_in, self.fan_in

    def draw(self, name: str, seed: int) -> Tensor:
        """The mask, boolean and in the parameter's shape, from a generator of (seed, parameter name)."""
        with torch.device("cpu"):  # the same mask, whatever the default device
            generator = named_generator(seed, "mask", name)
            matrix = structure_of(self.structure).draw(self.matrix, self.density, generator)
        permuted = matrix.view([self.shape[axis] for axis in self.order])
        return permuted.permute([self.order.index(axis) for axis in range(len(self.order))]).contiguous()

    def nonzero(self, name: str, seed: int) -> int:
        """The number of weights that it keeps; drawn for that only if its structure leaves the number to chance."""
        if self.structure in (GIVEN, FOUND):
            return round(self.density * math.prod(self.shape))
        structure = structure_of(self.structure)
        return structure.nonzero(self.matrix, self.density) if structure.counted else int(self.draw(name, seed).sum())


def _request(claim: Claim, structure: str, density: float) -> MaskRequest:
    assert claim.layout is not None
    return MaskRequest(structure, density, claim.shape, claim.layout.matrix(claim.shape), claim.fan_in)


@dataclass(frozen=True)
class _Wish:
    structure: str
    density: float
    key: str


_DENSE = _Wish("random", 1.0, "density")


def is_sparse_layer(network: nn.Module, claim: Claim) -> bool:
    """Whether a weight is that of this package's own sparse layer."""
    return isinstance(network.get_submodule(claim.name.rpartition(".")[0]), SparseLinear)


def request_masks(
    network: nn.Module, claims: tuple[Claim, ...], density: Density, masks: Mapping[str, Tensor]
) -> dict[str, MaskRequest]:
    """Which hidden weights become sparse, and how; those that stay dense are left out.

    Args:
        network: Where masks are looked for if some are to be found.
        claims: All parameters of the network.
        density: What a person asked for.
        masks: Masks of a person's own by parameter name, which win.

    Raises:
        InputError: a density, a structure, a pattern or a mask cannot be used.
    """
    hidden = {claim.name: claim for claim in claims if claim.role is Role.HIDDEN}
    everything = {claim.name for claim in claims}
    wishes = _wishes(hidden, everything, density)
    for name in [name for name, claim in hidden.items() if is_sparse_layer(network, claim)]:
        if wishes.pop(name, _DENSE).density != 1 or name in masks:
            raise InputError("density", name, "is of a SparseLinear, which has a mask of its own", "leave it out")
    requests: dict[str, MaskRequest] = {}
    for name, mask in masks.items():
        counted = _given_density(hidden, everything, name, mask)
        requests[name] = _request(hidden[name], GIVEN, counted)
    # Erdos-Renyi shares one density among all layers that ask for it, so that they are collected first
    uneven: dict[_Wish, list[str]] = {}
    for name, wish in wishes.items():
        if name in masks:
            continue
        if wish.structure == FOUND:
            requests[name] = _request(hidden[name], FOUND, found_density(network, name))
        elif wish.structure == ERK:
            uneven.setdefault(wish, []).append(name)
        else:
            requests[name] = _request(hidden[name], wish.structure, wish.density)
    for wish, names in uneven.items():
        shapes = {name: hidden[name].shape for name in names}
        for name, share in erdos_renyi_kernel(shapes, wish.density).items():
            # the kernel only shares out densities; inside of a layer weights are drawn at random
            requests[name] = _request(hidden[name], "random", share)
    _require_unpruned(network, requests)
    return {name: request for name, request in requests.items() if request.density < 1}


def _require_unpruned(network: nn.Module, requests: Mapping[str, MaskRequest]) -> None:
    for name, request in requests.items():
        held = held_mask(network, name)
        if held is not None and held[1] and request.structure != FOUND:
            problem = f"{name} is pruned already, by a mask that the network applies itself"
            raise InputError("density", request.structure, problem, "say 'found'")


def _wishes(hidden: Mapping[str, Claim], everything: set[str], density: Density) -> dict[str, _Wish]:
    if not isinstance(density, Mapping):
        wish = _parse("density", density)
        return dict.fromkeys(hidden, wish)
    parsed = {pattern: _parse(f"density[{pattern}]", value) for pattern, value in density.items()}
    for pattern in parsed:
        if not any(fnmatchcase(name, pattern) for name in hidden):
            exists = any(fnmatchcase(name, pattern) for name in everything)
            problem = "matches no hidden weights: only those become sparse" if exists else "matches no parameter"
            raise InputError("density", pattern, problem, _example(hidden))
    wishes = {}
    for name in hidden:
        matching = [wish for pattern, wish in parsed.items() if fnmatchcase(name, pattern)]
        if matching:
            wishes[name] = matching[0]
    return wishes


def _example(names: Mapping[str, object]) -> str:
    return f"names look like {next(iter(names))}" if names else "there are none in this network"


def _parse(key: str, asked: object) -> _Wish:
    if isinstance(asked, str):
        if asked == FOUND:
            return _Wish(FOUND, 0.0, key)  # counted later, on what is found
        if match := re.fullmatch(r"(\d{1,6}):(\d{1,6})", asked):
            structure = NOfMMask(int(match[1]), int(match[2]))
            return _Wish(asked, structure.density, key)
        # from the right, since 2:4 has a colon of its own: a density behind it is refused below
        name, colon, number = asked.rpartition(":")
        if re.fullmatch(r"\d+:\d+", name):
            raise InputError(key, asked, f"has one density too many: {name} says it already", f"as in {name}")
        try:
            value = float(number)
        except ValueError:
            raise InputError(key, asked, "is no density", "as in 0.1, 2:4, block16:0.1, erk:0.05 or found") from None
        wish = _Wish(name if colon else "random", _require_density(key, value), key)
        if wish.structure != ERK:
            # for its error alone: a name that no structure has is refused before anything is drawn
            structure_of(wish.structure)
        return wish
    # True is an int to Python, and would mean dense
    if isinstance(asked, bool) or not isinstance(asked, int | float):
        raise InputError(key, asked, "is no density", "as in 0.1, 2:4, block16:0.1, erk:0.05 or found")
    return _Wish("random", _require_density(key, float(asked)), key)


def _require_density(key: str, value: float) -> float:
    if not (math.isfinite(value) and 0 < value <= 1):
        raise InputError(key, value, "must lie in (0, 1]", "density is the part of the weights that stays")
    return value


def structure_of(name: str) -> MaskStructure:
    """The mask structure that a name stands for: ``2:4``, ``block16``, or one that is registered.

    Raises:
        InputError: none has that name.
    """
    if match := re.fullmatch(r"(\d+):(\d+)", name):
        return NOfMMask(int(match[1]), int(match[2]))
    if match := re.fullmatch(r"block(\d+)", name):
        return BlockMask(int(match[1]))
    return mask_structure(name)


def _given_density(hidden: Mapping[str, Claim], everything: set[str], name: str, mask: Tensor) -> float:
    key = f"masks[{name}]"
    if name not in hidden:
        which = "is no hidden weight: only those become sparse" if name in everything else "is no parameter"
        raise InputError("masks", name, which, _example(hidden))
    if not isinstance(mask, Tensor) or mask.dtype is not torch.bool or mask.shape != hidden[name].shape:
        found = f"{mask.dtype} {tuple(mask.shape)}" if isinstance(mask, Tensor) else type(mask).__name__
        raise InputError(key, found, f"must be a boolean tensor of shape {hidden[name].shape}")
    if mask.is_meta:
        raise InputError(key, "meta", "is on the meta device, without values")
    kept = int(mask.sum())
    if kept == 0:
        raise InputError(key, "all False", "leaves no weight")
    return kept / mask.numel()


def held_mask(network: nn.Module, name: str) -> tuple[Tensor, bool] | None:
    """A mask that a network has for a parameter already, and whether the network applies it by itself.

    ``torch.nn.utils.prune`` and pruning by parametrizations apply theirs in every forward pass. A buffer
    ``<name>_mask`` of somebody else's is only kept beside the weight.
    """
    owner, middle, rest = name.rpartition(PARAMETRIZED)
    if middle:
        leaf = rest.removesuffix(".original")
        first = network.get_submodule(f"{owner}{PARAMETRIZED}{leaf}.0")
        mask = getattr(first, "mask", None)
        return (mask.bool(), True) if isinstance(mask, Tensor) else None
    path, _, leaf = name.rpartition(".")
    module = network.get_submodule(path)
    mask = getattr(module, leaf.removesuffix("_orig") + MASK_SUFFIX, None)
    # masks of `torch.nn.utils.prune` are of numbers
    return (mask.bool(), leaf.endswith("_orig")) if isinstance(mask, Tensor) else None


def found_mask(network: nn.Module, name: str) -> Tensor:
    """The mask that a network has for a parameter; else, where its values are not exactly zero."""
    held = held_mask(network, name)
    return held[0] if held is not None else network.get_parameter(name).detach() != 0


def found_density(network: nn.Module, name: str) -> float:
    """The density of a parameter as it stands.

    Raises:
        InputError: there are no values to look at, or all are zero.
    """
    if network.get_parameter(name).is_meta:
        raise InputError("density", FOUND, f"{name} is on the meta device, without values", "load the weights first")
    mask = found_mask(network, name)
    if not mask.any():
        raise InputError("density", FOUND, f"{name} is zero everywhere", "load the weights first, or say a density")
    return int(mask.sum()) / mask.numel()
