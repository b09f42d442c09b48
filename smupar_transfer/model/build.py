"""From a run specification to a network with its masks and initial weights."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from smupar_transfer.model.gpt import GPT, Attention, FeedForward
from smupar_transfer.model.mlp import MLP
from smupar_transfer.model.multipliers import multipliers
from smupar_transfer.model.plan import ParameterPlan, plan_parameters
from smupar_transfer.model.roles import role_table
from smupar_transfer.records import GPTSpec, RunSpec
from smupar_transfer.sparsity import AUTO, SparseLinear, named_generator, native_problem

Network = GPT | MLP


def construct(spec: RunSpec, backend: str = "masked") -> Network:
    """The network's modules, without masks or values."""
    constants = multipliers(spec)
    if isinstance(spec.model, GPTSpec):
        return GPT(spec.model, spec.sparsity, constants, backend)
    return MLP(spec.model, spec.sparsity, constants, backend)


def outline(spec: RunSpec) -> Network:
    """The network on the meta device: shapes, roles and nominal densities without any memory."""
    with torch.device("meta"):
        return construct(spec)


def product_type(spec: RunSpec) -> torch.dtype:
    """What products of a run are computed in."""
    chosen: torch.dtype = getattr(torch, spec.precision)
    return chosen


def build(spec: RunSpec, backend: str = "masked", device: str = "cpu") -> tuple[Network, tuple[ParameterPlan, ...]]:
    """Construct a network, draw its masks, plan its parameters and initialise them, on the CPU.

    Masks and weights come from one generator per (seed, parameter name): runs that differ in sparsity start from the
    same weights up to their scale, and a new layer leaves the others as they were. Under ``auto``, sparse layers are
    laid out for the backend that is fastest on ``device``.
    """
    network = construct(spec, backend)
    native = backend in (AUTO, "native") and native_problem() is None
    for name, module in network.named_modules():
        if isinstance(module, Attention | FeedForward):
            module.native = native
        if isinstance(module, SparseLinear):
            module.choose_backend(spec.budget.tokens_per_step, device, product_type(spec))
            module.draw_mask(named_generator(spec.seed, "mask", f"{name}.weight"))
    plan = plan_parameters(network, spec)
    initialise(network, plan, spec.seed)
    return network, plan


@torch.no_grad()
def initialise(network: nn.Module, plan: Iterable[ParameterPlan], seed: int) -> None:
    """Give every parameter its initial values: normal with the planned standard deviation, or its constant."""
    claims = role_table(network)
    for row in plan:
        constant = claims[row.name].constant
        owner_name, _, leaf = row.name.rpartition(".")
        owner = network.get_submodule(owner_name)
        if constant is not None:
            getattr(owner, leaf).fill_(constant)
            continue
        generator = named_generator(seed, "weight", row.name)
        values = torch.randn(row.shape, generator=generator) * row.init_std
        if isinstance(owner, SparseLinear):
            owner.set_weight(values)
        else:
            getattr(owner, leaf).copy_(values)
