"""By how much a step changes weights, beside their size: the number by which learning rates can be compared."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

KEY = "update_ratio"


class UpdateRatios:
    """RMS of a step's change over RMS of the weights before it, for all parameters of a role together.

    Weights that a mask has taken away count in neither.

    Args:
        network: whose weights are compared.
        roles: role of every parameter, by its name.
    """

    def __init__(self, network: nn.Module, roles: Mapping[str, str]) -> None:
        self._network, self._roles = network, roles
        self._kept: dict[str, Tensor] = {}

    @torch.no_grad()
    def keep(self) -> None:
        """Copy the weights as they are before a step."""
        self._kept = {name: weight.detach().clone() for name, weight in self._network.named_parameters()}

    @torch.no_grad()
    def since_kept(self) -> dict[str, float]:
        """Ratios under ``update_ratio/ROLE``, and an end to the copy.

        A role whose weights were all zero, or whose tensors have changed their shape, has none.
        """
        sums: dict[str, tuple[float, float]] = {}
        for name, before in self._kept.items():
            now, role = self._network.get_parameter(name), self._roles[name]
            change, size = sums.get(role, (0.0, 0.0))
            fits = now.shape == before.shape
            # a mask that changed has laid the weights out anew: NaN leaves the whole role without a ratio
            change += _squares(now - before) if fits else math.nan
            sums[role] = change, size + _squares(before)
        self._kept = {}
        ratios = {role: math.sqrt(change / size) for role, (change, size) in sums.items() if size > 0}
        return {f"{KEY}/{role}": ratio for role, ratio in ratios.items() if math.isfinite(ratio)}


def _squares(values: Tensor) -> float:
    """Sum of squares; the counts of both means are the same and cancel."""
    return float(torch.linalg.vector_norm(values, dtype=torch.float64)) ** 2
