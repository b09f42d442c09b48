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
from smupar_transfer.sparsity import SparseLinear
from smupar_transfer.theory import BaseHyperparameters, OptimizerSettings
from smupar_transfer.training import cross_entropy, machine_name, make_optimizer

VARIANTS = ("textbook", "masked")
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
    network, plan = build(spec)
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


def measure(cell: Cell, steps: int, warmup: int) -> dict[str, object]:
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
    ratios = [slow / fast for slow, fast in zip(seconds["textbook"], seconds["masked"], strict=True)]
    return {
        **asdict(cell),
        "tokens_per_second": {name: BATCH * TIME / statistics.median(taken) for name, taken in seconds.items()},
        "speed_up": statistics.median(ratios),
        "speed_up_quartiles": statistics.quantiles(ratios, n=4)[::2],
        "peak_bytes": memory,
    }


def line(row: dict[str, object]) -> str:
    rate, memory = row["tokens_per_second"], row["peak_bytes"]
    quartiles = row["speed_up_quartiles"]
    assert isinstance(rate, dict)
    assert isinstance(memory, dict)
    assert isinstance(quartiles, list)
    return (
        f"{row['width']:>6} {row['sparsity']:>8} {row['threads']:>7} "
        f"{rate['textbook']:>12,.0f} {rate['masked']:>12,.0f} "
        f"{row['speed_up']:>8.2f} {quartiles[0]:>6.2f}-{quartiles[1]:<6.2f} "
        f"{memory['textbook'] / 2**20:>10,.0f} {memory['masked'] / 2**20:>10,.0f}"
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
    print(" width sparsity threads  textbook t/s   masked t/s speed-up  quartiles    MiB text.  MiB masked")
    rows = []
    for threads in chosen.threads:
        for width in chosen.widths:
            for sparsity in chosen.sparsities:
                rows.append(measure(Cell(width, sparsity, threads), chosen.steps, chosen.warmup))
                print(line(rows[-1]), flush=True)
    if chosen.output is not None:
        facts = {"machine": machine_name(), "torch": torch.__version__, "python": platform.python_version()}
        write_atomically(chosen.output / "bench_step.json", json.dumps({**facts, "rows": rows}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
