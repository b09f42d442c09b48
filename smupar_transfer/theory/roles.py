"""What a parameter does in its network, which is all a parametrization needs to know of it."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """Which of a parameter's two dimensions grow with width, named as Yang & Hu (arXiv 2203.03466, Table 8) do."""

    EMBEDDING = "embedding"
    """Input weights: only fan-out grows. Tied embeddings have this role; their readout side is a multiplier."""
    HIDDEN = "hidden"
    """Both dimensions grow. The only role that is ever sparse."""
    READOUT = "readout"
    """Output weights: only fan-in grows."""
    VECTOR = "vector"
    """Biases and gains: one dimension, initialised to a constant, never decayed."""

    @property
    def is_ever_sparse(self) -> bool:
        """Whether parameters of this role may have a mask; the others always have density 1."""
        return self is Role.HIDDEN
