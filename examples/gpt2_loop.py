"""GPT-2 of Hugging Face, made sparse and trained by a plain loop, from saved plan to folded model.

Run it with ``python examples/gpt2_loop.py``; it needs the extra ``huggingface``. The data are the bytes of this file.
"""

from __future__ import annotations

import copy
import tempfile
from pathlib import Path

import torch
from torch import Tensor
from torch.optim.lr_scheduler import CosineAnnealingLR
from transformers import GPT2Config, GPT2LMHeadModel

from smupar_transfer import Plan, plan

STEPS = 30


def make(width: int) -> GPT2LMHeadModel:
    """A GPT-2 for bytes: as many heads as fit, so that the size of a head is the same at every width."""
    shape = {"vocab_size": 256, "n_positions": 64, "n_embd": width, "n_layer": 2, "n_head": width // 16}
    return GPT2LMHeadModel(GPT2Config(**shape, bos_token_id=0, eos_token_id=0))


def batch() -> dict[str, Tensor]:
    """Eight pieces of this file, as models of ``transformers`` take them."""
    tokens = torch.frombuffer(bytearray(Path(__file__).read_bytes()), dtype=torch.uint8)[: 8 * 64].long().view(8, 64)
    return {"input_ids": tokens, "labels": tokens}


def main() -> None:
    """Plan, train, save, load and fold."""
    torch.manual_seed(0)
    model, data = make(128), batch()
    planned = plan(model, make(32), density=0.25)
    planned.apply_(model)
    print(planned)
    optimizer = torch.optim.AdamW(planned.groups(model, learning_rate=0.02, weight_decay=0.1))
    schedule = planned.schedule(optimizer, lambda base: CosineAnnealingLR(base, STEPS, eta_min=0.001))
    for step in range(STEPS):
        loss = model(**data).loss
        loss.backward()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if step in (0, STEPS - 1):
            print(f"step {step + 1}: loss {loss.item():.2f} nats a byte")
    planned.check(optimizer)
    ordinary = copy.deepcopy(model).eval()
    planned.fold_(ordinary)
    with tempfile.TemporaryDirectory() as folder:
        planned.save(f"{folder}/plan.json")
        print("plans that were saved and loaded differ in", Plan.load(f"{folder}/plan.json").diff(planned))
        ordinary.save_pretrained(folder)
        loaded = GPT2LMHeadModel.from_pretrained(folder)
    print(f"loss of the model that was folded, saved and loaded: {loaded(**data).loss.item():.2f}")


if __name__ == "__main__":
    main()
