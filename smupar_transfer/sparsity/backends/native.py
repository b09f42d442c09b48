"""The layer side of the C++ kernels."""

from __future__ import annotations

import functools
from dataclasses import astuple

import torch
from torch import Tensor

from smupar_transfer.sparsity.backends.compact_layout import INT32_MAX, CompactLayout, autocast_type, starts_of
from smupar_transfer.sparsity.backends.csr import CsrBackend
from smupar_transfer.sparsity.backends.panels import Panels, backward_blocking, forward_blocking


class NativeBackend(CompactLayout):
    """Compact values, multiplied by the C++ kernels, which must be loaded.

    They compute in float32; another type, and a layer of 2^31 weights or more, is left to ``csr``. Beside the values
    there are about 8 bytes of structure per weight. Results do not depend on the number of threads, to the last bit.

    Args:
        mask: Which weights exist, boolean (fan_out, fan_in), on the CPU.
    """

    def __init__(self, mask: Tensor) -> None:
        super().__init__(mask)
        existing = int(mask.sum())
        self._fits = existing <= INT32_MAX
        if not self._fits:
            self._otherwise = CsrBackend(mask)
            return
        density = existing / mask.numel()
        forward, backward = forward_blocking(density), backward_blocking(density)
        self._rows, columns = Panels.of_rows(mask, forward), Panels.of_columns(mask, backward)
        row_starts = starts_of(mask.sum(1)).to(torch.int32)
        self.structure = (
            *(self._rows.index, self._rows.starts, row_starts, *astuple(forward)),
            *(columns.index, columns.starts, columns.positions, *astuple(backward)),
        )

    def flat_indices(self) -> Tensor:
        """See ``CompactLayout``."""
        return self._rows.flat_indices((self.shape[0], self.shape[1])) if self._fits else self._otherwise.flat_indices()

    @functools.cached_property
    def _otherwise(self) -> CsrBackend:
        mask = torch.zeros(self.shape, dtype=torch.bool)
        mask.view(-1)[self.flat_indices()] = True
        return CsrBackend(mask)

    def linear(self, inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """See ``Backend``. Computes in the type of the weight, whatever the type of the inputs.

        Also under autocast: tiles of bfloat16 were no faster, since those of float32 fit the first cache already.
        Inputs that are bfloat16 there are read as they are, and outputs are then written so; others are not made so,
        which would take longer than it saves.
        """
        if weight.dtype != torch.float32 or not self._fits:
            return self._otherwise.linear(inputs, weight, bias)
        flat = inputs.reshape(-1, self.shape[1])
        if not (flat.dtype == torch.bfloat16 and autocast_type(inputs) == torch.bfloat16):
            flat = flat.to(weight.dtype)
        output: Tensor = torch.ops.smupar_native.linear(flat, weight, bias, *self.structure)
        return output.view(*inputs.shape[:-1], self.shape[0])
