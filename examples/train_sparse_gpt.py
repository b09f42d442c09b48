"""Plan a tiny sparse GPT, look at the numbers that its parameters get, and train it on a text for some steps.

Run it with ``python examples/train_sparse_gpt.py``. The text is the source code of these examples.
"""

from __future__ import annotations

from pathlib import Path

from smupar_transfer import BaseHyperparameters, RunSpec
from smupar_transfer.model import build
from smupar_transfer.records import BudgetSpec, GPTSpec, SparsitySpec
from smupar_transfer.theory import OptimizerSettings
from smupar_transfer.training import Execution, load_data, run


def main() -> None:
    """A network of width 64 whose proxy has width 16, with half of its hidden weights."""
    data = load_data("text", str(Path(__file__).parent / "*.py"))
    spec = RunSpec(
        model=GPTSpec(width=64, depth=1, head_dim=16, vocab_size=256, context=64),
        base_width=16,
        sparsity=SparsitySpec(density=0.5),
        parametrization="smupar",
        hparams=BaseHyperparameters(learning_rate=0.02, init_std=0.1, input_multiplier=4.0),
        optimizer=OptimizerSettings(),
        data=data.spec,
        budget=BudgetSpec(40, batch_size=8, sequence_length=64, warmup_steps=4, evaluations=1, evaluation_batches=2),
        seed=0,
    )

    _, plan = build(spec)
    for row in plan:
        print(f"{row.name:30} {row.role:10} density {row.density:<6.3g} learning rate {row.learning_rate:.3g}")

    record = run(spec, data, Execution(backend="masked"))
    print(
        f"loss {record.validation_loss:.3f} nats a byte after {record.tokens:,} bytes, in {record.wall_seconds:.1f} s"
    )
    print(f"{record.nonzero_parameters:,} of {record.parameters:,} parameters are not zero")


if __name__ == "__main__":
    main()
