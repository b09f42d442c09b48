"""Do the first updates of a layer keep their size as the layer becomes sparse? They do under SuPar, not under muP.

Run it with ``python examples/coordinate_check.py``. The command ``smupar coordinates`` does it with seeds and
intervals.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

from smupar_transfer import BaseHyperparameters, RunSpec
from smupar_transfer.records import BudgetSpec, GPTSpec, SparsitySpec
from smupar_transfer.theory import OptimizerSettings
from smupar_transfer.training import Execution, load_data, measure

DENSITIES = (1.0, 0.5, 0.25)


def main() -> None:
    """Print the size of the first update at three densities, averaged over layers in log2."""
    data = load_data("text", str(Path(__file__).parent / "*.py"))
    spec = RunSpec(
        model=GPTSpec(width=64, depth=1, head_dim=16, vocab_size=256, context=32),
        base_width=64,
        sparsity=SparsitySpec(),
        parametrization="smupar",
        hparams=BaseHyperparameters(learning_rate=0.01, init_std=0.1, input_multiplier=4.0),
        optimizer=OptimizerSettings(),
        data=data.spec,
        budget=BudgetSpec(2, batch_size=8, sequence_length=32, evaluations=1, evaluation_batches=1),
        seed=0,
    )
    print("log2 size of the first update, by density")
    for name in ("mup", "smupar"):
        sizes = []
        for density in DENSITIES:
            at = replace(spec, parametrization=name, sparsity=SparsitySpec(density))
            layers = measure(at, data, Execution(backend="masked")).layers
            sizes.append(sum(math.log2(layer.update[0]) for layer in layers) / len(layers))
        words = "  ".join(f"{density}: {size:.2f}" for density, size in zip(DENSITIES, sizes, strict=True))
        print(f"{name:8} {words}  slope: {(sizes[-1] - sizes[0]) / math.log2(DENSITIES[-1] / DENSITIES[0]):.2f}")


if __name__ == "__main__":
    main()
