"""Random static masks, drawn from a generator of their own and nested across densities.

With one generator state, the weights kept at a lower density are among those kept at a higher one (exactly so for every
structure that comes with the package), so that runs that differ in sparsity only differ by the weights that were taken
away.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor

from smupar_transfer.records import MASK_NAMES, MaskKind
from smupar_transfer.theory import InputError


class MaskStructure(ABC):
    """How the zeros of a mask are placed. Shapes are (fan_out, fan_in), densities rho in (0, 1)."""

    counted: bool = True
    """Whether the number of weights that stay is known before a mask is drawn."""

    @abstractmethod
    def draw(self, shape: tuple[int, int], density: float, generator: torch.Generator) -> Tensor:
        """A boolean tensor of ``shape``, True where a weight exists, drawn on the CPU from ``generator`` alone.

        Raises:
            InputError: no weight would be left.
        """

    def nonzero(self, shape: tuple[int, int], density: float) -> int:
        """Weights that a mask keeps, or is expected to keep, without drawing it.

        Raises:
            InputError: no weight would be left.
        """
        return _kept(density, shape[0] * shape[1])

    def dead_outputs(self, shape: tuple[int, int], density: float) -> float:
        """Mean number of outputs (rows) that a drawn mask leaves without a single weight: they compute nothing."""
        del shape, density
        return 0.0


def _kept(density: float, size: int) -> int:
    kept = round(density * size)
    if kept < 1:
        raise _nothing_left(density, size)
    return kept


def _nothing_left(density: float, size: int) -> InputError:
    problem = f"leaves none of {size} weights"
    return InputError("target.sparsity", 1 - density, problem, "use a smaller sparsity or a wider model")


class RandomMask(MaskStructure):
    """Keeps exactly round(density * size) entries, anywhere."""

    def draw(self, shape: tuple[int, int], density: float, generator: torch.Generator) -> Tensor:
        """See ``MaskStructure``."""
        size = shape[0] * shape[1]
        # one order for all densities, whose first entries stay: so masks are nested (decision 4)
        order = torch.randperm(size, generator=generator)
        mask = torch.zeros(size, dtype=torch.bool)
        mask[order[: _kept(density, size)]] = True
        return mask.view(shape)

    def dead_outputs(self, shape: tuple[int, int], density: float) -> float:
        """See ``MaskStructure``."""
        rows, columns = shape
        size, kept = rows * columns, self.nonzero(shape, density)
        if size - columns < kept:
            return 0.0
        # hypergeometric: all that is kept lies in other rows, C(size - columns, kept) / C(size, kept)
        log = math.lgamma(size - columns + 1) - math.lgamma(size - columns - kept + 1)
        log -= math.lgamma(size + 1) - math.lgamma(size - kept + 1)
        # in logarithms up to here: factorials of so many weights are beyond every float
        return rows * math.exp(log)


class FixedFanInMask(MaskStructure):
    """Keeps exactly round(density * fan_in) entries in every row, so that no output is left without inputs."""

    def draw(self, shape: tuple[int, int], density: float, generator: torch.Generator) -> Tensor:
        """See ``MaskStructure``."""
        order = torch.rand(shape, generator=generator).argsort(dim=1)
        mask = torch.zeros(shape, dtype=torch.bool)
        return mask.scatter_(1, order[:, : _kept(density, shape[1])], True)

    def nonzero(self, shape: tuple[int, int], density: float) -> int:
        """See ``MaskStructure``."""
        return shape[0] * _kept(density, shape[1])


class BernoulliMask(MaskStructure):
    """Keeps each entry with probability ``density`` (SuPar, arXiv 2405.15743, section 3)."""

    counted = False

    def draw(self, shape: tuple[int, int], density: float, generator: torch.Generator) -> Tensor:
        """See ``MaskStructure``."""
        # the same numbers for all densities, so that masks are nested (decision 4)
        return torch.rand(shape, generator=generator) < density

    def dead_outputs(self, shape: tuple[int, int], density: float) -> float:
        """See ``MaskStructure``."""
        rows, columns = shape
        return float(rows * (1 - density) ** columns)


_STRUCTURES: dict[str, MaskStructure] = {
    MaskKind.RANDOM: RandomMask(),
    MaskKind.FIXED_FAN_IN: FixedFanInMask(),
    MaskKind.BERNOULLI: BernoulliMask(),
}


def register_mask(name: str, structure: MaskStructure) -> None:
    """Make a structure of one's own usable by name, as ``sparsity.mask=NAME`` and in specifications.

    Raises:
        ValueError: there is another one of that name.
    """
    if type(_STRUCTURES.setdefault(name, structure)) is not type(structure):
        raise ValueError(f"there is another mask structure {name!r} already")
    MASK_NAMES.add(name)


def mask_structure(name: str) -> MaskStructure:
    """The structure of that name.

    Raises:
        InputError: none has that name.
    """
    if name not in _STRUCTURES:
        raise InputError("sparsity.mask", name, f"is not one of {', '.join(_STRUCTURES)}")
    return _STRUCTURES[name]


def draw_mask(kind: str, shape: tuple[int, int], density: float, generator: torch.Generator) -> Tensor:
    """Draw a mask.

    Args:
        kind: The name of a structure.
        shape: The shape (fan_out, fan_in) of the weight.
        density: The part rho of the weights that exists, in (0, 1].
        generator: The source of randomness, on the CPU, so that every device gets the same mask.

    Returns:
        A boolean tensor of ``shape``, True where a weight exists.

    Raises:
        InputError: no weight would be left.
    """
    if density == 1:
        return torch.ones(shape, dtype=torch.bool)
    mask = mask_structure(kind).draw(shape, density, generator)
    if not mask.any():
        raise _nothing_left(density, mask.numel())
    return mask


def nominal_nonzero(kind: str, shape: tuple[int, int], density: float) -> int:
    """Entries a mask keeps (or is expected to keep, if it is not ``counted``), without drawing it."""
    return shape[0] * shape[1] if density == 1 else mask_structure(kind).nonzero(shape, density)


def expected_dead_outputs(kind: str, shape: tuple[int, int], density: float) -> float:
    """Mean number of outputs (rows) that a drawn mask leaves without a single weight: they compute nothing."""
    return 0.0 if density == 1 else mask_structure(kind).dead_outputs(shape, density)


def is_counted(kind: str, density: float) -> bool:
    """Whether the number of weights of a mask is known before it is drawn."""
    return density == 1 or mask_structure(kind).counted
