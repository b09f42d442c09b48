"""The absolute numbers every parameter is initialised and trained with."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from smupar_transfer.model.roles import role_table
from smupar_transfer.records import MaskKind, RunSpec
from smupar_transfer.sparsity import SparseLinear, draw_mask, named_generator
from smupar_transfer.theory import Role, ScaleFactors, scale


@dataclass(frozen=True)
class ParameterPlan:
    """One parameter of one network.

    Attributes:
        name: as in ``named_parameters``.
        shape: of the dense tensor, whatever the backend keeps of it.
        role: row of the parametrization.
        fan_in: inputs an output sums over, zeros included; 1 for vectors.
        density: of its mask; 1 for what has none.
        init_std: standard deviation of initial values; 0 for vectors, which start from a constant.
        learning_rate: peak.
        weight_decay: as torch's optimizers take it.
        epsilon: Adam's, as torch takes it.
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
            density = _density(owner, name, spec)
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


def _density(layer: SparseLinear, name: str, spec: RunSpec) -> float:
    """Rho of a layer: counted on its mask or, on the meta device, as the mask of this run's seed will come out.

    Only Bernoulli masks have to be drawn for that; the others keep a count that is known.
    """
    if not (layer.mask_bits.is_meta and layer.mask_kind is MaskKind.BERNOULLI):
        return layer.density
    drawn = draw_mask(layer.mask_kind, layer.shape, layer.nominal_density, named_generator(spec.seed, "mask", name))
    return int(drawn.sum()) / drawn.numel()
