"""The coordinate check's measurement: sizes at every sparse layer over the first steps of a run.

Under ``precision=bfloat16`` outputs and gradients are measured as autocast computes them, some in bfloat16 and some in
float32, as the backend and the operation have it. dW x is computed here, from float32 weights, in float32.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smupar_transfer.records import CoordinateRecord, LayerSizes, ModuleSpec, RunSpec
from smupar_transfer.sparsity import SparseLinear
from smupar_transfer.theory import InputError
from smupar_transfer.training.callbacks import Silent
from smupar_transfer.training.data.load import Data
from smupar_transfer.training.loop import Session, compute_gradients, update_weights
from smupar_transfer.training.module_coordinates import AnyProbe, ModuleProbe, computing_once, module_probes
from smupar_transfer.training.parameter_probes import ParameterProbe
from smupar_transfer.training.runs import Execution, describe_environment, open_session
from smupar_transfer.training.sizes import ratio, rms
from smupar_transfer.training.trackers import Tracking, follow
from smupar_transfer.training.trackers.following import Followed

DIGITS = 6  # significant ones, in records


@dataclass
class Probe:
    """Watches one layer through hooks. Sizes are relative to what went in, as ``theory.Coordinate`` defines them."""

    layer: SparseLinear
    inputs: Tensor = field(default_factory=lambda: torch.empty(0))
    weight: Tensor = field(default_factory=lambda: torch.empty(0))
    output: list[float] = field(default_factory=list)
    activation: list[float] = field(default_factory=list)
    gradient: list[float] = field(default_factory=list)
    update: list[float] = field(default_factory=list)

    def on_forward(self, layer: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        """Measure W x, without the bias."""
        del layer
        self.inputs = inputs[0].detach()
        product = output.detach() if self.layer.bias is None else output.detach() - self.layer.bias.detach()
        self.output.append(rms(product))
        self.activation.append(ratio(rms(product), rms(self.inputs)))

    def on_backward(self, layer: nn.Module, to_inputs: tuple[Tensor | None], of_output: tuple[Tensor]) -> None:
        """Measure W^T g: the part of the input's gradient that came through this layer, if the input has one."""
        del layer
        if to_inputs[0] is not None:
            self.gradient.append(ratio(rms(to_inputs[0]), rms(of_output[0])))

    def before_step(self) -> None:
        """Keep the weight."""
        self.weight = self.layer.dense_weight().detach().clone()

    def after_step(self) -> None:
        """Measure dW x on the inputs that dW was made from."""
        change = self.layer.dense_weight().detach() - self.weight
        # in the weights' own float32: under autocast the inputs may come in bfloat16
        self.update.append(ratio(rms(F.linear(self.inputs.to(change), change)), rms(self.inputs)))


def measure(
    spec: RunSpec, data: Data, execution: Execution | None = None, tracking: Tracking | None = None
) -> CoordinateRecord:
    """Take the steps of ``spec.budget`` and measure before, between and after them.

    Batches, learning rates and clipping are those of training. Works under every backend and for every network with
    ``SparseLinear`` layers, each of which computes once in a forward pass.

    Args:
        spec: what to measure; its data must be ``data``.
        data: loaded once by the caller, shared by runs.
        execution: where and how; one CPU thread if left out.
        tracking: who keeps the curves of the steps; nobody if left out.

    Raises:
        InputError: data do not match the specification, or a layer computes more than once in a forward pass, or never.
    """
    execution = execution or Execution()
    started = time.perf_counter()
    session, plan = open_session(spec, data, execution)
    # a person's own model has no layers of this package to hook
    own = isinstance(spec.model, ModuleSpec)
    probing = module_probes(session.network, plan) if own else _probes(session.network)
    with follow(tracking or Tracking(), session, plan, Silent()) as followed, probing as probes:
        losses, norms = _take_steps(session, probes, followed)
    return CoordinateRecord(
        key=spec.key,
        spec=spec,
        losses=_rounded(losses),
        layers=tuple(_sizes(name, probe, len(losses)) for name, probe in probes.items()),
        wall_seconds=round(time.perf_counter() - started, 3),
        environment=describe_environment(execution, session.network),
        gradient_norms=_rounded(norms),
    )


def _take_steps(
    session: Session, probes: dict[str, Probe | AnyProbe], followed: Followed
) -> tuple[list[float], list[float]]:
    """Losses before each step and after the last, as far as they are finite, and norms of the gradients."""
    losses: list[float] = []
    norms: list[float] = []
    budget = session.spec.budget
    followed.observer.on_start(0)
    while True:
        loss = compute_gradients(session)
        _keep_measurable(session, probes, len(losses) + 1)
        followed.diverged = not math.isfinite(loss)
        if followed.diverged:
            break
        losses.append(loss)
        # only here: sizes after the last step come of one more pass, forwards and backwards
        if session.progress.step == budget.steps:
            break
        for probe in probes.values():
            probe.before_step()
        # before update_weights, which clips the gradients
        norms.append(float(session.norm.measure()))
        update_weights(session)
        for probe in probes.values():
            probe.after_step()
        session.progress.step += 1
        followed.observer.on_step(session.progress.step, loss, budget.tokens_per_step)
    return losses, norms


def _keep_measurable(session: Session, probes: dict[str, Probe | AnyProbe], passes: int) -> None:
    """Leave out layers of a person's own model that compute otherwise than once a pass; refuse such of this package's.

    Raises:
        InputError: no layer is left, or see ``_require_once``.
    """
    if not isinstance(session.spec.model, ModuleSpec):
        _require_once(probes, passes)
        return
    own = {name: probe for name, probe in probes.items() if isinstance(probe, ModuleProbe | ParameterProbe)}
    for name in own.keys() - computing_once(own, passes).keys():
        del probes[name]


def _require_once(probes: Mapping[str, Probe | AnyProbe], passes: int) -> None:
    """Check that every layer computed once in each forward pass so far: a step has one size, of one input.

    Raises:
        InputError: a layer computed more often, or never.
    """
    for name, probe in probes.items():
        if len(probe.output) != passes:
            times = len(probe.output) - passes + 1
            raise InputError(
                "model", name, f"computes {times} times in a forward pass", "a coordinate check needs once"
            )


@contextmanager
def _probes(network: nn.Module) -> Iterator[dict[str, Probe | AnyProbe]]:
    probes = {name: Probe(module) for name, module in network.named_modules() if isinstance(module, SparseLinear)}
    handles = [probe.layer.register_forward_hook(probe.on_forward) for probe in probes.values()]
    handles += [probe.layer.register_full_backward_hook(probe.on_backward) for probe in probes.values()]
    try:
        yield {**probes}
    finally:
        for handle in handles:
            handle.remove()


def _sizes(name: str, probe: Probe | AnyProbe, measured: int) -> LayerSizes:
    """``measured`` steps had a finite loss; a forward pass beyond them tells nothing."""
    density = probe.density if isinstance(probe, ModuleProbe | ParameterProbe) else probe.layer.density
    return LayerSizes(
        name=name,
        density=density,
        output=_rounded(probe.output[:measured]),
        activation=_rounded(probe.activation[:measured]),
        gradient=_rounded(probe.gradient),
        update=_rounded(probe.update),
    )


def _rounded(values: list[float]) -> tuple[float, ...]:
    """As many as are finite, in a form that files hold."""
    return tuple(float(f"{value:.{DIGITS}g}") for value in itertools.takewhile(math.isfinite, values))
