"""Measuring a layer's training step under several backends."""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from smupar_transfer.sparsity.backends import BACKENDS, Backend, DenseBackend
from smupar_transfer.sparsity.calibration.decision import DENSE
from smupar_transfer.sparsity.calibration.work import Work

MOST_STORED, MOST_ENTRIES = 2**22, 2**25
"""Weights that are stored, and entries of the mask, where a layer is measured; of a larger one a band of rows."""
MOST_OPERATIONS = 1.6e9
"""Multiply-adds of a dense forward and backward pass; beyond them fewer tokens are measured."""
TILE = 128
"""Tokens that fill a tile of the kernels: so many, or a multiple, are measured of more."""
HOPELESS = 3.0
"""Times the fastest: such a backend is measured once."""
LEAST_ROUNDS, MOST_ROUNDS = 3, 9
ENOUGH_SECONDS = 0.1

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Timing:
    """A step of one layer under one backend.

    Attributes:
        products: seconds of the forward and backward pass. update: seconds of AdamW.
        structure: bytes that the backend keeps beside each stored weight, the mask itself not counted.
    """

    products: float
    update: float
    structure: float

    @property
    def seconds(self) -> float:
        """The whole step."""
        return self.products + self.update


def measure(work: Work) -> dict[str, Timing]:
    """Time the candidates of a layer on a random mask, in turns; medians.

    Large layers are measured in part, and products scaled to all tokens, all to all rows. That never flatters sparse
    backends: what they do once a token, such as packing inputs, is scaled along. ``masked`` is always there; a rival
    that fails is left out.
    """
    affordable = int(MOST_OPERATIONS / (3 * _rows(work, DENSE) * work.fan_in))
    tokens = min(work.tokens, max(1, affordable // TILE) * TILE)
    shorter = torch.autocast(torch.device(work.device).type, work.precision, enabled=work.precision != torch.float32)
    with torch.inference_mode(False), shorter:  # gradients are on, too
        trials = _trials(work, tokens)
        samples = _samples(trials)
    found = {}
    for name, taken in samples.items():
        by_row, by_token = work.fan_out / trials[name].rows, work.tokens / tokens
        products, update = (statistics.median(column) for column in zip(*taken, strict=True))
        found[name] = Timing(products * by_row * by_token, update * by_row, trials[name].structure)
    return found


def _rows(work: Work, name: str) -> int:
    """How many rows of the layer are measured."""
    entries = MOST_STORED
    if name not in (DENSE, "masked"):
        entries = min(MOST_ENTRIES, MOST_STORED * work.size // max(1, work.nonzero))
    return max(1, min(work.fan_out, entries // work.fan_in))


class _Trial:
    """A layer that can be stepped.

    Args:
        backend: made for ``mask``. dense: weights, zero off it.
        inputs, upstream: (tokens, fan_in); gradient of the output, (tokens, rows).
    """

    def __init__(self, backend: Backend, mask: Tensor, dense: Tensor, inputs: Tensor, upstream: Tensor) -> None:
        self.backend, self.upstream, self.rows = backend, upstream, len(mask)
        self.inputs = inputs.clone().requires_grad_()
        self.weight = backend.pack(dense).clone().requires_grad_()
        self.structure = bytes_beside(backend, mask) / max(1, self.weight.numel())
        self._optimizer = torch.optim.AdamW([self.weight], fused=True)

    def step(self) -> tuple[float, float]:
        """Seconds of the products and of the update."""
        self.weight.grad = self.inputs.grad = None
        start = _now(self.weight)
        output = self.backend.linear(self.inputs, self.weight, None)
        output.backward(self.upstream.to(output.dtype))  # type: ignore[no-untyped-call]
        between = _now(self.weight)
        self._optimizer.step()
        return between - start, _now(self.weight) - between


def _now(weight: Tensor) -> float:
    if weight.is_cuda:
        torch.cuda.synchronize(weight.device)
    return time.perf_counter()


def _trials(work: Work, tokens: int) -> dict[str, _Trial]:
    candidates = work.candidates()
    shape = max(_rows(work, name) for name in candidates), work.fan_in
    options: dict[str, Any] = {"generator": torch.Generator().manual_seed(0)}
    mask = torch.rand(shape, **options) < (2.0 if work.full else work.nonzero / work.size)
    dense = (torch.randn(shape, **options) * work.fan_in**-0.5).masked_fill_(~mask, 0)
    inputs, upstream = torch.randn((tokens, shape[1]), **options), torch.randn((tokens, shape[0]), **options)
    mask = mask.to(work.device)
    dense, inputs, upstream = (value.to(work.device, work.dtype) for value in (dense, inputs, upstream))
    trials = {}
    for name in candidates:
        rows = _rows(work, name)
        try:
            band = mask[:rows]
            backend = DenseBackend() if name == DENSE else BACKENDS[name](band)
            trial = _Trial(backend, band, dense[:rows], inputs, upstream[:, :rows].contiguous())
            trial.step()  # allocates, and makes the optimizer's state
            trials[name] = trial
        except RuntimeError as error:  # PyTorch without its sparse products, say, or without enough memory
            if name in ("masked", DENSE):
                raise
            log.info("%s cannot compute %s: %s", name, work, error)
    return trials


def _samples(trials: Mapping[str, _Trial]) -> dict[str, list[tuple[float, float]]]:
    samples = {name: [trial.step()] for name, trial in trials.items()}
    first = {name: sum(taken[0]) for name, taken in samples.items()}
    bound = HOPELESS * min(first.values())
    hopeful = [name for name in trials if first[name] <= bound or name == "masked"]
    deadline = time.perf_counter() + ENOUGH_SECONDS
    for turn in range(1, MOST_ROUNDS):
        if turn >= LEAST_ROUNDS and time.perf_counter() > deadline:
            break
        for name in hopeful if turn % 2 else reversed(hopeful):
            samples[name].append(trials[name].step())
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
