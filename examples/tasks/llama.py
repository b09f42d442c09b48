"""A Llama of Hugging Face `transformers` on Python source, byte by byte: a task for every command.

smupar tune model=module model.factory=examples/tasks/llama.py study.name=llama_proxy
"""

from collections.abc import Iterator

import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from smupar_transfer.training import TokenData, load_data

TOKENS, SEQUENCES, HEAD = 128, 8, 16
tokens_per_step = TOKENS * SEQUENCES


def make_model(width: int) -> LlamaForCausalLM:
    """Two blocks; heads keep their size, and there are more of them in a wider model."""
    config = LlamaConfig(
        hidden_size=width,
        intermediate_size=3 * width,
        num_hidden_layers=2,
        num_attention_heads=width // HEAD,
        num_key_value_heads=width // HEAD // 2,
        head_dim=HEAD,
        vocab_size=256,
        max_position_embeddings=TOKENS,
        use_cache=False,
    )
    return LlamaForCausalLM(config)


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


def loss(model: LlamaForCausalLM, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Cross-entropy of the next byte, in nats."""
    inputs, targets = batch
    return torch.nn.functional.cross_entropy(model(input_ids=inputs).logits.flatten(0, 1), targets.flatten())
