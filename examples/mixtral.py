"""Mixtral of Hugging Face: experts and router, and which published rule each of them follows.

Run it with ``python examples/mixtral.py``; it needs the extra ``huggingface``. The data are the bytes of this file.

*Experts* are hidden weights. ``transformers`` keeps all experts of a layer in one tensor, (experts, outputs, inputs);
each follows the rule of hidden weights (Yang & Hu, arXiv 2203.03466, Table 8; with density as in SuPar, arXiv
2405.15743) with the fan-in of a single expert and the density of the tensor. *The router* maps the width to a finite
number of outputs, one for each expert: it follows the rule of output weights (Table 8). Its multiplier 1 / m_d is
folded into initial values, learning rate and epsilon, which trains the same function. Embedding, gains and output
layer are as in Llama.

What is not claimed: that hyperparameters transfer over the *number of experts* or over the number of *active experts*.
Base and model have the same. Neither paper studied mixtures of experts; a router's choice is not continuous.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from transformers import MixtralConfig, MixtralForCausalLM

from smupar_transfer import plan

EXPERTS, ACTIVE = 4, 2


def make(width: int) -> MixtralForCausalLM:
    """A Mixtral for bytes. The loss that balances experts is part of ``loss`` where router logits are put out."""
    heads = {"num_attention_heads": width // 16, "num_key_value_heads": width // 16, "head_dim": 16}
    shape = {"hidden_size": width, "intermediate_size": 2 * width, "vocab_size": 256, "num_hidden_layers": 2, **heads}
    experts = {"num_local_experts": EXPERTS, "num_experts_per_tok": ACTIVE, "output_router_logits": True}
    return MixtralForCausalLM(MixtralConfig(**shape, **experts))


def batch() -> dict[str, Tensor]:
    """Eight pieces of this file, as models of ``transformers`` take them."""
    tokens = torch.frombuffer(bytearray(Path(__file__).read_bytes()), dtype=torch.uint8)[: 8 * 64].long().view(8, 64)
    return {"input_ids": tokens, "labels": tokens}


def main() -> None:
    """Plan, with a forward pass that shows what a router and experts sum over; train for some steps."""
    torch.manual_seed(0)
    model, data = make(128), batch()
    planned = plan(model, make(32), sample=data, density=0.25)
    planned.apply_(model)
    print(planned)
    optimizer = torch.optim.AdamW(planned.groups(model, learning_rate=0.01, weight_decay=0.1))
    losses = []
    for _ in range(20):
        loss = model(**data).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    planned.check(optimizer)
    print(f"loss {losses[0]:.2f}, after 20 steps {losses[-1]:.2f} nats a byte")


if __name__ == "__main__":
    main()
