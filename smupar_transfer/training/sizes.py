"""Sizes of tensors, as coordinate checks compare them."""

from __future__ import annotations

from torch import Tensor


def rms(values: Tensor) -> float:
    """Root mean square of all entries, summed in double precision."""
    return float(values.detach().double().square().mean().sqrt())


def ratio(size: float, reference: float) -> float:
    """A size relative to another; 0 where that is 0."""
    return size / reference if reference > 0 else 0.0
