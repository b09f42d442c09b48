"""Dense layers at the two ends of a network.

Their type tells their role; a network's initialisation gives them values.
"""

from __future__ import annotations

from torch import nn


class Embedding(nn.Embedding):
    """Look-up table (num_embeddings, embedding_dim) at the input: its fan-out grows with width."""

    def reset_parameters(self) -> None:
        """Draw nothing: weights come from generators of their own, never from the global stream."""


class InputLinear(nn.Linear):
    """Linear layer from data of fixed size: its fan-out grows with width."""

    def reset_parameters(self) -> None:
        """Draw nothing: see ``Embedding``."""


class ReadoutLinear(nn.Linear):
    """Linear layer to outputs of fixed size: its fan-in grows with width."""

    def reset_parameters(self) -> None:
        """Draw nothing: see ``Embedding``."""
