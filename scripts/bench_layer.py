"""One sparse layer in every way to compute it: forward, backward and AdamW, interleaved step by step.

All ways step the same weights and inputs in turn, so that the machine's moods hit all alike. The packages sparselab and
sparseprop take part where Python finds them; a way whose first results are not those of the dense product does not.

    python scripts/bench_layer.py --sparsities 0.5 0.75 0.9375 0.984 --threads 1
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from bench.cells import folder_of
from bench.numbers import Spread, in_words, spread
from bench.page import table
from bench.rivals import PACKAGES, TOLERANCE, Layer, error_of, makers
from smupar_transfer.records import write_atomically
from smupar_transfer.sparsity import BACKENDS, SparseLinear, named_generator
from smupar_transfer.training import machine_name

WARMUP = 3


def model_of(width: int, sparsity: float) -> SparseLinear:
    """The layer that all ways compute."""
    layer = SparseLinear(width, width, density=1 - sparsity)
    layer.draw_mask(named_generator(0, "mask", "layer"))
    layer.set_weight(torch.randn(layer.shape, generator=named_generator(0, "weight", "layer")) / width**0.5)
    return layer


def stepper(layer: Layer, inputs: torch.Tensor, gradient: torch.Tensor) -> Callable[[], None]:
    """One optimizer step of one layer."""
    optimizer = torch.optim.AdamW([layer.weight], fused=layer.fused or None)
    own = inputs.clone().requires_grad_()

    def step() -> None:
        optimizer.zero_grad()
        own.grad = None
        layer.module(own).backward(gradient)
        optimizer.step()

    return step


def measure(width: int, sparsity: float, tokens: int, steps: int) -> dict[str, list[float]]:
    """Milliseconds of every step of every way that computes correctly."""
    model = model_of(width, sparsity)
    inputs, gradient = torch.randn(tokens, width), torch.randn(tokens, width)
    steppers = {}
    for name, make in makers().items():
        layer = make(model)
        error = error_of(layer, model, inputs, gradient)
        if error <= TOLERANCE:
            steppers[name] = stepper(layer, inputs, gradient)
        else:
            print(f"{name} is left out: its relative error at s={sparsity:g} is {error:.1e}", file=sys.stderr)
    times: dict[str, list[float]] = {name: [] for name in steppers}
    for turn in range(WARMUP + steps):
        for name, step in steppers.items():
            started = time.perf_counter()
            step()
            if turn >= WARMUP:
                times[name].append(1e3 * (time.perf_counter() - started))
    return times


def ahead(times: dict[str, list[float]], ours: str) -> Spread | None:
    """How many times as fast one of ours is as the package that is fastest at the median."""
    rivals = [name for name in PACKAGES if name in times]
    if not rivals or ours not in times:
        return None
    fastest = min(rivals, key=lambda name: statistics.median(times[name]))
    return spread([slow / fast for slow, fast in zip(times[fastest], times[ours], strict=True)])


def section(measured: dict[float, dict[str, list[float]]], ours: str, setting: str) -> str:
    """Markdown: a row a sparsity, a column a way."""
    names = list(dict.fromkeys(name for times in measured.values() for name in times))
    rows = []
    for sparsity, times in measured.items():
        row = [_shown(spread(times[name]), 1) if name in times else "-" for name in names]
        lead = ahead(times, ours)
        rows.append([f"{sparsity:g}", *row, _shown(lead, 2) if lead else "-"])
    header = ["s", *names, f"{ours} over fastest package"]
    return f"## One layer\n\nMilliseconds a step (forward, backward, AdamW), {setting}.\n\n{table(header, rows)}"


def _shown(spread: Spread, digits: int) -> str:
    return f"{spread.middle:.{digits}f} ({spread.low:.{digits}f}-{spread.high:.{digits}f})"


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sparsities", type=float, nargs="+", default=[0.5, 0.75, 0.9375, 0.984])
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--tokens", type=int, default=1024)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--ours", choices=list(BACKENDS), default="native", help="what packages are compared with")
    parser.add_argument("--output", type=Path, default=None, help="that of bench_sparse.py, whose page has layer.md")
    return parser


def main(given: list[str] | None = None) -> int:
    chosen = arguments().parse_args(given)
    os.environ["OMP_NUM_THREADS"] = str(chosen.threads)  # the packages bring an OpenMP of their own, loaded later
    torch.set_num_threads(chosen.threads)
    absent = [name for name in PACKAGES if name not in makers()]
    if absent:
        print(f"not installed, hence left out: {', '.join(absent)}", file=sys.stderr)
    shape = f"{chosen.width} x {chosen.width}, {chosen.tokens} tokens"
    setting = f"{shape}, {in_words(chosen.threads)}, {machine_name()}"
    measured = {
        sparsity: measure(chosen.width, sparsity, chosen.tokens, chosen.steps) for sparsity in chosen.sparsities
    }
    text = section(measured, chosen.ours, setting)
    print(text)
    if chosen.output is not None:
        write_atomically(folder_of(chosen.output, machine_name()) / "layer.md", text, "--output")
    return 0


if __name__ == "__main__":
    sys.exit(main())
