"""The absolute numbers every parameter is initialised and trained with."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from smupar_transfer.model.roles import role_table
from smupar_transfer.records import RunSpec
from smupar_transfer.sparsity import SparseLinear
from smupar_transfer.theory import Role, ScaleFactors, scale


@dataclass(frozen=True)
class ParameterPlan:
    """One parameter of one network.

    Attributes:
        name, shape: as in ``named_parameters``; the shape is that of the dense tensor, whatever the backend.
        role: row of the parametrization. fan_in: inputs an output sums over, zeros included; 1 for vectors.
        density: actual, measured on the mask. init_std: 0 for vectors, which start from a constant.
        learning_rate: peak. weight_decay, epsilon: as torch's optimizers take them.
        forward_multiplier: on the layer's output.
    """

    name: str
    shape: tuple[int, ...]
    role: Role
    fan_in: int
    density: float
    init_std: float
    learning_rate: float
    weight_decay: float
    epsilon: float
    forward_multiplier: float


def plan_parameters(network: nn.Module, spec: RunSpec) -> tuple[ParameterPlan, ...]:
    """Plan a network whose masks are drawn (or, on the meta device, would be).

    Every sparse layer is scaled by its own density: m_rho is counted on its mask.

    Raises:
        UnclaimedParameterError: a parameter has no role.
    """
    rows = []
    for name, claim in role_table(network).items():
        owner = network.get_submodule(name.rpartition(".")[0])
        if isinstance(owner, SparseLinear) and claim.role is Role.HIDDEN:
            shape: tuple[int, ...] = owner.shape
            density = owner.density
        else:
            shape, density = tuple(network.get_parameter(name).shape), 1.0
        factors = ScaleFactors(width=spec.width_factor if claim.grows else 1.0, density=density)
        values = scale(spec.table, claim.role, factors, spec.hparams, spec.optimizer)
        rows.append(
            ParameterPlan(
                name=name,
                shape=shape,
                role=claim.role,
                fan_in=claim.fan_in,
                density=density,
                init_std=values.init_std,
                learning_rate=values.learning_rate,
                weight_decay=values.weight_decay,
                epsilon=values.epsilon,
                forward_multiplier=values.forward_multiplier,
            )
        )
    return tuple(rows)
