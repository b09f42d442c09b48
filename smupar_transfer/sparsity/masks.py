"""Random static masks, drawn from a generator of their own and nested across densities.

With one generator state, the weights kept at a lower density are among those kept at a higher one (exactly so for every
kind), so that runs that differ in sparsity only differ by the weights that were taken away.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from smupar_transfer.records import MaskKind
from smupar_transfer.theory import InputError


def _kept(density: float, size: int) -> int:
    kept = round(density * size)
    if kept < 1:
        raise _nothing_left(density, size)
    return kept


def _nothing_left(density: float, size: int) -> InputError:
    problem = f"leaves none of {size} weights"
    return InputError("target.sparsity", 1 - density, problem, "use a smaller sparsity or a wider model")


def random_mask(shape: tuple[int, int], density: float, generator: torch.Generator) -> Tensor:
    """Keep exactly round(density * size) entries, anywhere. Boolean, of ``shape`` (fan_out, fan_in)."""
    size = shape[0] * shape[1]
    order = torch.randperm(size, generator=generator)
    mask = torch.zeros(size, dtype=torch.bool)
    mask[order[: _kept(density, size)]] = True
    return mask.view(shape)


def fixed_fan_in_mask(shape: tuple[int, int], density: float, generator: torch.Generator) -> Tensor:
    """Keep exactly round(density * fan_in) entries in every row. Boolean, of ``shape`` (fan_out, fan_in)."""
    order = torch.rand(shape, generator=generator).argsort(dim=1)
    mask = torch.zeros(shape, dtype=torch.bool)
    return mask.scatter_(1, order[:, : _kept(density, shape[1])], True)


def bernoulli_mask(shape: tuple[int, int], density: float, generator: torch.Generator) -> Tensor:
    """Keep each entry with probability ``density`` (SuPar, arXiv 2405.15743, section 3). Boolean, of ``shape``."""
    return torch.rand(shape, generator=generator) < density


_DRAW: dict[MaskKind, Callable[[tuple[int, int], float, torch.Generator], Tensor]] = {
    MaskKind.RANDOM: random_mask,
    MaskKind.FIXED_FAN_IN: fixed_fan_in_mask,
    MaskKind.BERNOULLI: bernoulli_mask,
}


def draw_mask(kind: MaskKind, shape: tuple[int, int], density: float, generator: torch.Generator) -> Tensor:
    """Draw a mask of one of the kinds.

    Args:
        kind: how zeros are placed.
        shape: (fan_out, fan_in) of the weight.
        density: rho, in (0, 1].
        generator: on the CPU, so that every device gets the same mask.

    Returns:
        Boolean tensor of ``shape``, True where a weight exists.

    Raises:
        InputError: no weight would be left.
    """
    if density == 1:
        return torch.ones(shape, dtype=torch.bool)
    mask = _DRAW[kind](shape, density, generator)
    if not mask.any():
        raise _nothing_left(density, mask.numel())
    return mask


def nominal_nonzero(kind: MaskKind, shape: tuple[int, int], density: float) -> int:
    """Entries a mask keeps (for Bernoulli masks: expects to keep), without drawing it."""
    rows, columns = shape
    if kind is MaskKind.FIXED_FAN_IN:
        return rows * _kept(density, columns)
    return _kept(density, rows * columns)


def expected_dead_outputs(kind: MaskKind, shape: tuple[int, int], density: float) -> float:
    """Mean number of outputs (rows) that a drawn mask leaves without a single weight: they compute nothing."""
    rows, columns = shape
    if density == 1 or kind is MaskKind.FIXED_FAN_IN:
        return 0.0
    if kind is MaskKind.BERNOULLI:
        return float(rows * (1 - density) ** columns)
    size, kept = rows * columns, _kept(density, rows * columns)
    if size - columns < kept:
        return 0.0
    # hypergeometric: all that is kept lies in other rows, C(size - columns, kept) / C(size, kept)
    log = math.lgamma(size - columns + 1) - math.lgamma(size - columns - kept + 1)
    log -= math.lgamma(size + 1) - math.lgamma(size - kept + 1)
    return rows * math.exp(log)
