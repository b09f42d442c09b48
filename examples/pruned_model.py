"""A model that ``torch.nn.utils.prune`` has pruned, unevenly; and one pruned by magnitude after it was trained.

Run it with ``python examples/pruned_model.py``. With ``density="found"`` every tensor's learning rate follows the
density that it has. The masks of the first model are applied by ``torch`` itself, those of the second are buffers.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from smupar_transfer import Plan, plan

GENERATOR = torch.Generator().manual_seed(0)
INPUTS = torch.randn(512, 32, generator=GENERATOR)
LABELS = INPUTS[:, :10].argmax(1)


def make(width: int) -> nn.Sequential:
    """A classifier of vectors."""
    hidden = [layer for _ in range(2) for layer in (nn.Linear(width, width), nn.ReLU())]
    return nn.Sequential(nn.Linear(32, width), nn.ReLU(), *hidden, nn.Linear(width, 10))


def loss_of(model: nn.Module, batch: tuple[Tensor, Tensor] = (INPUTS, LABELS)) -> Tensor:
    """How far a model is from telling which of ten inputs is the largest."""
    return nn.functional.cross_entropy(model(batch[0]), batch[1])


def optimizer_of(planned: Plan, model: nn.Module) -> torch.optim.Optimizer:
    """AdamW with the plan's rates for a base rate of 0.01."""
    return torch.optim.AdamW(planned.groups(model, learning_rate=0.01, weight_decay=0.1))


def train(model: nn.Module, optimizer: torch.optim.Optimizer) -> float:
    """Twenty steps, and the loss before the last of them."""
    for _ in range(20):
        optimizer.zero_grad()
        loss = loss_of(model)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return loss.item()


def main() -> None:
    """Prune, plan and train; then train, prune and go on."""
    torch.manual_seed(0)
    pruned: Any = make(256)
    for path, amount in (("2", 0.5), ("4", 0.875)):
        prune.random_unstructured(pruned.get_submodule(path), "weight", amount)  # type: ignore[no-untyped-call]
    planned = plan(pruned, make(64), density="found")
    planned.apply_(pruned)
    print(planned)
    print(f"loss {train(pruned, optimizer_of(planned, pruned)):.2f}")
    print(f"pruned before: {pruned[4].weight.count_nonzero().item() / 256**2:.3f} of the weights are not zero\n")

    model: Any = make(256)
    planned = plan(model, make(64))
    planned.apply_(model)
    optimizer = optimizer_of(planned, model)
    print(f"dense: loss {train(model, optimizer):.3f}, hidden rates x {planned['2.weight'].learning_rate_factor:.2f}")
    for layer in (model[2], model[4]):
        size = layer.weight.detach().abs()
        layer.register_buffer("weight_mask", size >= size.quantile(0.75))
    planned = planned.update_(model, optimizer)
    print(f"a quarter kept: loss {loss_of(model):.3f}, rates x {planned['2.weight'].learning_rate_factor:.2f}")
    print(f"trained on: loss {train(model, optimizer):.3f}, {planned['2.weight'].m_rho:.2f} of the weights are there")


if __name__ == "__main__":
    main()
