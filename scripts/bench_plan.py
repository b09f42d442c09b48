"""What a plan costs: a training step of a planned GPT-2 over that of the bare one, and planning a very deep model.

Both models step in turn on the same batch, in one process with one thread, and processor time is counted, so that other
work on the machine hits both alike. The deep model lies on the meta device, where planning is all that takes time.

    python scripts/bench_plan.py --width 256 --steps 40 --layers 1000
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from transformers import GPT2Config, GPT2LMHeadModel

from smupar_transfer import plan
from smupar_transfer.training import machine_name

WARMUP = 3
"""Steps of each model that do not count: the first ones fetch memory."""
BASE, HEAD, TOKENS, SEQUENCES = 32, 16, 64, 8


def gpt2(width: int) -> GPT2LMHeadModel:
    """Two blocks with heads of 16 channels, for bytes."""
    shape = {"vocab_size": 256, "n_positions": TOKENS, "n_embd": width, "n_layer": 2, "n_head": width // HEAD}
    torch.manual_seed(0)
    return GPT2LMHeadModel(GPT2Config(**shape, bos_token_id=0, eos_token_id=0, use_cache=False))


def stepper(model: nn.Module, groups: object, batch: Tensor) -> Callable[[], None]:
    """One step of AdamW, as a loop of anybody's has it."""
    optimizer = torch.optim.AdamW(groups, lr=0.001)  # type: ignore[arg-type]

    def step() -> None:
        optimizer.zero_grad()
        model(input_ids=batch, labels=batch).loss.backward()
        optimizer.step()

    return step


def ratios(width: int, steps: int) -> list[float]:
    """Processor time of a planned step over that of the bare step beside it, dense, with both multipliers."""
    batch = torch.randint(256, (SEQUENCES, TOKENS), generator=torch.Generator().manual_seed(0))
    bare, planned = gpt2(width), gpt2(width)
    made = plan(planned, gpt2(BASE), hparams={"input_multiplier": 2.0, "output_multiplier": 2.0})
    made.apply_(planned)
    steppers = stepper(bare, bare.parameters(), batch), stepper(planned, made.groups(planned, 0.001), batch)
    taken: tuple[list[float], list[float]] = ([], [])
    for turn in range(WARMUP + steps):
        for which in (0, 1) if turn % 2 else (1, 0):  # neither always comes second
            started = time.process_time()
            steppers[which]()
            taken[which].append(time.process_time() - started)
    return [ours / theirs for theirs, ours in zip(*(times[WARMUP:] for times in taken), strict=True)]


class Block(nn.Module):
    """A block of a deep network: four matrices and a norm, ten parameters."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(4))


def deep(width: int, layers: int) -> nn.Sequential:
    """A network of many blocks without memory."""
    with torch.device("meta"):
        blocks = (Block(width) for _ in range(layers))
        return nn.Sequential(nn.Embedding(256, width), *blocks, nn.Linear(width, 256, bias=False))


def planning_seconds(layers: int) -> tuple[int, float]:
    """Number of parameters of a deep network, and the processor time of planning it."""
    model, base = deep(8 * BASE, layers), deep(2 * BASE, layers)
    started = time.process_time()
    made = plan(model, base)
    return len(made.rows), time.process_time() - started


def report(width: int, steps: int, layers: int) -> str:
    """Both measurements in words; a short run is a check of this script, and no measurement."""
    low, middle, high = statistics.quantiles(ratios(width, steps), n=4)
    parameters, seconds = planning_seconds(layers)
    return "\n".join(
        (
            f"{machine_name('cpu')}, one thread, processor time",
            f"planned GPT-2 of width {width} over the bare one: {middle:.3f} [{low:.3f}, {high:.3f}] "
            f"(median and quartiles of {steps} steps)",
            f"planning {layers:,} blocks, {parameters:,} parameters, on meta: {seconds:.2f} s",
        )
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=256, help="of the GPT-2, a multiple of 16")
    parser.add_argument("--steps", type=int, default=40, help="that count, two at least")
    parser.add_argument("--layers", type=int, default=1000, help="blocks of the deep network")
    words = parser.parse_args()
    if words.width <= BASE or words.width % HEAD or words.steps < 2 or words.layers < 1:
        parser.error(f"--width takes multiples of {HEAD} above {BASE}, --steps 2 or more, --layers 1 or more")
    torch.set_num_threads(1)
    print(report(words.width, words.steps, words.layers))


if __name__ == "__main__":
    main()
