"""One variant that trains a step whenever told to, and knows what it keeps in memory."""

from __future__ import annotations

import ctypes
import gc
import platform
import resource
import statistics
import time
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bench.cells import Cell, State
from bench.parts import OPTIMIZER, PARTS, READOUT
from bench.split import Clock, leave, time_network
from bench.variants import SPARSE_LAYERS, VARIANTS, VOCABULARY, TextbookLinear, make
from smupar_transfer.training import cross_entropy, prepare_process

SPLIT_STEPS = 3
TURN_SECONDS = 1.0
OWN = ("smupar_transfer.", "bench.")


class Trainee:
    """A network in training on random tokens, the same ones for every variant."""

    def __init__(self, name: str, cell: Cell) -> None:
        self.cell, self.variant = cell, VARIANTS[name]
        self.network, self.optimizer = make(self.variant, cell)
        self._generator = torch.Generator().manual_seed(0)

    def step(self, clock: Clock | None = None) -> float:
        """Train one step; its seconds. With a clock, the network must have its clocks too."""
        shape = (self.cell.batch, self.cell.time + 1)
        tokens = torch.randint(VOCABULARY, shape, generator=self._generator)
        started = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=self.variant.bfloat16):
            loss = cross_entropy(self.network(tokens[:, :-1]), tokens[:, 1:])
        if clock is not None:
            loss = leave(loss, clock, READOUT)
        with nullcontext() if clock is None else clock.part(OPTIMIZER):
            self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        with nullcontext() if clock is None else clock.part(OPTIMIZER):
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
            self.optimizer.step()
        return time.perf_counter() - started

    def turn(self) -> float:
        """Train for about a second, two steps at least; median seconds of all steps but the first.

        The first finds caches, memory and clock rate as another process left them; no step of a real run does.
        """
        self.step()
        taken = [self.step()]
        while sum(taken) < TURN_SECONDS:
            taken.append(self.step())
        return statistics.median(taken)

    def split(self) -> dict[str, float]:
        """Median seconds of a step by part; the network has clocks in it from then on."""
        clock = Clock()
        time_network(self.network, clock, SPARSE_LAYERS)
        steps = []
        for _ in range(SPLIT_STEPS):
            clock.take()
            self.step(clock)
            steps.append(clock.take())
        return {part: statistics.median(step.get(part, 0.0) for step in steps) for part in PARTS}

    def state(self) -> State:
        """What the sparsified layers keep after a step."""
        return state_of(self.network, self.optimizer)


def state_of(network: nn.Module, optimizer: torch.optim.Optimizer) -> State:
    """What sparsified layers keep after a step, counted on the tensors themselves."""
    layers = [module for module in network.modules() if isinstance(module, SPARSE_LAYERS)]
    # the textbook way keeps ``weight * mask`` from the forward pass for the backward pass
    products = sum(layer.linear.weight.nbytes for layer in layers if isinstance(layer, TextbookLinear))
    parameters = [weight for layer in layers for weight in layer.parameters()]
    size = storage_bytes(parameters)
    return State(
        parameters=size,
        gradients=storage_bytes(weight.grad for weight in parameters if weight.grad is not None),
        optimizer=storage_bytes(tensors_in([optimizer.state[weight] for weight in parameters])),
        structure=storage_bytes(tensors_in(layers)) - size + products,
    )


def tensors_in(thing: Any, seen: set[int] | None = None) -> Iterator[Tensor]:
    """Every tensor that an object of ours, or of PyTorch's modules, leads to, gradients left out."""
    seen = set() if seen is None else seen
    if id(thing) in seen:
        return
    seen.add(id(thing))
    if isinstance(thing, Tensor):
        yield thing
    elif isinstance(thing, dict):
        for value in thing.values():
            yield from tensors_in(value, seen)
    elif isinstance(thing, list | tuple):
        for value in thing:
            yield from tensors_in(value, seen)
    elif isinstance(thing, nn.Module) or type(thing).__module__.startswith(OWN):
        yield from tensors_in(vars(thing), seen)


def storage_bytes(tensors: Iterable[Tensor]) -> int:
    """Bytes behind tensors, shared ones counted once."""
    storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in tensors}
    return sum(storages.values())


def peak_bytes() -> int:
    """Largest resident memory of this process so far, or since ``forget_peak``."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    # getrusage on Linux begins with the parent's peak
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def forget_peak() -> bool:
    """Have ``peak_bytes`` begin anew at what is resident now; whether the operating system does that.

    Freed memory is given back before: the process keeps it (``prepare_process``), and it would count as resident.
    """
    gc.collect()
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    except OSError:
        return False
    return True


def serve(name: str, cell: Cell, pipe: Connection) -> None:
    """Body of a process: answer each request with its result until told to end.

    Requests: "turn" (seconds of a step), "memory" (peak bytes beyond those before the network was built, whether they
    are of training alone, ``State``), "split" (of a step), "end".
    """
    prepare_process(cell.threads)
    forget_peak()
    before = peak_bytes()
    trainee = Trainee(name, cell)
    of_training = forget_peak()  # what building, and measuring layers for auto, took for a moment
    pipe.send("ready")
    while (request := pipe.recv()) != "end":
        if request == "turn":
            pipe.send(trainee.turn())
        elif request == "memory":
            pipe.send((max(0, peak_bytes() - before), of_training, trainee.state()))
        else:
            pipe.send(trainee.split())
