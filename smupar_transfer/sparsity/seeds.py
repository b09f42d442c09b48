"""One random stream per purpose and parameter, so that adding a layer or a mask moves nothing else."""

from __future__ import annotations

import hashlib

import torch


def named_generator(seed: int, purpose: str, name: str) -> torch.Generator:
    """A CPU generator whose stream depends on (seed, purpose, name) and on nothing else.

    Args:
        seed: The seed of the run.
        purpose: What is drawn: "weight", "mask", "batches", ...
        name: The name of the parameter, or any other name unique within the purpose.
    """
    digest = hashlib.sha256(f"{seed}\n{purpose}\n{name}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)
