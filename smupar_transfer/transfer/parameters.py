"""The absolute numbers every parameter is initialised and trained with: a module against its proxy, under rules."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from smupar_transfer.sparsity import SparseLinear, draw_mask, is_counted, named_generator
from smupar_transfer.theory import Role, ScaleFactors
from smupar_transfer.transfer.evidence import Evidence
from smupar_transfer.transfer.roles import claim_parameters
from smupar_transfer.transfer.rules import NUMBERS, RoleValues, Rules


@dataclass(frozen=True)
class ParameterShape:
    """One parameter of a network beside the same one of the proxy, before any rule is applied.

    Attributes:
        name: The name, as in ``named_parameters``.
        shape: The shape of the dense tensor, whatever the backend keeps of it.
        role: The row of the parametrization that applies.
        fan_in: The number of inputs that an output sums over, zeros included; 1 for vectors.
        width: The m_d of this very tensor: the dimension that its role scales with, over that of the proxy.
        aspect: For hidden weights, the growth of outputs over that of inputs; 1 for others.
    """

    name: str
    shape: tuple[int, ...]
    role: Role
    fan_in: int
    width: float
    aspect: float


@dataclass(frozen=True)
class ParameterPlan(ParameterShape):
    """One parameter of one network, with the numbers that it is trained with.

    Attributes:
        density: The density of its mask; 1 for what has none.
        init_std: The standard deviation of initial values; 0 for vectors, which start from a constant.
        learning_rate: The peak learning rate.
        weight_decay: The weight decay, as torch's optimizers take it.
        epsilon: Adam's epsilon, as torch takes it.
        forward_multiplier: The constant that the layer's output is multiplied with.
    """

    density: float
    init_std: float
    learning_rate: float
    weight_decay: float
    epsilon: float
    forward_multiplier: float

    @property
    def values(self) -> RoleValues:
        """The numbers alone."""
        named = {name: getattr(self, name) for name in NUMBERS}
        return RoleValues(m_d=self.width, m_rho=self.density, **named)

    @classmethod
    def of(cls, parameter: ParameterShape, values: RoleValues) -> ParameterPlan:
        """The row of a parameter that is trained with ``values``, which were scaled by its own width."""
        numbers = {name: getattr(values, name) for name in NUMBERS}
        return cls(**vars(parameter), density=values.m_rho, **numbers)


def compare_shapes(network: nn.Module, proxy: nn.Module) -> tuple[ParameterShape, ...]:
    """Every parameter of a network against the one of the same name of its proxy, in the network's order.

    Both may lie on the meta device. The width factor is that of the parameter itself: the feed-forward layer's fan-in
    need not grow as the residual stream does, and a readout's bias does not grow at all.

    Raises:
        InputError: the proxy has other parameters.
        OpenRolesError: a parameter has no role.
    """
    claims = claim_parameters(Evidence(network, proxy))
    return tuple(
        ParameterShape(claim.name, claim.shape, claim.role, claim.fan_in, claim.width, claim.aspect) for claim in claims
    )


def plan_parameters(network: nn.Module, proxy: nn.Module, rules: Rules, seed: int = 0) -> tuple[ParameterPlan, ...]:
    """Plan a network whose masks are drawn (or, on the meta device, would be).

    Every parameter is scaled by its own factors: the fan-in of that tensor over the proxy's, and its own density as
    counted on its mask.

    Args:
        network: to plan; nothing of it is changed.
        proxy: the same architecture at the width at which ``rules`` have their base values.
        rules: what to scale by.
        seed: of masks, for masks on the meta device whose number of weights depends on how they are drawn.

    Raises:
        InputError: the proxy has other parameters.
        OpenRolesError: a parameter has no role.
    """
    rows = []
    for parameter in compare_shapes(network, proxy):
        factors = ScaleFactors(parameter.width, _density(network, parameter, seed), aspect=parameter.aspect)
        rows.append(ParameterPlan.of(parameter, rules.values(parameter.role, factors)))
    return tuple(rows)


def _density(network: nn.Module, parameter: ParameterShape, seed: int) -> float:
    """Rho of a parameter: counted on its mask or, on the meta device, as the mask of that seed will come out.

    A mask has to be drawn for that only where its structure does not fix its count, as Bernoulli masks do not.
    """
    layer = network.get_submodule(parameter.name.rpartition(".")[0])
    if not (isinstance(layer, SparseLinear) and parameter.role.is_ever_sparse):
        return 1.0
    if not layer.mask_bits.is_meta or is_counted(layer.mask_kind, layer.nominal_density):
        return layer.density
    generator = named_generator(seed, "mask", parameter.name)
    drawn = draw_mask(layer.mask_kind, layer.shape, layer.nominal_density, generator)
    return int(drawn.sum()) / drawn.numel()
