"""Llama of Hugging Face with their ``Trainer``: its optimizer is made of the plan, its schedule keeps the ratios.

Run it with ``python examples/llama_trainer.py``; it needs the extra ``huggingface``. The data are the bytes of this
file. The optimizer is made by a function that ``Trainer`` calls with the model as it trains it, sharded or not:
``optimizers=(optimizer, None)`` is refused under FSDP, because it was made too early. Schedules
that multiply, which most of theirs do, keep the ratios; ``plan.check`` says so where one does not.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import AdamW
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments

from smupar_transfer import Plan, plan


def make(width: int) -> LlamaForCausalLM:
    """A Llama for bytes, of heads of 16 channels at every width."""
    shape = {"hidden_size": width, "intermediate_size": 3 * width, "num_attention_heads": width // 16, "head_dim": 16}
    return LlamaForCausalLM(LlamaConfig(vocab_size=256, num_hidden_layers=2, pad_token_id=0, **shape))


def pieces() -> list[dict[str, Any]]:
    """This file in pieces of 32 bytes, as ``Trainer`` takes them."""
    tokens = torch.frombuffer(bytearray(Path(__file__).read_bytes()), dtype=torch.uint8)[: 32 * 32].long().view(32, 32)
    return [{"input_ids": row, "labels": row} for row in tokens]


def trainer_of(planned: Plan, model: nn.Module, folder: str, steps: int) -> Any:
    """A ``Trainer`` that trains a planned model, and writes a checkpoint every ten steps."""

    def adamw(wrapped: nn.Module, **options: float) -> AdamW:
        return AdamW(planned.groups(wrapped, **options), lr=options["learning_rate"])  # floors count from there

    settings = {"save_steps": 10, "lr_scheduler_type": "cosine", "warmup_steps": 2, "max_grad_norm": 1.0}
    quiet = {"report_to": "none", "disable_tqdm": True, "use_cpu": True, "logging_steps": 10}
    arguments = TrainingArguments(folder, max_steps=steps, **settings, **quiet)
    chosen = (lambda: adamw, {"learning_rate": 0.02, "weight_decay": 0.1})
    return Trainer(model, arguments, train_dataset=pieces(), optimizer_cls_and_kwargs=chosen)


def main() -> None:
    """Train for twenty steps; then train another model, from the checkpoint after the tenth."""
    torch.manual_seed(0)
    model, base = make(128), make(32)
    planned = plan(model, base, density=0.25)
    planned.apply_(model)
    print(planned)
    with tempfile.TemporaryDirectory() as folder:
        trainer = trainer_of(planned, model, folder, steps=20)
        trainer.train()
        planned.check(trainer.optimizer)
        again = make(128)
        planned.apply_(again)
        resumed = trainer_of(planned, again, folder, steps=20)
        resumed.train(resume_from_checkpoint=f"{folder}/checkpoint-10")
        planned.check(resumed.optimizer)
    there = dict(model.named_parameters())
    apart = max((there[name] - value).abs().max().item() for name, value in again.named_parameters())
    print(f"resumed: weights differ by {apart:.1g} from those that were trained without a break")
    planned.fold_(model)
    print(f"weights that are not zero: {sum(int(weight.count_nonzero()) for weight in model.parameters())}")


if __name__ == "__main__":
    main()
