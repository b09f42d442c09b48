"""Training steps of the GPT against the textbook way of sparse training, interleaved in one run.

The textbook way multiplies dense weights by a mask in every forward pass (``torch.nn.utils.parametrize``) and steps a
dense AdamW. Every variant trains in a process of its own, so that its peak memory is its own; the processes take turns,
step by step, so that the machine's moods hit all alike. Reported: median tokens per second, the median ratio pair by
pair with its quartiles, and peak memory beyond what the process had before it built its network.

    python scripts/bench_step.py --widths 256 1024 --sparsities 0 0.875 0.984
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import platform
import resource
import statistics
import sys
import time
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from smupar_transfer.model import build
from smupar_transfer.records import BudgetSpec, DataSpec, GPTSpec, Positions, RunSpec, SparsitySpec, write_atomically
from smupar_transfer.sparsity import BACKENDS, SparseLinear
from smupar_transfer.theory import BaseHyperparameters, OptimizerSettings
from smupar_transfer.training import cross_entropy, machine_name, make_optimizer

VARIANTS = ("textbook", *BACKENDS)
BATCH, TIME, VOCABULARY = 4, 256, 256


class Masked(nn.Module):
    """The textbook parametrization: weight * mask."""

    mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        super().__init__()
        self.register_buffer("mask", mask.float())

    def forward(self, weight: Tensor) -> Tensor:
        return weight * self.mask


class TextbookLinear(nn.Module):
    """A sparse layer rebuilt as a dense one with a masked weight."""

    def __init__(self, layer: SparseLinear) -> None:
        super().__init__()
        self.linear = nn.Linear(layer.in_features, layer.out_features, bias=layer.bias is not None)
        self.linear.weight.data.copy_(layer.dense_weight())
        parametrize.register_parametrization(self.linear, "weight", Masked(layer.mask))

    def forward(self, inputs: Tensor) -> Tensor:
        return self.linear(inputs)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Cell:
    width: int
    sparsity: float
    threads: int


@dataclass(frozen=True)
class Row:
    """One variant in one cell; ``speed_up`` is over the textbook way, with its quartiles."""

    width: int
    sparsity: float
    threads: int
    variant: str
    tokens_per_second: float
    speed_up: float
    speed_up_low: float
    speed_up_high: float
    peak_bytes: int


def specification(cell: Cell) -> RunSpec:
    return RunSpec(
        model=GPTSpec(cell.width, 2, 64, VOCABULARY, TIME, positions=Positions.LEARNED),
        base_width=64,
        sparsity=SparsitySpec(1 - cell.sparsity),
        parametrization="smupar",
        hparams=BaseHyperparameters(learning_rate=1e-3, init_std=0.1),
        optimizer=OptimizerSettings(),
        data=DataSpec("random tokens", "", 1, 1),
        budget=BudgetSpec(steps=1, batch_size=BATCH, sequence_length=TIME),
    )


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def make_textbook(network: nn.Module) -> None:
    for name, module in list(network.named_modules()):
        if isinstance(module, SparseLinear):
            parent, _, leaf = name.rpartition(".")
            setattr(network.get_submodule(parent), leaf, TextbookLinear(module))


def trainer(variant: str, cell: Cell, pipe: Connection) -> None:
    """Build one variant; train a step whenever told to, answering with its seconds; at the end tell peak memory."""
    torch.set_num_threads(cell.threads)
    spec = specification(cell)
    before = peak_bytes()
    network, plan = build(spec, "masked" if variant == "textbook" else variant)
    if variant == "textbook":
        make_textbook(network)
        optimizer: torch.optim.Optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, betas=(0.9, 0.95))
    else:
        optimizer = make_optimizer(network, plan, spec.optimizer)
    generator = torch.Generator().manual_seed(0)
    while pipe.recv():
        tokens = torch.randint(VOCABULARY, (BATCH, TIME + 1), generator=generator)
        started = time.perf_counter()
        loss = cross_entropy(network(tokens[:, :-1]), tokens[:, 1:])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        pipe.send(time.perf_counter() - started)
    pipe.send(peak_bytes() - before)


def measure(cell: Cell, steps: int, warmup: int) -> list[Row]:
    """Seconds of every step of every variant, taking turns; order reversed every other round."""
    context = multiprocessing.get_context("spawn")
    pipes = {}
    for variant in VARIANTS:
        pipes[variant], theirs = context.Pipe()
        context.Process(target=trainer, args=(variant, cell, theirs), daemon=True).start()
    seconds: dict[str, list[float]] = {variant: [] for variant in VARIANTS}
    for index in range(warmup + steps):
        for variant in VARIANTS if index % 2 == 0 else reversed(VARIANTS):
            pipes[variant].send(True)
            taken = pipes[variant].recv()
            if index >= warmup:
                seconds[variant].append(taken)
    memory = {}
    for variant, pipe in pipes.items():
        pipe.send(False)
        memory[variant] = pipe.recv()
    ratios = {
        name: [slow / fast for slow, fast in zip(seconds["textbook"], taken, strict=True)]
        for name, taken in seconds.items()
    }
    return [
        Row(
            **asdict(cell),
            variant=name,
            tokens_per_second=BATCH * TIME / statistics.median(seconds[name]),
            speed_up=statistics.median(ratios[name]),
            speed_up_low=statistics.quantiles(ratios[name], n=4)[0],
            speed_up_high=statistics.quantiles(ratios[name], n=4)[2],
            peak_bytes=memory[name],
        )
        for name in VARIANTS
    ]


def line(row: Row) -> str:
    return (
        f"{row.width:>6} {row.sparsity:>8} {row.threads:>7} {row.variant:>9} {row.tokens_per_second:>9,.0f} "
        f"{row.speed_up:>8.2f} {row.speed_up_low:>6.2f}-{row.speed_up_high:<6.2f} {row.peak_bytes / 2**20:>8,.0f}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--widths", type=int, nargs="+", default=[256, 1024])
    parser.add_argument("--sparsities", type=float, nargs="+", default=[0.0, 0.875, 0.984])
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--warmup", type=int, default=3)
    parser.add_argument("--output", type=Path, default=None, help="folder for bench_step.json")
    chosen = parser.parse_args()
    print(f"{machine_name()}, torch {torch.__version__}, {BATCH} x {TIME} tokens a step, 2 layers")
    print(" width sparsity threads   variant  tokens/s speed-up  quartiles   peak MiB")
    rows: list[Row] = []
    for threads in chosen.threads:
        for width in chosen.widths:
            for sparsity in chosen.sparsities:
                found = measure(Cell(width, sparsity, threads), chosen.steps, chosen.warmup)
                rows.extend(found)
                print("\n".join(line(row) for row in found), flush=True)
    if chosen.output is not None:
        facts = {"machine": machine_name(), "torch": torch.__version__, "python": platform.python_version()}
        write_atomically(
            chosen.output / "bench_step.json",
            json.dumps({**facts, "rows": [asdict(row) for row in rows]}, indent=1) + "\n",
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
