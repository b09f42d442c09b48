"""From a run specification to a network with its masks and initial weights."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import assert_never

import torch
from torch import nn

from smupar_transfer.kernels import native_problem
from smupar_transfer.model.gpt import GPT, Attention, FeedForward
from smupar_transfer.model.mlp import MLP
from smupar_transfer.model.own_networks import build_own, outline_own, plan_own, rows_of
from smupar_transfer.records import GPTSpec, MLPSpec, ModelSpec, ModuleSpec, RunSpec, SparsitySpec
from smupar_transfer.sparsity import AUTO, SparseLinear, named_generator
from smupar_transfer.transfer import (
    Multipliers,
    ParameterPlan,
    ParameterShape,
    Rules,
    compare_shapes,
    initialise,
    plan_parameters,
)

Network = nn.Module
"""A GPT, an MLP, or a model of a person's own."""


def rules_of(spec: RunSpec) -> Rules:
    """What the parameters of a run are scaled by."""
    return Rules(spec.table, spec.hparams, spec.optimizer)


def multipliers_of(spec: RunSpec) -> Multipliers:
    """The constants of a run's forward pass."""
    head_dim = spec.model.head_dim if isinstance(spec.model, GPTSpec) else None
    return rules_of(spec).multipliers(spec.width_factor, head_dim)


def construct(spec: RunSpec, backend: str = "masked") -> Network:
    """The network's modules, without masks or values."""
    return _modules(spec.model, spec.sparsity, multipliers_of(spec), backend)


def _modules(model: ModelSpec, sparsity: SparsitySpec, constants: Multipliers, backend: str) -> Network:
    match model:
        case GPTSpec():
            return GPT(model, sparsity, constants, backend)
        case MLPSpec():
            return MLP(model, sparsity, constants, backend)
        case ModuleSpec():
            raise TypeError("a model of a person's own is made by its task: see own_networks")
    assert_never(model)


def outline(spec: RunSpec) -> Network:
    """The network on the meta device: shapes, roles and nominal densities without any memory."""
    if isinstance(spec.model, ModuleSpec):
        return outline_own(spec, spec.model)
    with torch.device("meta"):
        return construct(spec)


@lru_cache(maxsize=64)
def _shared(model: ModelSpec) -> Network:
    """A dense network on the meta device: shapes that others are compared with, never changed."""
    with torch.device("meta"):
        return _modules(model, SparsitySpec(), Multipliers(), "masked")


def proxy_of(spec: RunSpec) -> Network:
    """The network of a run at the width of its proxy, on the meta device; shared, so not to be changed."""
    return _shared(spec.base_model)


@lru_cache(maxsize=256)
def _shapes(model: ModelSpec, base: ModelSpec) -> tuple[ParameterShape, ...]:
    return compare_shapes(_shared(model), _shared(base))


@lru_cache(maxsize=64)
def _own_shapes(spec: RunSpec) -> tuple[ParameterShape, ...]:
    return plan_of(outline(spec), spec)


def shapes_of(spec: RunSpec) -> tuple[ParameterShape, ...]:
    """Every parameter of a run's network beside that of its proxy; quick, and for runs of one shape made once."""
    if isinstance(spec.model, ModuleSpec):
        # shapes depend on neither: runs that differ in them alone share one
        return _own_shapes(replace(spec, seed=0, sparsity=SparsitySpec()))
    return _shapes(spec.model, spec.base_model)


def plan_of(network: Network, spec: RunSpec) -> tuple[ParameterPlan, ...]:
    """What every parameter of a run's network is trained with (see ``transfer.plan_parameters``)."""
    if isinstance(spec.model, ModuleSpec):
        return rows_of(plan_own(network, spec, spec.model))
    return plan_parameters(network, proxy_of(spec), rules_of(spec), spec.seed)


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
    if isinstance(spec.model, ModuleSpec):
        return build_own(spec, spec.model, backend)
    network = construct(spec, backend)
    # the kernels of attention and GELU as well, which no backend of a layer decides
    native = backend in (AUTO, "native") and native_problem() is None
    for name, module in network.named_modules():
        if isinstance(module, Attention | FeedForward):
            module.native = native
        if isinstance(module, SparseLinear):
            module.choose_backend(spec.budget.tokens_per_step, device, product_type(spec))
            module.draw_mask(named_generator(spec.seed, "mask", f"{name}.weight"))
    plan = plan_of(network, spec)
    initialise(network, plan, spec.seed)
    return network, plan
