"""The coordinate check on anybody's model: sizes at every hidden matrix over the first steps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from smupar_transfer.theory import InputError, Role
from smupar_transfer.training.parameter_probes import ParameterProbe, parameter_probes
from smupar_transfer.training.sizes import ratio, rms
from smupar_transfer.transfer import Plan

Loss = Callable[[nn.Module, Any], Tensor]
"""From a model and a batch to a loss without dimensions."""


@dataclass
class ModuleProbe:
    """Watches one layer y = W x of any type through hooks.

    Attributes:
        module: The layer.
        leaf: The name of its weight.
        inputs: What went in last.
        density: The density of the weight.
        weight: The weight before the step in progress.
        output: The value of rms(W x) at each time.
        activation: The value of rms(W x) / rms(x) at each time.
        gradient: The value of rms(W^T g) / rms(g) at each time.
        update: The value of rms(dW x) / rms(x) at each step.
    """

    module: nn.Module
    leaf: str
    inputs: Tensor = field(default_factory=lambda: torch.empty(0))
    density: float = 1.0
    weight: Tensor = field(default_factory=lambda: torch.empty(0))
    output: list[float] = field(default_factory=list)
    activation: list[float] = field(default_factory=list)
    gradient: list[float] = field(default_factory=list)
    update: list[float] = field(default_factory=list)

    def on_forward(self, _module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        """Measure W x, without the bias, and W^T g when the gradient of the output comes."""
        self.inputs = inputs[0].detach()
        product = self._product(self._weight.detach())
        self.output.append(rms(product))
        self.activation.append(ratio(rms(product), rms(self.inputs)))
        output.register_hook(self._on_gradient)  # type: ignore[no-untyped-call]

    def _on_gradient(self, gradient: Tensor) -> None:
        """Measure W^T g, also where the input needs no gradient: a hook of modules would not be called there."""
        # torch calls hooks of a backward pass without gradients
        with torch.enable_grad():
            inputs = self.inputs.requires_grad_()
            # forward itself: calling the module would call the hooks again
            (back,) = torch.autograd.grad(self.module.forward(inputs), inputs, gradient)
        self.inputs = inputs.detach()
        self.gradient.append(ratio(rms(back), rms(gradient)))

    def before_step(self) -> None:
        """Keep the weight."""
        self.weight = self._weight.detach().clone()

    def after_step(self) -> None:
        """Measure dW x on the inputs that dW was made from."""
        product = self._product(self._weight.detach() - self.weight)
        self.update.append(ratio(rms(product), rms(self.inputs)))

    @property
    def _weight(self) -> nn.Parameter:
        return self.module.get_parameter(self.leaf)

    @torch.no_grad()
    def _product(self, weight: Tensor) -> Tensor:
        """What the layer makes of its last inputs with another weight and no bias; hooks are not called."""
        bias = self.module._parameters.get("bias")
        kept = self._weight.data
        kept_bias = None if bias is None else bias.data
        # the layer itself computes, as it may be of any type; .data changes what it reads behind autograd's back
        try:
            self._weight.data = weight
            if bias is not None:
                bias.data = torch.zeros_like(bias)
            product: Tensor = self.module.forward(self.inputs)
            return product
        finally:
            self._weight.data = kept
            if bias is not None and kept_bias is not None:
                bias.data = kept_bias


def measure_module(model: nn.Module, plan: Plan, batch: Any, loss: Loss, steps: int) -> Mapping[str, AnyProbe]:
    """Take a few steps on one batch and measure before, between and after them.

    Args:
        model: A model that the plan was applied to.
        plan: The plan, with a base learning rate.
        batch: The same for every step.
        loss: What is trained on.
        steps: The number of optimizer steps.

    Returns:
        Path to probe, of every hidden layer that computes y = W x once in a forward pass, and name to probe of every
        hidden parameter besides that products of the pass were seen with, as experts have them.

    Raises:
        InputError: there is no such layer, or the loss is not finite.
    """
    optimizer = torch.optim.AdamW(plan.groups(model), betas=(plan.optimizer.beta1, plan.optimizer.beta2))
    with module_probes(model, plan.rows) as probes:
        for step in range(steps + 1):
            value = loss(model, batch)
            _require_finite(value, step)
            optimizer.zero_grad()
            value.backward()  # type: ignore[no-untyped-call]
            once = computing_once(probes, step + 1)
            # only here: sizes after the last step come of one more pass, forwards and backwards
            if step == steps:
                return once
            for probe in once.values():
                probe.before_step()
            optimizer.step()
            for probe in once.values():
                probe.after_step()
    raise AssertionError("the last step returns")


def _require_finite(value: object, step: int) -> None:
    if not isinstance(value, Tensor) or value.numel() != 1:
        shape = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        raise InputError("loss", shape, "is no single number", "give loss=(function of model and batch)")
    if not torch.isfinite(value):
        raise InputError(
            "loss", float(value.detach()), f"is not finite before step {step}", "use a smaller learning rate"
        )


AnyProbe = ModuleProbe | ParameterProbe


def computing_once(probes: Mapping[str, AnyProbe], passes: int) -> dict[str, AnyProbe]:
    """What was measured once in each of so many forward passes; a step has one size.

    Others are left out: torch's attention computes with its weights without calling a layer, in one function.

    Raises:
        InputError: there is none.
    """
    once = {path: probe for path, probe in probes.items() if len(probe.output) == passes}
    if not once:
        raise InputError("model", ", ".join(probes), "computes in no hidden layer once in a pass")
    return once


class Row(Protocol):
    """What is read of a planned parameter."""

    @property
    def name(self) -> str:
        """The name."""

    @property
    def role(self) -> Role:
        """The role."""


@contextmanager
def module_probes(model: nn.Module, rows: Iterable[Row]) -> Iterator[dict[str, Any]]:
    """Watch every module that owns a planned hidden weight, by path, and other hidden parameters, by name."""
    names = [row.name for row in rows if row.role is Role.HIDDEN]
    hidden = [name.rpartition(".")[::2] for name in names]
    probes = {path: ModuleProbe(model.get_submodule(path), leaf) for path, leaf in hidden if leaf == "weight"}
    parameters = dict(model.named_parameters())
    others = {name: parameters[name] for name in names if name.rpartition(".")[2] != "weight" and name in parameters}
    handles = [probe.module.register_forward_hook(probe.on_forward) for probe in probes.values()]
    try:
        with parameter_probes(model, others) as further:
            yield {**probes, **further}
    finally:
        for handle in handles:
            handle.remove()
