"""From tuned base hyperparameters and a target to a recipe, and what a person should know before trusting it."""

from smupar_transfer.transfer.cautions import (
    MINIMUM_WEIGHTS_PER_NEURON,
    network_cautions,
    require_same_proxy,
    source_cautions,
    unread_settings,
)
from smupar_transfer.transfer.recipe import make_recipe, require_agreement

__all__ = [
    "MINIMUM_WEIGHTS_PER_NEURON",
    "make_recipe",
    "network_cautions",
    "require_agreement",
    "require_same_proxy",
    "source_cautions",
    "unread_settings",
]
