"""Below how many weights a neuron transfer has not been tried."""

MINIMUM_WEIGHTS_PER_NEURON = 16
"""Fewest non-zero weights per neuron that SuPar was tried with (arXiv 2405.15743: width 1024, density 1/64)."""


def is_thin(weights_per_neuron: float) -> bool:
    """Whether a layer has fewer; a part in ten thousand is forgiven, since a sparsity is written with a few digits."""
    return weights_per_neuron < MINIMUM_WEIGHTS_PER_NEURON * (1 - 1e-4)
