"""Checks and benchmarks of one device: sections of ``bench_gpu.py``, each a generator of rows.

A row is plain data: labels, then numbers or an ``error``. What was measured before a section ends early is kept.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bench.cells import Cell
from bench.numbers import spread
from bench.trainee import state_of
from bench.variants import VOCABULARY, Variant, make, specification
from bench_agreement import Losses, furthest
from smupar_transfer.model import build
from smupar_transfer.records import BudgetSpec, Positions, Precision, RunSpec
from smupar_transfer.sparsity import NOfMMask, SparseLinear, Workload, named_generator
from smupar_transfer.sparsity.autotune import fastest
from smupar_transfer.sparsity.autotune.timing import measure
from smupar_transfer.training import Execution, cross_entropy, load_data, make_optimizer, run

ROOT = Path(__file__).resolve().parents[2]
Row = dict[str, Any]
Batch = tuple[Tensor, Tensor]

BACKENDS = ("masked", "expand", "csr")
"""Those that a GPU has."""
MASK = "bernoulli"
"""Drawn in a tenth of the time of an exact number of weights, which counts where time is lent."""
ROUNDS, ROUND_SECONDS, LONG_SECONDS = 7, 0.1, 3.0
WARMUP = 3


@dataclass(frozen=True)
class Setup:
    """What is measured on.

    Attributes:
        device: "cpu" or "cuda".
        dry: Whether everything is tiny: to see that it runs, and not how fast.
    """

    device: str
    dry: bool

    @property
    def on_gpu(self) -> bool:
        """Whether this is no processor."""
        return self.device != "cpu"

    def synchronize(self) -> None:
        """Wait until the device has nothing to do."""
        if self.on_gpu:
            torch.cuda.synchronize()


def guarded(labels: Row, measure: Callable[..., Row], *arguments: object) -> Row:
    """A row of labels and what is measured, whose failure is its ``error`` and does not end the section."""
    try:
        return {**labels, **measure(*arguments)}
    except Exception as error:  # whatever it is, it belongs on the page
        words = str(error).strip().splitlines() or [""]
        return {**labels, "error": f"{type(error).__name__}: {words[0]}"[:300]}


def milliseconds(step: Callable[[], object], setup: Setup) -> Row:
    """Median and quartiles of a step over rounds of many, between which the device is waited for."""
    for _ in range(1 if setup.dry else WARMUP):
        step()
    first = _round(step, setup, 1)
    each = 1 if setup.dry else max(1, min(100, round(1e3 * ROUND_SECONDS / first)))
    started, rounds = time.perf_counter(), list[float]()
    while len(rounds) < (2 if setup.dry else ROUNDS):
        rounds.append(_round(step, setup, each))
        if len(rounds) > 2 and time.perf_counter() - started > LONG_SECONDS:
            break
    middle = spread(rounds)
    return {"ms": middle.middle, "ms_low": middle.low, "ms_high": middle.high}


def _round(step: Callable[[], object], setup: Setup, count: int) -> float:
    setup.synchronize()
    started = time.perf_counter()
    for _ in range(count):
        step()
    setup.synchronize()
    return 1e3 * (time.perf_counter() - started) / count


def random_batch(cell: Cell, device: str, seed: int = 0) -> Batch:
    """Tokens and the ones after them."""
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(VOCABULARY, (cell.batch, cell.time + 1), generator=generator).to(device)
    return tokens[:, :-1], tokens[:, 1:]


def stepper(
    network: Callable[..., Any], optimizer: torch.optim.Optimizer, batch: Batch, setup: Setup, bfloat16: bool = True
) -> Callable[[], Tensor]:
    """A whole training step on one batch: forward, backward, clipping, optimizer; its loss stays on the device."""
    parameters = [weight for group in optimizer.param_groups for weight in group["params"]]

    def step() -> Tensor:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(setup.device, torch.bfloat16, enabled=bfloat16):
            logits = network(batch[0])
        loss = cross_entropy(logits.float(), batch[1])
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        return loss

    return step


def compiled(network: nn.Module, setup: Setup, mode: str | None = None) -> Callable[..., Any]:
    """As ``torch.compile`` makes it; a dry run traces it alone."""
    return torch.compile(network, backend="eager") if setup.dry else torch.compile(network, mode=mode)


def tests(setup: Setup) -> Iterator[Row]:
    """The tests of sparse layers on a GPU; without one they skip themselves."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/sparsity/test_cuda.py"]
    command += ["--collect-only"] if setup.dry else []
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    made = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False
    )
    lines = (made.stdout + made.stderr).strip().splitlines() or ["no output"]
    yield {"said": lines[-1], **({} if made.returncode == 0 else {"error": f"exit code {made.returncode}"})}


def layer_error(backend: str, shape: tuple[int, int, int], density: float, bfloat16: bool, device: str) -> float:
    """Largest error of output and gradients of a layer on a device, over the largest entry of the true ones.

    Args:
        backend: of the layer.
        shape: tokens, inputs, outputs.
        density: of its mask.
        bfloat16: whether autocast asks for that.
        device: computes; the true ones are float64's, of the CPU.
    """
    tokens, fan_in, fan_out = shape
    layer = SparseLinear(fan_in, fan_out, density=density, backend=backend)
    layer.draw_mask(named_generator(0, "mask", "layer"))
    layer.set_weight(torch.randn(layer.shape, generator=named_generator(0, "weight", "layer")) / fan_in**0.5)
    inputs = torch.randn(tokens, fan_in, generator=named_generator(0, "inputs", "layer"))
    upstream = torch.randn(tokens, fan_out, generator=named_generator(0, "upstream", "layer"))
    weight, x, g = layer.dense_weight().detach().double(), inputs.double(), upstream.double()
    expected = (x @ weight.T, g @ weight, (g.T @ x) * layer.mask)
    layer.to(device)
    mine = inputs.to(device).requires_grad_()
    with torch.autocast(device, torch.bfloat16, enabled=bfloat16):
        output = layer(mine)
    output.backward(upstream.to(device, output.dtype))
    assert mine.grad is not None
    assert layer.weight.grad is not None
    computed = (output.detach(), mine.grad, layer.backend.unpack(layer.weight.grad) * layer.mask)
    pairs = zip(computed, expected, strict=True)
    return max(float((a.cpu().double() - b).abs().max() / b.abs().max()) for a, b in pairs)


def network_error(backend: str, spec: RunSpec, batch: Batch, device: str) -> float:
    """Largest relative error (of norms) of a parameter's gradient in float32 on a device against float64 on the CPU."""
    gradients = []
    for where, dtype in (("cpu", torch.float64), (device, torch.float32)):
        network, _ = build(spec, "masked" if dtype == torch.float64 else backend)
        network.to(where, dtype)
        inputs, targets = (part.to(where) for part in batch)
        cross_entropy(network(inputs), targets).backward()  # type: ignore[no-untyped-call]
        gradients.append(
            {name: _dense_gradient(network, name).cpu().double() for name, _ in network.named_parameters()}
        )
    true, computed = gradients
    return max(float((computed[name] - true[name]).norm() / true[name].norm()) for name in true)


def _dense_gradient(network: nn.Module, name: str) -> Tensor:
    owner = network.get_submodule(name.rpartition(".")[0])
    gradient = network.get_parameter(name).grad
    assert gradient is not None
    if isinstance(owner, SparseLinear) and name.endswith(".weight"):
        return owner.backend.unpack(gradient) * owner.mask
    return gradient


def small_spec(setup: Setup, precision: Precision = Precision.FLOAT32) -> RunSpec:
    """A sparse GPT that is trained in moments on a text that every checkout has."""
    cell = Cell(64, 0.75, 2, 16, 1) if setup.dry else Cell(128, 0.75, 8, 128, 1)
    spec = specification(cell, 1 - cell.sparsity)
    steps = 3 if setup.dry else 40
    return replace(
        spec,
        model=replace(spec.model, positions=Positions.ALIBI),  # type: ignore[arg-type]
        data=load_data("text", str(ROOT / "README.md")).spec,
        budget=BudgetSpec(steps, cell.batch, cell.time, warmup_steps=2, evaluations=1, evaluation_batches=1),
        precision=precision,
    )


def losses(spec: RunSpec, execution: Execution) -> list[float]:
    """The training loss of every step of ``run``, the way that all commands train."""
    observer = Losses()
    run(spec, load_data("text", str(ROOT / "README.md")), execution, observer)
    return observer.values


def agreement(setup: Setup) -> Iterator[Row]:
    """Does the device compute what a CPU computes? Layers and networks against float64, then whole loss curves."""
    labels: Row
    for backend in BACKENDS:
        for bfloat16, allowed in ((False, 1e-5), (True, 2e-2)):
            for shape, density in (((7, 24, 20), 0.4), ((512, 256, 320), 0.0625)):
                labels = {"what": "layer", "backend": backend, "precision": "bfloat16" if bfloat16 else "float32"}
                yield guarded(labels, _apart, allowed, layer_error, backend, shape, density, bfloat16, setup.device)
    spec = small_spec(setup)
    batch = random_batch(Cell(64, 0.0, 2, 16, 1), "cpu")
    for backend in BACKENDS:
        labels = {"what": "network", "backend": backend, "precision": "float32"}
        yield guarded(labels, _apart, 1e-4, network_error, backend, spec, batch, setup.device)
    reference = losses(spec, Execution(backend="masked"))
    for backend in BACKENDS:
        for precision, allowed in ((Precision.FLOAT32, 1e-4), (Precision.BFLOAT16, 1e-2)):
            labels = {"what": "losses", "backend": backend, "precision": str(precision), "steps": len(reference)}
            chosen = replace(spec, precision=precision), Execution(setup.device, backend)
            yield guarded(labels, _apart, allowed, lambda *run: furthest(losses(*run), reference), *chosen)


def _apart(allowed: float, distance: Callable[..., float], *arguments: object) -> Row:
    return {"error_at_most": allowed, "apart": distance(*arguments)}


def auto(setup: Setup) -> Iterator[Row]:
    """What ``auto`` measures here, and what it takes."""
    widths, tokens = ((64,), 64) if setup.dry else ((64, 256, 1024, 2048), 4096)
    for width in widths:
        for sparsity in (0.5, 0.9375, 0.984):
            for precision in (torch.float32, torch.bfloat16):
                nonzero = round(4 * width * width * (1 - sparsity))
                work = Workload(
                    4 * width, width, nonzero, False, tokens, 1, device=setup.device, precision=precision
                ).on_grid()
                labels = {"width": width, "sparsity": sparsity, "precision": str(precision).removeprefix("torch.")}
                yield guarded(labels, _chosen, work)


def _chosen(work: Workload) -> Row:
    seconds = {name: timing.seconds for name, timing in measure(work).items()}
    return {"auto": fastest(seconds), **{f"ms_{name}": 1e3 * taken for name, taken in seconds.items()}}


DENSE, TEXTBOOK = Variant(masked=False, bfloat16=True), Variant(rewrites=True, bfloat16=True)


def whole_step(setup: Setup) -> Iterator[Row]:
    """A training step of the 2-layer GPT, all under bfloat16 autocast (``csr`` multiplies in float32).

    Rivals take as long at any sparsity. ``csr`` comes last: its structure takes longest to make.
    """
    widths, batch, length = ((64,), 2, 16) if setup.dry else ((1024, 2048), 16, 256)
    sparsities = (0.75,) if setup.dry else (0.5, 0.75, 0.9375, 0.984)
    rivals = {"dense": DENSE, "dense compiled": DENSE, "textbook": TEXTBOOK}
    for width in widths:
        for name, variant in rivals.items():
            labels: Row = {"width": width, "variant": name}
            cell = Cell(width, 0.5, batch, length, 1)
            yield guarded(labels, _whole, variant, cell, setup, name == "dense compiled")
    for backends in (("masked", "expand"), ("csr",)):
        for width, sparsity, name in itertools.product(widths, sparsities, backends):
            labels = {"width": width, "sparsity": sparsity, "variant": name}
            cell = Cell(width, sparsity, batch, length, 1)
            yield guarded(labels, _whole, Variant(name, bfloat16=True), cell, setup)


def _whole(variant: Variant, cell: Cell, setup: Setup, compiling: bool = False) -> Row:
    if setup.on_gpu:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated() if setup.on_gpu else 0
    network, optimizer = make(variant, cell, MASK)
    network.to(setup.device)
    forward = compiled(network, setup) if compiling else network
    step = stepper(forward, optimizer, random_batch(cell, setup.device), setup)
    # read as the training loop reads it, which waits for the device at every step
    timed = milliseconds(lambda: float(step().detach()), setup)
    peak = torch.cuda.max_memory_allocated() - before if setup.on_gpu else None
    return {**timed, "peak_bytes": peak, "state_bytes": state_of(network, optimizer).total}


def semi_structured(setup: Setup) -> Iterator[Row]:
    """What 2:4 instructions gain for one layer in bfloat16: with weights that stay, and with weights that a step moves.

    Only the forward product of a training step has a 2:4 operand along the right axis: the mask is not 2:4 along the
    outputs, as the gradient for the inputs would need it, and the weight's gradient is a product of dense matrices.
    """
    widths, tokens = ((64,), 64) if setup.dry else ((1024, 2048, 4096), 4096)
    for width in widths:
        shape, options = (4 * width, width), {"device": setup.device, "dtype": torch.bfloat16}
        mask = NOfMMask(2, 4).draw(shape, 0.5, named_generator(0, "mask", "layer")).to(setup.device)
        weight = torch.randn(shape, **options) * mask / width**0.5  # type: ignore[call-overload]
        inputs = torch.randn((tokens, width), **options)  # type: ignore[call-overload]
        # a CPU has no such instructions; the dry run goes through everything else
        convert = torch.sparse.to_sparse_semi_structured if setup.on_gpu else torch.Tensor.clone
        yield guarded({"width": width}, _two_of_four, weight, inputs, convert, setup)


def _two_of_four(weight: Tensor, inputs: Tensor, convert: Callable[[Tensor], Any], setup: Setup) -> Row:
    with torch.inference_mode():
        kept = convert(weight)
        true, computed = nn.functional.linear(inputs, weight), nn.functional.linear(inputs, kept)
        ways = {
            "dense": lambda: nn.functional.linear(inputs, weight),
            "2:4": lambda: nn.functional.linear(inputs, kept),
            "2:4 and conversion": lambda: nn.functional.linear(inputs, convert(weight)),
        }
        taken = {f"ms {name}": milliseconds(way, setup)["ms"] for name, way in ways.items()}
    return {"apart": float((computed - true).abs().max() / true.abs().max()), **taken, "stand_in": not setup.on_gpu}


def proxy(setup: Setup, seed: int = 0) -> tuple[nn.Module, torch.optim.Optimizer, Batch]:
    """A dense network of the default proxy's size, its optimizer and a batch."""
    cell = Cell(64, 0.0, 2, 16, 1) if setup.dry else Cell(64, 0.0, 8, 128, 1)
    spec = replace(specification(cell, 1.0), seed=seed)
    network, plan = build(spec)
    network.to(setup.device)
    return network, make_optimizer(network, plan, spec.optimizer), random_batch(cell, setup.device, seed)
