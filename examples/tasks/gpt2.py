"""A GPT-2 of Hugging Face `transformers` on Python source, byte by byte: a task for every command.

smupar tune model=module model.factory=examples/tasks/gpt2.py study.name=gpt2_proxy
"""

from collections.abc import Iterator

import torch
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel

from smupar_transfer.training import TokenData, load_data

TOKENS, SEQUENCES, HEAD = 128, 8, 16
tokens_per_step = TOKENS * SEQUENCES


def make_model(width: int) -> GPT2LMHeadModel:
    """Two blocks, the output layer tied to the embedding; a wider model has more heads of the same size."""
    config = GPT2Config(
        n_embd=width,
        n_layer=2,
        n_head=width // HEAD,
        n_positions=TOKENS,
        vocab_size=256,
        bos_token_id=0,
        eos_token_id=0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        resid_pdrop=0.0,
        use_cache=False,
    )
    return GPT2LMHeadModel(config)


def batches(split: str, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Inputs and targets of eight sequences of 128 bytes; those for validation are the same in every run."""
    data = load_data("python")
    assert isinstance(data, TokenData)
    if split == "validation":
        yield from data.validation_batches(16, SEQUENCES, TOKENS)
        return
    generator = torch.Generator().manual_seed(seed)
    while True:
        yield data.train_batch(generator, SEQUENCES, TOKENS)


def loss(model: GPT2LMHeadModel, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Cross-entropy of the next byte, in nats."""
    inputs, targets = batch
    return torch.nn.functional.cross_entropy(model(input_ids=inputs).logits.flatten(0, 1), targets.flatten())
