"""The layer side of the C++ kernels."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from smupar_transfer.sparsity.compact import INT32_MAX, CompactLayout
from smupar_transfer.sparsity.csr import CsrBackend
from smupar_transfer.sparsity.native.structure import ColumnBlocks, RowBlocks, backward_blocking, forward_blocking


class NativeBackend(CompactLayout):
    """Compact values, multiplied by the C++ kernels, which must be loaded.

    They compute in float32; another type, and a layer of 2^31 weights or more, is left to ``csr``. Beside the values
    there are about 8 bytes of structure per weight. Results do not depend on the number of threads, to the last bit.

    Args:
        mask: boolean (fan_out, fan_in), on the CPU.
    """

    def __init__(self, mask: Tensor) -> None:
        super().__init__(mask)
        existing = int(mask.sum())
        self._fits = existing <= INT32_MAX
        if not self._fits:
            self._otherwise = CsrBackend(mask)
            return
        density = existing / mask.numel()
        self._forward = RowBlocks.of(mask, forward_blocking(density))
        backward = ColumnBlocks.of(mask, backward_blocking(density))
        self.structure = (
            *(self._forward.index, self._forward.starts, self._forward.blocking.block, self._forward.blocking.tile),
            *(backward.index, backward.starts, backward.positions, backward.blocking.block, backward.blocking.tile),
        )

    def places(self) -> Tensor:
        """See ``CompactLayout``."""
        return self._forward.places(self.shape[1]) if self._fits else self._otherwise.places()

    @functools.cached_property
    def _otherwise(self) -> CsrBackend:
        mask = torch.zeros(self.shape, dtype=torch.bool)
        mask.view(-1)[self.places()] = True
        return CsrBackend(mask)

    def linear(self, inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """See ``Backend``. Computes in the type of the weight, whatever the type of the inputs."""
        if weight.dtype != torch.float32 or not self._fits:
            return self._otherwise.linear(inputs, weight, bias)
        flat = inputs.reshape(-1, self.shape[1]).to(weight.dtype)
        output: Tensor = torch.ops.smupar_native.linear(flat, weight, bias, *self.structure)
        return output.view(*inputs.shape[:-1], self.shape[0])
