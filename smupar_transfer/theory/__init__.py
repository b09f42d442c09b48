"""Parametrizations as tables of exponents. Pure Python: no torch, no files, no configuration library."""

from smupar_transfer.theory.choices import choose, with_choices
from smupar_transfer.theory.errors import InputError, one_line, shown, shown_text
from smupar_transfer.theory.hyperparameters import BaseHyperparameters, RelativeHyperparameters
from smupar_transfer.theory.parametrizations import (
    INIT_ONLY,
    LR_ONLY,
    MUP,
    PARAMETRIZATIONS,
    SMUPAR,
    SP,
    SP_EMBEDDING,
    Parametrization,
    Rule,
    parametrization,
    register_parametrization,
)
from smupar_transfer.theory.powers import Power, ScaleFactors
from smupar_transfer.theory.prediction import Coordinate, predicted, predicted_sgd_update
from smupar_transfer.theory.roles import Role
from smupar_transfer.theory.scaling import Optimizer, OptimizerSettings, ScaledHyperparameters, WeightDecayForm, scale
from smupar_transfer.theory.suggestions import OWN_NAME_HINT, close_words, did_you_mean, either
from smupar_transfer.theory.symmetry import without_multiplier

__all__ = [
    "INIT_ONLY",
    "LR_ONLY",
    "MUP",
    "OWN_NAME_HINT",
    "PARAMETRIZATIONS",
    "SMUPAR",
    "SP",
    "SP_EMBEDDING",
    "BaseHyperparameters",
    "Coordinate",
    "InputError",
    "Optimizer",
    "OptimizerSettings",
    "Parametrization",
    "Power",
    "RelativeHyperparameters",
    "Role",
    "Rule",
    "ScaleFactors",
    "ScaledHyperparameters",
    "WeightDecayForm",
    "choose",
    "close_words",
    "did_you_mean",
    "either",
    "one_line",
    "parametrization",
    "predicted",
    "predicted_sgd_update",
    "register_parametrization",
    "scale",
    "shown",
    "shown_text",
    "with_choices",
    "without_multiplier",
]
