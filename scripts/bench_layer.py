"""One sparse layer under every compute backend: forward, backward and AdamW, interleaved step by step.

Every backend steps the same weights and inputs in turn, so that the machine's moods hit all alike; the table shows
medians in milliseconds a step, with quartiles.

    python scripts/bench_layer.py --sparsities 0.5 0.75 0.9375 0.984 --threads 1
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch

from smupar_transfer.sparsity import BACKENDS, SparseLinear, computing_backend, named_generator


def stepper(backend: str, sparsity: float, width: int, tokens: int) -> Callable[[], None]:
    """One optimizer step of one layer."""
    layer = SparseLinear(width, width, density=1 - sparsity, backend=backend)
    layer.draw_mask(named_generator(0, "mask", "layer"))
    layer.set_weight(torch.randn(layer.shape, generator=named_generator(0, "weight", "layer")) / width**0.5)
    optimizer = torch.optim.AdamW(layer.parameters(), fused=True)
    inputs = torch.randn(tokens, width, requires_grad=True)
    gradient = torch.randn(tokens, width)

    def step() -> None:
        optimizer.zero_grad()
        inputs.grad = None
        layer(inputs).backward(gradient)
        optimizer.step()

    return step


def main() -> None:
    """Print a line per sparsity."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sparsities", type=float, nargs="+", default=[0.5, 0.75, 0.9375, 0.984])
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--tokens", type=int, default=1024)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for sparsity in arguments.sparsities:
        steppers = {
            name: stepper(name, sparsity, arguments.width, arguments.tokens)
            for name in BACKENDS
            if computing_backend(name) == name
        }
        times: dict[str, list[float]] = {name: [] for name in steppers}
        for turn in range(3 + arguments.steps):
            for name, step in steppers.items():
                started = time.perf_counter()
                step()
                if turn >= 3:  # the first ones allocate
                    times[name].append(1e3 * (time.perf_counter() - started))
        print(
            f"s={sparsity:<7g}", *(f"{name} {_shown(values)}" for name, values in times.items()), sep="  ", flush=True
        )


def _shown(values: list[float]) -> str:
    low, middle, high = statistics.quantiles(values, n=4)
    return f"{middle:.1f} ({low:.1f}-{high:.1f})"


if __name__ == "__main__":
    main()
