"""Measuring a layer's training step under several backends."""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import torch
from torch import Tensor

from smupar_transfer.sparsity.autotune.decision import DENSE
from smupar_transfer.sparsity.autotune.workload import Workload
from smupar_transfer.sparsity.backends.base import BACKENDS, Backend, DenseBackend

DENSE_ENTRIES = 2**20
"""Of a larger layer dense backends are measured on a band of rows with so many entries."""
SPARSE_STORED, SPARSE_ENTRIES = 5 * 2**17, 2**25
"""The same for sparse ones: weights that exist (more than 2^19, from which on kernels work otherwise), and entries."""
MOST_OPERATIONS = 1.62e9
"""Multiply-adds of a dense forward and backward pass; beyond them fewer tokens are measured."""
PIECE = 256
"""Tokens that fill tiles of the kernels and that ``csr`` cuts into ranges: fewer would be computed in another way."""
HOPELESS = 3.0
"""Times the fastest: such a backend is measured once."""
LEAST_ROUNDS, MOST_ROUNDS = 3, 9
ENOUGH_SECONDS = 0.1
"""Of measuring a layer; slow ones are measured ``LEAST_ROUNDS`` times all the same."""
LARGE_SPREAD = 0.2
"""Part of a time between the quartiles of its measurements: with more, the machine was busy with something else."""
MOST_ATTEMPTS = 3
"""At measuring a layer: again as long as the spread is large."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Timing:
    """A step of one layer under one backend.

    Attributes:
        products: The seconds of the forward and backward pass.
        update: The seconds of AdamW.
        structure: The bytes that the backend keeps beside each stored weight, the mask itself not counted.
        spread: The part of the seconds that lies between the quartiles of their measurements; None if there was one.
        measured: When that was, in UTC, as ISO 8601 has it; empty where it is not known.
    """

    products: float
    update: float
    structure: float
    spread: float | None = None
    measured: str = ""

    @property
    def seconds(self) -> float:
        """The whole step."""
        return self.products + self.update


def measure(workload: Workload) -> dict[str, Timing]:
    """Time the candidates of a layer on a random mask, in turns; medians.

    On one thread of a processor, time of that processor counts: what other processes take of it meanwhile does not.
    Where measurements lie far apart all the same, all are taken again, ``MOST_ATTEMPTS`` times at most, and the
    quickest attempt counts: disturbances only ever add.

    On a processor, of large layers a band of rows is measured, and times are scaled to all of them. That never flatters
    sparse backends: what they do once a token, such as packing inputs, is scaled along. Where there are too many
    tokens, products are measured at two smaller numbers of them, and go on along a line: some work is the same for any
    number, such as masking a gradient. An accelerator measures the whole layer: it is quick enough, and small work
    takes it as long as starting it does. ``masked`` is always there; a rival that fails is left out.
    """
    counts = _counts(workload)
    shorter = torch.autocast(
        torch.device(workload.device).type, workload.precision, enabled=workload.precision != torch.float32
    )
    with torch.inference_mode(False), shorter:  # gradients are on, too
        trials = _trials(workload, counts)
        timings = _attempt(workload, trials, counts)
        for _ in range(MOST_ATTEMPTS - 1):
            if largest_spread(timings) <= LARGE_SPREAD:
                break
            timings = quicker(timings, _attempt(workload, trials, counts))
    return timings


def _attempt(workload: Workload, trials: Mapping[str, _Trial], counts: Sequence[int]) -> dict[str, Timing]:
    timings = {}
    now = datetime.now(UTC).isoformat(timespec="seconds")
    for name, taken in _samples(trials, counts).items():
        by_row = workload.fan_out / trials[name].rows
        *products, update = (statistics.median_low(column) for column in zip(*taken, strict=True))
        whole = extrapolated(workload.tokens, dict(zip(counts, products, strict=True)))
        spread = spread_of([sum(step) for step in taken])
        timings[name] = Timing(whole * by_row, update * by_row, trials[name].structure, spread, now)
    return timings


def spread_of(seconds: Sequence[float]) -> float | None:
    """The part of their median that lies between their quartiles; None if there is but one."""
    if len(seconds) < 2:
        return None
    low, middle, high = statistics.quantiles(seconds, n=4, method="inclusive")
    return (high - low) / middle if middle else 0.0


def largest_spread(timings: Mapping[str, Timing]) -> float:
    """The largest spread of several backends; 0 if there is none."""
    return max((timing.spread or 0.0 for timing in timings.values()), default=0.0)


def quicker(first: dict[str, Timing], second: dict[str, Timing]) -> dict[str, Timing]:
    """Which of two attempts at the same layer took less, at the far end of their spread, over the backends of both."""
    both = first.keys() & second.keys()

    def at_most(timings: dict[str, Timing]) -> float:
        return (1 + largest_spread(timings)) * sum(timings[name].seconds for name in both)

    return min(first, second, key=at_most)


def _counts(workload: Workload) -> tuple[int, ...]:
    """Numbers of tokens that are measured: all of them, or a smaller number after half of that."""
    if workload.device != "cpu":
        return (workload.tokens,)
    # three products of one size: the output and both gradients
    affordable = int(MOST_OPERATIONS / (3 * _rows(workload, DENSE) * workload.fan_in))
    fewer = max(1, affordable // (2 * PIECE)) * PIECE
    return (workload.tokens,) if workload.tokens <= max(affordable, 2 * fewer) else (fewer, 2 * fewer)


def extrapolated(tokens: int, measured: Mapping[int, float]) -> float:
    """Seconds at a number of tokens, along the line through two measurements.

    More tokens never take less: the line does not fall, and the result is not below either measurement.

    Args:
        tokens: The number of tokens to extrapolate to, at least as many as were measured.
        measured: The seconds by number of tokens: at ``tokens`` alone, or at two smaller numbers.
    """
    if tokens in measured:
        return measured[tokens]
    (fewer, low), (more, high) = sorted(measured.items())
    slope = max(0.0, (high - low) / (more - fewer))
    return max(low, high) + slope * (tokens - more)


def _rows(workload: Workload, name: str) -> int:
    """How many rows of the layer are measured."""
    if workload.device != "cpu":
        return workload.fan_out
    entries = DENSE_ENTRIES
    if name not in (DENSE, "masked"):
        entries = min(SPARSE_ENTRIES, SPARSE_STORED * workload.size // max(1, workload.nonzero))
    return max(1, min(workload.fan_out, entries // workload.fan_in))


class _Trial:
    """A layer that can be stepped.

    Args:
        backend: The backend, made for ``mask``.
        mask: Which weights exist, (rows, fan_in).
        dense: The weights, zero off the mask.
        inputs: The layer's inputs, (tokens, fan_in).
        upstream: The gradient of the output, (tokens, rows).
    """

    def __init__(self, backend: Backend, mask: Tensor, dense: Tensor, inputs: Tensor, upstream: Tensor) -> None:
        self._backend, self._inputs, self._upstream, self.rows = backend, inputs, upstream, len(mask)
        self.weight = backend.pack(dense).clone().requires_grad_()
        self.structure = bytes_beside(backend, mask) / max(1, self.weight.numel())
        self._optimizer = torch.optim.AdamW([self.weight], fused=True)

    def step(self, counts: Sequence[int]) -> tuple[float, ...]:
        """Seconds of the products over each of these numbers of tokens, then of the update."""
        products = [self._products(tokens) for tokens in counts]
        start = _now(self.weight)
        self._optimizer.step()
        return *products, _now(self.weight) - start

    def _products(self, tokens: int) -> float:
        inputs, upstream = self._inputs[:tokens].requires_grad_(), self._upstream[:tokens]
        self.weight.grad = None
        start = _now(self.weight)
        output = self._backend.linear(inputs, self.weight, None)
        output.backward(upstream.to(output.dtype))  # type: ignore[no-untyped-call]
        return _now(self.weight) - start


def _now(weight: Tensor) -> float:
    if weight.is_cuda:
        torch.cuda.synchronize(weight.device)
    elif torch.get_num_threads() == 1:
        return time.thread_time()  # which stands still while another process has the core
    return time.perf_counter()


def _trials(workload: Workload, counts: Sequence[int]) -> dict[str, _Trial]:
    candidates, tokens = workload.candidates(), max(counts)
    shape = max(_rows(workload, name) for name in candidates), workload.fan_in
    options: dict[str, Any] = {"generator": torch.Generator().manual_seed(0)}
    # 2 is above every random number, so that all weights exist
    mask = torch.rand(shape, **options) < (2.0 if workload.full else workload.nonzero / workload.size)
    dense = (torch.randn(shape, **options) * workload.fan_in**-0.5).masked_fill_(~mask, 0)
    inputs, upstream = torch.randn((tokens, shape[1]), **options), torch.randn((tokens, shape[0]), **options)
    mask = mask.to(workload.device)
    dense, inputs, upstream = (value.to(workload.device, workload.dtype) for value in (dense, inputs, upstream))
    trials = {}
    for name in candidates:
        rows = _rows(workload, name)
        try:
            band = mask[:rows]
            backend = DenseBackend() if name == DENSE else BACKENDS[name](band)
            trial = _Trial(backend, band, dense[:rows], inputs, upstream[:, :rows].contiguous())
            trial.step(counts[:1])  # allocates, and makes the optimizer's state
            trials[name] = trial
        except RuntimeError as error:  # PyTorch without its sparse products, say, or without enough memory
            if name in ("masked", DENSE):
                raise
            log.info("%s cannot compute %s: %s", name, workload, error)
    return trials


def _samples(trials: Mapping[str, _Trial], counts: Sequence[int]) -> dict[str, list[tuple[float, ...]]]:
    samples = {name: [trial.step(counts)] for name, trial in trials.items()}
    first = {name: sum(taken[0][-2:]) / trials[name].rows for name, taken in samples.items()}
    bound = HOPELESS * min(first.values())
    # masked in any case, as the decision compares rivals with it
    hopeful = [name for name in trials if first[name] <= bound or name == "masked"]
    deadline = time.perf_counter() + ENOUGH_SECONDS
    least = LEAST_ROUNDS - (len(counts) - 1)  # two numbers of tokens take half as long again
    for turn in range(1, MOST_ROUNDS):
        if turn >= least and time.perf_counter() > deadline:
            break
        for name in hopeful if turn % 2 else reversed(hopeful):  # in turns: a busy moment hits all alike
            samples[name].append(trials[name].step(counts))
    return samples


def bytes_beside(backend: Backend, mask: Tensor) -> int:
    """Bytes of the tensors that a backend holds, its mask not counted."""
    held = {tensor.data_ptr(): tensor.nbytes for tensor in _tensors(vars(backend).values())}
    held.pop(mask.data_ptr(), None)
    return sum(held.values())


def _tensors(values: Iterable[object]) -> Iterable[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)
