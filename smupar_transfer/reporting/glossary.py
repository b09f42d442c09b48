"""The words of the field that pages use, explained at the foot of every page."""

from __future__ import annotations

GLOSSARY = {
    "Drift": "how far the optimum moves along the axis, in octaves; an octave is a factor of two.",
    "Regret": "the loss lost by using the proxy's optimum as it is (zero-shot), in nats or percent of the best loss.",
    "Base": "hyperparameters as they were tuned on the proxy; each parametrization rescales them, role by role, from "
    "the base width and from dense weights to the network that is trained.",
    "Target": "the wide sparse network that is to be trained; the proxy is the small dense one that is tuned instead.",
    "Weights per neuron": "non-zero weights that lead into an output of a layer, on average.",
}
"""Word and explanation, in the order in which they are shown."""
