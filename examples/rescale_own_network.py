"""Rescale hyperparameters that were tuned on a small dense proxy, for a wide sparse network of your own.

Run it with ``python examples/rescale_own_network.py``. It trains nothing but one step, which shows that all fits.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from smupar_transfer import (
    BaseHyperparameters,
    Rules,
    SparseLinear,
    initialise,
    parameter_groups,
    plan_parameters,
)
from smupar_transfer.sparsity import named_generator
from smupar_transfer.theory import SMUPAR, OptimizerSettings
from smupar_transfer.transfer import InputLinear, Multipliers, ReadoutLinear


class Network(nn.Module):
    """A classifier of vectors. Which role a weight has is read off the type of its layer."""

    def __init__(self, width: int, density: float, multipliers: Multipliers) -> None:
        super().__init__()
        self.multipliers = multipliers
        self.input = InputLinear(32, width)
        self.hidden = SparseLinear(width, width, density=density)
        self.readout = ReadoutLinear(width, 10)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits. The two multipliers are part of the parametrization."""
        first = torch.relu(self.multipliers.input * self.input(inputs))
        logits: Tensor = self.multipliers.output * self.readout(torch.relu(self.hidden(first)))
        return logits


def main() -> None:
    """Plan, initialise and train one step of a network four times as wide as its proxy, 1 hidden weight in 8 kept."""
    tuned = BaseHyperparameters(learning_rate=0.01, init_std=0.1)
    rules = Rules(SMUPAR, tuned, OptimizerSettings())
    proxy = Network(64, 1.0, rules.multipliers(1.0))
    target = Network(256, 1 / 8, rules.multipliers(256 / 64))

    target.hidden.draw_mask(named_generator(0, "mask", "hidden.weight"))
    plan = plan_parameters(target, proxy, rules)
    initialise(target, plan, seed=0)
    print(f"{'parameter':16} {'role':10} {'init std':>9} {'learning rate':>14}")
    for row in plan:
        print(f"{row.name:16} {row.role:10} {row.init_std:9.4g} {row.learning_rate:14.4g}")

    optimizer = torch.optim.AdamW(parameter_groups(target, plan))
    loss = nn.functional.cross_entropy(target(torch.randn(16, 32)), torch.randint(10, (16,)))
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    print(f"one step was taken; loss before it: {loss.item():.3f}")


if __name__ == "__main__":
    main()
