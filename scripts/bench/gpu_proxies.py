"""Small networks on one device, whose steps wait for kernels to be started: fewer starts, or several networks at once.

Two sections of ``bench_gpu.py``; see ``gpu``.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from bench.gpu import Row, Setup, compiled, guarded, milliseconds, proxy, stepper
from smupar_transfer.training import cross_entropy

LEARNING_RATE = 1e-3


def graphed(step: Callable[[], object], optimizer: torch.optim.Optimizer, setup: Setup) -> Callable[[], object]:
    """A step recorded once as a CUDA graph, and started as a whole; the step itself where there is no GPU."""
    if not setup.on_gpu:
        return step
    for group in optimizer.param_groups:
        group["capturable"] = True  # its count of steps stays on the device
    beside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    beside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(beside):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def launch(setup: Setup) -> Iterator[Row]:
    """One proxy: eager, compiled, compiled into CUDA graphs, and the whole step as one graph."""
    for bfloat16 in (True,) if setup.dry else (False, True):
        for way in ("eager", "compiled", "compiled, CUDA graphs", "whole step as a CUDA graph"):
            labels = {"way": way, "precision": "bfloat16" if bfloat16 else "float32"}
            yield guarded(labels, _timed, setup, _way, way, setup, bfloat16)


def _timed(setup: Setup, make: Callable[..., Callable[[], object]], *arguments: object) -> Row:
    return milliseconds(make(*arguments), setup)


def _way(way: str, setup: Setup, bfloat16: bool) -> Callable[[], object]:
    network, optimizer, batch = proxy(setup)
    if way == "whole step as a CUDA graph":
        return graphed(stepper(network, optimizer, batch, setup, bfloat16), optimizer, setup)
    if way == "eager":
        return stepper(network, optimizer, batch, setup, bfloat16)
    graphs = "CUDA graphs" in way
    step = stepper(compiled(network, setup, "reduce-overhead" if graphs else None), optimizer, batch, setup, bfloat16)

    def marked() -> Tensor:
        torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        return step()

    return marked if graphs else step


def several(setup: Setup) -> Iterator[Row]:
    """K proxies: one after the other, stacked into one network, that as a CUDA graph, and K processes (``workers=K``).

    Milliseconds are those in which each of them takes a step.
    """
    for count in (2,) if setup.dry else (1, 4, 16, 64):
        for way in ("one after the other", "stacked", "stacked, as a CUDA graph"):
            if way == "one after the other" and count > 16:
                continue  # sixteen say it
            labels = {"way": way, "count": count}
            yield guarded(labels, _timed, setup, _at_once, way, count, setup)
    for count in (1,) if setup.dry else (1, 4, 8):
        yield guarded({"way": "processes", "count": count}, _processes, count, setup)


def _at_once(way: str, count: int, setup: Setup) -> Callable[[], object]:
    if way == "one after the other":
        steps = [stepper(*proxy(setup, seed), setup) for seed in range(count)]
        return lambda: [step() for step in steps]
    step, optimizer = stacked(count, setup)
    return graphed(step, optimizer, setup) if way.endswith("graph") else step


def stacked(count: int, setup: Setup) -> tuple[Callable[[], Tensor], torch.optim.Optimizer]:
    """One step of K networks as one with parameters (K, ...), each on its own batch, clipped each by itself.

    Returns:
        The step, which gives the K losses, and the optimizer.
    """
    members = [proxy(setup, seed) for seed in range(count)]
    values, buffers = stack_module_state([network for network, _, _ in members])
    inputs, targets = (torch.stack([batch[part] for _, _, batch in members]) for part in (0, 1))
    parameters = list(values.values())
    optimizer = torch.optim.AdamW(parameters, lr=LEARNING_RATE, fused=True)
    network: nn.Module = members[0][0]

    def loss_of(values: dict[str, Any], buffers: dict[str, Any], *batch: Tensor) -> Tensor:
        return cross_entropy(functional_call(network, (values, buffers), (batch[0],)).float(), batch[1])

    def step() -> Tensor:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(setup.device, torch.bfloat16):
            losses: Tensor = vmap(loss_of)(values, buffers, inputs, targets)
        losses.sum().backward()  # type: ignore[no-untyped-call]
        _clip_each(parameters)
        optimizer.step()
        return losses.detach()

    return step, optimizer


@torch.no_grad()
def _clip_each(parameters: list[Tensor]) -> None:
    gradients = [weight.grad for weight in parameters if weight.grad is not None]
    norms = torch.stack([gradient.flatten(1).norm(dim=1) for gradient in gradients]).norm(dim=0)
    factors = (1 / (norms + 1e-6)).clamp(max=1)
    for gradient in gradients:
        gradient.mul_(factors.view(-1, *[1] * (gradient.ndim - 1)))


def _processes(count: int, setup: Setup) -> Row:
    """Of processes that train at the same time, the slowest."""
    context = multiprocessing.get_context("spawn")
    meeting, answers = context.Barrier(count), context.Queue()
    workers = [context.Process(target=_work, args=(setup, meeting, answers), daemon=True) for _ in range(count)]
    for worker in workers:
        worker.start()
    try:
        rows: list[Row] = [answers.get(timeout=60) for _ in workers]
    finally:
        for worker in workers:
            worker.terminate()
            worker.join()
    return max(rows, key=lambda row: row["ms"])


def _work(setup: Setup, meeting: Any, answers: Any) -> None:
    network, optimizer, batch = proxy(setup)
    step = stepper(network, optimizer, batch, setup)
    step()
    meeting.wait(60)
    answers.put(milliseconds(step, setup))
