"""A classifier of feature vectors."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from smupar_transfer.records import MLPSpec, SparsitySpec
from smupar_transfer.sparsity import SparseLinear
from smupar_transfer.transfer import InputLinear, Multipliers, ReadoutLinear


class MLP(nn.Module):
    """Input layer, sparse hidden layers with ReLU, readout.

    Args:
        spec: shape of the network.
        sparsity: of the hidden layers; the two ends are dense.
        multipliers: constants of the forward pass.
        backend: compute of sparse layers.
    """

    def __init__(
        self, spec: MLPSpec, sparsity: SparsitySpec, multipliers: Multipliers, backend: str = "masked"
    ) -> None:
        super().__init__()
        self.spec, self.multipliers = spec, multipliers
        self.input = InputLinear(spec.features, spec.width, bias=spec.bias)
        self.hidden = nn.ModuleList(
            SparseLinear(
                spec.width,
                spec.width,
                bias=spec.bias,
                density=sparsity.density,
                mask_kind=sparsity.mask,
                backend=backend,
            )
            for _ in range(spec.depth)
        )
        self.readout = ReadoutLinear(spec.width, spec.classes, bias=spec.bias)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits (batch, classes) of feature vectors (batch, features)."""
        x = F.relu(self.input(inputs) * self.multipliers.input)
        for layer in self.hidden:
            x = F.relu(layer(x))
        # As in the mup package, the multiplier leaves the bias alone: it acts on the features.
        return self.readout(x * self.multipliers.output)  # type: ignore[no-any-return]
