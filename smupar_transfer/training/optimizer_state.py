"""Whether the state of an optimizer in a checkpoint is what the run's own optimizer would have written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from smupar_transfer.records import ModuleSpec, RunSpec
from smupar_transfer.sparsity import LAYOUTS, SparseLinear
from smupar_transfer.theory import ADAMW, SGD
from smupar_transfer.training.distributed.sharing import as_parameter
from smupar_transfer.training.optimizer import DECAY
from smupar_transfer.transfer import PEAK

PLANNED = (PEAK, "weight_decay", DECAY, "eps", "betas", "momentum")
"""Entries of a parameter group that the run's specification decides, and a checkpoint must not change."""
HOW = ("fused", "foreach")
"""Entries that say how a step is computed, which is another way for shards than for whole tensors."""
STEP = "step"


def fitted_state(
    state: dict[str, Any], network: nn.Module, optimizer: torch.optim.Optimizer, spec: RunSpec, step: int
) -> dict[str, Any]:
    """An optimizer's state, its moments laid out as the weights are, whichever backend they were saved under.

    Args:
        state: What ``optimizer.state_dict()`` was when it was saved.
        network: The network, with the masks that it had then.
        optimizer: The optimizer that shall take the state.
        spec: The run.
        step: The number of steps after which it was saved.

    Raises:
        ValueError: something is missing, has no layout of its weights, or was planned otherwise.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    layers = {id(module.weight): module for module in network.modules() if isinstance(module, SparseLinear)}
    expected = _Expected.of(spec, step)
    # a model of a person's own may have parameters that no step has reached yet
    if step and expected.names and not isinstance(spec.model, ModuleSpec):
        for index in range(len(parameters)):
            if index not in state["state"]:
                raise ValueError(f"parameter {index} is missing in the optimizer's state")
    moments = {
        index: expected.row(row, parameters[index], layers.get(id(parameters[index])))
        for index, row in state["state"].items()
    }
    groups = _groups(state, optimizer)
    for group, planned in zip(groups, optimizer.param_groups, strict=True):
        owners = {place: layers.get(id(parameter)) for place, parameter in enumerate(planned["params"])}
        # what the next step compares with the masks before it writes (decision 7)
        group[LAYOUTS] = {place: layer.layout for place, layer in owners.items() if layer is not None and moments}
    return {**state, "state": moments, "param_groups": groups}


def _groups(state: dict[str, Any], optimizer: torch.optim.Optimizer) -> list[dict[str, Any]]:
    """Settings of the optimizer's groups, without the layouts that the moments had."""
    own = optimizer.state_dict()["param_groups"]
    groups = [{key: value for key, value in group.items() if key != LAYOUTS} for group in state["param_groups"]]
    for group, planned in zip(groups, own, strict=True):
        if group["params"] != planned["params"]:
            raise ValueError("the optimizer's state groups parameters in another way")
        for name in PLANNED:
            if name in group and name in planned and group[name] != planned[name]:
                raise ValueError(f"the optimizer's state has {name} {group[name]}, the run {planned[name]}")
        group.update({name: planned[name] for name in HOW if name in planned})
    return groups


@dataclass(frozen=True)
class _Expected:
    """What is known of the state of one parameter.

    Attributes:
        names: The names of its entries; empty where nothing is known, as of an optimizer of a person's own.
        moments: Those of them that have one number per weight.
        step: The number of steps that were taken.
        every_step: Whether every parameter took part in every step.
    """

    names: frozenset[str]
    moments: frozenset[str]
    step: int
    every_step: bool

    @classmethod
    def of(cls, spec: RunSpec, step: int) -> _Expected:
        """What a run writes."""
        moments: frozenset[str] = frozenset()
        if spec.optimizer.name == ADAMW.name:
            moments = frozenset({"exp_avg", "exp_avg_sq"})
        elif spec.optimizer.name == SGD.name and spec.optimizer.momentum:
            moments = frozenset({"momentum_buffer"})
        names = moments | {STEP} if spec.optimizer.name == ADAMW.name else moments
        return cls(names, moments, step, not isinstance(spec.model, ModuleSpec))

    def row(self, row: dict[str, Any], parameter: Tensor, layer: SparseLinear | None) -> dict[str, Any]:
        """The state of one parameter, in the layout of its layer if that is sparse."""
        missing = sorted(self.names - set(row))
        if missing:
            raise ValueError(f"{missing[0]} is missing in the optimizer's state")
        if STEP in self.names:
            taken = float(row[STEP])
            if not 0 < taken <= self.step or (self.every_step and taken != self.step):
                raise ValueError(f"the optimizer's state is of step {taken:g}, the run of step {self.step}")
        return {name: self._entry(name, value, parameter, layer) for name, value in row.items()}

    def _entry(self, name: str, value: Any, parameter: Tensor, layer: SparseLinear | None) -> Any:
        """One entry; a kernel that trusted a wrong shape would write past its end."""
        # an optimizer of a person's own may keep a number a weight under any name: every tensor has to fit
        if name not in self.moments and (not isinstance(value, Tensor) or value.ndim == 0):
            return value
        moment = value if layer is None else layer.in_layout(value)
        if moment.shape != parameter.shape:
            raise ValueError(f"moments of shape {tuple(moment.shape)} for weights of shape {tuple(parameter.shape)}")
        if name in self.moments and bool(moment.isnan().any()):
            raise ValueError(f"{name} has entries that are no numbers")
        return as_parameter(moment, parameter)
