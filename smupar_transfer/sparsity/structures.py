"""Masks whose zeros follow a pattern that hardware or kernels can use: N of every M inputs, and whole blocks."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from smupar_transfer.sparsity.masks import MaskStructure, RandomMask
from smupar_transfer.theory import InputError


class NOfMMask(MaskStructure):
    """Keeps ``kept`` of every ``group`` neighbouring inputs of an output, as 2:4 does.

    Args:
        kept: How many weights of a group stay.
        group: How many neighbouring inputs make a group.

    Raises:
        InputError: ``kept`` is not from 1 to ``group``.
    """

    def __init__(self, kept: int, group: int) -> None:
        if not 1 <= kept <= group:
            raise InputError("density", f"{kept}:{group}", "must keep from 1 to all of a group", "as in 2:4")
        self.kept, self.group = kept, group

    @property
    def density(self) -> float:
        """The only density that this structure has."""
        return self.kept / self.group

    def draw(self, shape: tuple[int, int], density: float, generator: torch.Generator) -> Tensor:
        """See ``MaskStructure``; ``density`` is what the structure has anyway."""
        self._check(shape)
        del density
        rows, columns = shape
        order = torch.rand((rows, columns // self.group, self.group), generator=generator).argsort(dim=-1)
        mask = torch.zeros(order.shape, dtype=torch.bool)
        return mask.scatter_(-1, order[..., : self.kept], True).view(shape)

    def nonzero(self, shape: tuple[int, int], density: float) -> int:
        """See ``MaskStructure``."""
        self._check(shape)
        del density
        return shape[0] * shape[1] // self.group * self.kept

    def _check(self, shape: tuple[int, int]) -> None:
        if shape[1] % self.group:
            problem = f"does not divide a fan-in of {shape[1]} into groups of {self.group}"
            raise InputError("density", f"{self.kept}:{self.group}", problem, "use another width or structure")


class BlockMask(MaskStructure):
    """Keeps exactly round(density * blocks) square blocks, anywhere.

    Args:
        side: How many outputs, and inputs, a block spans.

    Raises:
        InputError: ``side`` is less than 1.
    """

    def __init__(self, side: int) -> None:
        if side < 1:
            raise InputError("density", f"block{side}", "must have blocks of at least 1 weight", "as in block16:0.1")
        self.side = side

    def draw(self, shape: tuple[int, int], density: float, generator: torch.Generator) -> Tensor:
        """See ``MaskStructure``."""
        blocks = RandomMask().draw(self._grid(shape), density, generator)
        return blocks.repeat_interleave(self.side, 0).repeat_interleave(self.side, 1)

    def nonzero(self, shape: tuple[int, int], density: float) -> int:
        """See ``MaskStructure``."""
        return RandomMask().nonzero(self._grid(shape), density) * self.side**2

    def dead_outputs(self, shape: tuple[int, int], density: float) -> float:
        """See ``MaskStructure``."""
        return RandomMask().dead_outputs(self._grid(shape), density) * self.side

    def _grid(self, shape: tuple[int, int]) -> tuple[int, int]:
        if shape[0] % self.side or shape[1] % self.side:
            problem = f"does not divide a matrix of {shape[0]} x {shape[1]} into blocks"
            raise InputError("density", f"block{self.side}", problem, "use another width or block")
        return shape[0] // self.side, shape[1] // self.side


def erdos_renyi_kernel(shapes: dict[str, tuple[int, ...]], density: float) -> dict[str, float]:
    """Densities that differ from layer to layer: thin layers keep more (Evci et al., arXiv 1911.11134, section 3).

    A tensor of shape (n_1, ..., n_k) has a density in proportion to (n_1 + ... + n_k) / (n_1 ... n_k), and 1 where that
    would be more, so that all tensors together keep ``density`` of their entries.

    Args:
        shapes: The shape of every tensor that becomes sparse, by name.
        density: The density of all of them together, in (0, 1].

    Returns:
        The density of every tensor, in (0, 1].
    """
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    full: set[str] = set()
    while True:
        rest = shapes.keys() - full
        left = density * sum(sizes.values()) - sum(sizes[name] for name in full)
        scale = left / sum(sum(shapes[name]) for name in rest) if rest else 0.0
        over = {name for name in rest if scale * sum(shapes[name]) > sizes[name]}
        if not over:
            return {name: 1.0 if name in full else scale * sum(shapes[name]) / sizes[name] for name in shapes}
        # at least one more of finitely many: so it ends
        full |= over
