"""Clipping gradients by a norm of all of them together: the plain one, or one that is the same at every scale."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from smupar_transfer.theory import OptimizerSettings, Parametrization, ScaleFactors, gradient_norm
from smupar_transfer.training.distributed.sharing import is_cut
from smupar_transfer.transfer import ParameterPlan


@dataclass(frozen=True)
class GradientNorm:
    """The norm that a clip bounds: sqrt(sum_l (||g_l|| / c_l)**2), where c_l is how that of a parameter l scales.

    Attributes:
        groups: Parameters by their c_l; all of them under 1 for the plain norm.
    """

    groups: dict[float, list[nn.Parameter]]

    @classmethod
    def of(
        cls, network: nn.Module, plan: Iterable[ParameterPlan], table: Parametrization, settings: OptimizerSettings
    ) -> GradientNorm:
        """The norm of the gradients of a network whose parameters are planned."""
        parameters, groups = dict(network.named_parameters()), dict[float, list[nn.Parameter]]()
        for row in plan:
            factors = ScaleFactors(row.width, row.density, aspect=row.aspect)
            groups.setdefault(gradient_norm(table, row.role, factors, settings), []).append(parameters[row.name])
        return cls(groups)

    def measure(self) -> Tensor:
        """The norm now; 0 without gradients."""
        norms = [_total_norm(members) / scale for scale, members in self.groups.items()]
        # a single group's as torch itself has it, to the last bit
        return norms[0] if len(norms) == 1 else torch.linalg.vector_norm(torch.stack(norms))

    def clip_(self, largest: float) -> None:
        """Multiply all gradients with min(1, largest / norm)."""
        members = [parameter for group in self.groups.values() for parameter in group]
        torch.nn.utils.clip_grads_with_norm_(members, largest, self.measure())


def _total_norm(members: Iterable[nn.Parameter]) -> Tensor:
    gradients = [parameter.grad for parameter in members if parameter.grad is not None]
    norm: Any = torch.nn.utils.get_total_norm(gradients)
    # of shards: a sum over processes
    return norm.full_tensor() if is_cut(norm) else norm
