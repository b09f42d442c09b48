"""From tuned base hyperparameters and a target to a recipe."""

from smupar_transfer.transfer.recipe import MINIMUM_WEIGHTS_PER_NEURON, cautions, make_recipe

__all__ = ["MINIMUM_WEIGHTS_PER_NEURON", "cautions", "make_recipe"]
