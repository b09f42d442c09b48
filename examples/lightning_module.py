"""A planned model in PyTorch Lightning: optimizer and schedule in ``configure_optimizers``, masks under clipping.

Run it with ``python examples/lightning_module.py``; it needs the extra ``lightning``.
"""

from __future__ import annotations

import tempfile

import lightning
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR
from torch.utils.data import DataLoader, TensorDataset

from smupar_transfer import plan


def make(width: int) -> nn.Sequential:
    """A classifier of vectors."""
    layers = [layer for _ in range(2) for layer in (nn.Linear(width, width), nn.GELU())]
    return nn.Sequential(nn.Linear(32, width), nn.GELU(), *layers, nn.Linear(width, 10))


class Classifier(lightning.LightningModule):  # type: ignore[misc]
    """Plans and applies before Lightning moves, wraps or shards it; asks for groups after that."""

    def __init__(self, width: int = 256, density: float = 0.125) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.network = make(width)
        self.plan = plan(self.network, make(64), density=density, hparams={"learning_rate": 0.01, "weight_decay": 0.1})
        self.plan.apply_(self.network)

    def training_step(self, batch: tuple[Tensor, Tensor], _number: int) -> Tensor:
        """The loss of a batch."""
        loss = nn.functional.cross_entropy(self.network(batch[0]), batch[1])
        self.log("loss", loss)
        return loss

    def configure_optimizers(self) -> tuple[list[torch.optim.Optimizer], list[dict[str, object]]]:
        """AdamW with the plan's groups, and a schedule with a floor, which keeps their ratios."""
        optimizer = torch.optim.AdamW(self.plan.groups(self.network))
        schedule = self.plan.schedule(optimizer, lambda base: CosineAnnealingLR(base, 32, eta_min=0.001))
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]


def main() -> None:
    """Train for two epochs of sixteen steps, save, and load."""
    lightning.seed_everything(0)
    inputs = torch.randn(1024, 32)
    data = DataLoader(TensorDataset(inputs, inputs[:, :10].argmax(1)), batch_size=64)
    module = Classifier()
    print(module.plan)
    trainer = lightning.Trainer(
        max_epochs=2,
        accelerator="cpu",
        gradient_clip_val=1.0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, data)
    module.plan.check(trainer.optimizers[0])
    print(f"loss {float(trainer.callback_metrics['loss']):.2f}, of {torch.tensor(10.0).log():.2f} by guessing")
    with tempfile.TemporaryDirectory() as folder:
        trainer.save_checkpoint(f"{folder}/last.ckpt")
        loaded = Classifier.load_from_checkpoint(f"{folder}/last.ckpt")
    print(f"loaded: outputs are the same: {torch.equal(loaded.network(inputs), module.network(inputs))}")
    kept = int(loaded.network[2].weight.count_nonzero())
    print(f"{kept} of {256 * 256} weights of a hidden layer are not zero")


if __name__ == "__main__":
    main()
