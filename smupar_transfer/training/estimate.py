"""What a run will take, layer by layer and whole, before it runs."""

from __future__ import annotations

import math
import re
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from smupar_transfer.model import Cost, network_cost, outline, plan_of, product_type
from smupar_transfer.records import RunSpec
from smupar_transfer.sparsity import (
    AUTO,
    DENSE,
    SparseLinear,
    Timing,
    Workload,
    calibrate,
    choose_backend,
    computing_backend,
)
from smupar_transfer.theory import InputError
from smupar_transfer.training.data.load import Data
from smupar_transfer.training.loop import train_step
from smupar_transfer.training.process import prepare_process
from smupar_transfer.training.runs import Execution, open_session

MEASURED_STEPS, FEWEST_STEPS = 9, 3
"""Of a network that is measured, and of one so slow that these take long."""
LONG_SECONDS = 5.0
# a few steps of a wider network would take long: one of half the width, or a quarter, is measured in its place
MOST_MEASURED_WIDTH = 1024
STATE_BYTES = 16
"""Of a stored weight: itself, its gradient and two moments, in float32."""
EVALUATION_STEPS = 1 / 3
"""An evaluation batch in training steps: the forward pass is one product of three."""


@dataclass(frozen=True)
class LayerEstimate:
    """Equal sparse layers of a network, in one training step; numbers are of one of them.

    Attributes:
        name: The name of the layers, with * for their index.
        count: The number of layers.
        shape: The shape of the weight: (fan_out, fan_in).
        nonzero: The number of weights that exist.
        backend: The backend that computes.
        seconds: The seconds of a step under every backend that was measured, this one among them.
        flops_dense: The floating-point operations if zeros are multiplied.
        flops_sparse: The floating-point operations if zeros are not multiplied.
        state_bytes: The bytes of weights, gradients, moments, structure and the mask's bits.
    """

    name: str
    count: int
    shape: tuple[int, int]
    nonzero: int
    backend: str
    seconds: dict[str, float]
    flops_dense: float
    flops_sparse: float
    state_bytes: float


@dataclass(frozen=True)
class Estimate:
    """A training step of a network.

    Attributes:
        layers: The sparse layers.
        cost: The cost of the whole network, per token.
        rest_flops: The floating-point operations of everything but the sparse layers.
        state_bytes: The bytes that the whole network takes; activations are not counted.
    """

    layers: tuple[LayerEstimate, ...]
    cost: Cost
    rest_flops: float
    state_bytes: float

    @property
    def layer_seconds(self) -> float:
        """All sparse layers."""
        return sum(layer.count * layer.seconds[layer.backend] for layer in self.layers)


@dataclass(frozen=True)
class Measurement:
    """Real steps of one network.

    Attributes:
        spec: What was trained.
        step_seconds: The median time of a step. On one thread of a processor it is the processor's time, to which other
            programs on the machine add nothing.
        rest_seconds: What the step took beyond the sparse layers as they are estimated, per FLOP of ``rest_flops``.
        steps: The number of steps that were timed.
        spread: The first and the third quartile of these times, over the median.
    """

    spec: RunSpec
    step_seconds: float
    rest_seconds: float
    steps: int = MEASURED_STEPS
    spread: tuple[float, float] = (1.0, 1.0)


def estimate_step(spec: RunSpec, execution: Execution) -> Estimate:
    """Price a network without building it; layers that this machine has not measured are measured now.

    Raises:
        InputError: the backend that was asked for cannot compute here.
    """
    prepare_process(execution.threads)
    network = outline(spec)
    counts = Counter(
        # without the numbers in their names, equal layers of all blocks are one, and are measured once
        (re.sub(r"\b\d+\b", "*", name), module.shape, module.nonzero)
        for name, module in network.named_modules()
        if isinstance(module, SparseLinear)
    )
    layers = tuple(_layer(*layer, count, spec, execution) for layer, count in counts.items())
    cost = network_cost(plan_of(network, spec), spec)
    # zeros included, since cost.parameters counts them, too
    inside = sum(layer.count * layer.shape[0] * layer.shape[1] for layer in layers)
    return Estimate(
        layers=layers,
        cost=cost,
        rest_flops=cost.flops_dense * spec.budget.tokens_per_step
        - sum(layer.count * layer.flops_dense for layer in layers),
        state_bytes=sum(layer.count * layer.state_bytes for layer in layers) + STATE_BYTES * (cost.parameters - inside),
    )


def _layer(
    name: str, shape: tuple[int, int], nonzero: int, count: int, spec: RunSpec, execution: Execution
) -> LayerEstimate:
    size, tokens = shape[0] * shape[1], spec.budget.tokens_per_step
    threads, device = execution.threads, execution.device
    workload = Workload(*shape, nonzero, nonzero == size, tokens, threads, torch.float32, device, product_type(spec))
    timings = calibrate(workload)
    backend = _backend(workload, timings, execution)
    # these two keep whole matrices, all others the weights that exist
    stored = size if backend in (DENSE, "masked") else nonzero
    # layers are calibrated at a power of two of tokens (decision 9): products take in proportion, the update does not
    more_tokens = tokens / workload.on_grid().tokens
    return LayerEstimate(
        name=name,
        count=count,
        shape=shape,
        nonzero=nonzero,
        backend=backend,
        seconds={key: timing.products * more_tokens + timing.update for key, timing in timings.items()},
        # a multiplication and an addition in each of three products: forwards, to the inputs and to the weights
        flops_dense=6.0 * size * tokens,
        flops_sparse=6.0 * nonzero * tokens,
        state_bytes=stored * (STATE_BYTES + timings[backend].structure) + shape[0] * math.ceil(shape[1] / 8),
    )


def _backend(workload: Workload, timings: dict[str, Timing], execution: Execution) -> str:
    if workload.full or execution.backend == AUTO:
        return choose_backend(workload)
    named = computing_backend(execution.backend, execution.device)
    if named not in timings:
        raise InputError("sparsity.backend", named, "cannot compute here", "use sparsity.backend=auto")
    return named


def measure_steps(spec: RunSpec, data: Data, execution: Execution) -> Measurement:
    """Train a few steps of a network, or of a narrower one where it is very wide; nothing is kept.

    Raises:
        InputError: see ``run``.
    """
    # one more, since the first step prepares and is not timed
    budget = replace(spec.budget, steps=MEASURED_STEPS + 1, warmup_steps=0, evaluations=1, evaluation_batches=1)
    trial = replace(_narrow(spec), budget=budget)
    seconds = _timed_steps(trial, data, execution)
    step = statistics.median(seconds)
    estimate = estimate_step(trial, execution)
    # noise in either may make the step seem shorter than its layers
    beyond = max(0.0, step - estimate.layer_seconds)
    return Measurement(trial, step, beyond / estimate.rest_flops, len(seconds), spread(seconds))


def _timed_steps(spec: RunSpec, data: Data, execution: Execution) -> list[float]:
    """Seconds of single steps; the first, which prepares what later ones use, is not among them."""
    session, _ = open_session(spec, data, execution)
    alone = execution.device == "cpu" and execution.threads == 1
    now = time.process_time if alone else time.perf_counter  # the loss, a number, has waited for the device
    train_step(session)
    seconds: list[float] = []
    while len(seconds) < (MEASURED_STEPS if sum(seconds) < LONG_SECONDS else FEWEST_STEPS):
        session.progress.step += 1
        started = now()
        train_step(session)
        seconds.append(now() - started)
    return seconds


def spread(values: Sequence[float]) -> tuple[float, float]:
    """The first and the third quartile of some times, over their median; 1 and 1 if there is a single one, or none."""
    middle = statistics.median(values) if values else 0.0
    if len(values) < 2 or middle <= 0:
        return 1.0, 1.0
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return low / middle, high / middle


def _narrow(spec: RunSpec) -> RunSpec:
    while spec.model.width > MOST_MEASURED_WIDTH:
        try:
            spec = replace(spec, model=replace(spec.model, width=spec.model.width // 2))
        except InputError:  # heads do not divide it
            break
    return spec


def step_seconds(spec: RunSpec, estimated: Estimate, measured: Measurement) -> float:
    """A training step: as it was measured, or else its sparse layers as calibrated and the rest in proportion."""
    if _shape(spec) == _shape(measured.spec):
        return measured.step_seconds
    return estimated.layer_seconds + measured.rest_seconds * estimated.rest_flops


def _shape(spec: RunSpec) -> tuple[object, ...]:
    return spec.model, spec.sparsity, spec.precision, spec.budget.batch_size, spec.budget.sequence_length


def run_seconds(spec: RunSpec, step: float) -> float:
    """A whole run whose step takes ``step`` seconds, evaluations included."""
    budget = spec.budget
    return step * (budget.steps + EVALUATION_STEPS * budget.evaluations * budget.evaluation_batches)
