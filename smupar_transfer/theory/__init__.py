"""Parametrizations as tables of exponents. Pure Python: no torch, no files, no configuration library."""

from smupar_transfer.theory.choices import choose, with_choices
from smupar_transfer.theory.errors import InputError, is_signal, one_line, shown, shown_text
from smupar_transfer.theory.hyperparameters import HYPERPARAMETERS, BaseHyperparameters, RelativeHyperparameters
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
from smupar_transfer.theory.prediction import Coordinate, predicted
from smupar_transfer.theory.roles import Role
from smupar_transfer.theory.scaling import (
    ClipNorm,
    OptimizerSettings,
    ScaledHyperparameters,
    WeightDecayForm,
    gradient_norm,
    scale,
)
from smupar_transfer.theory.suggestions import OWN_NAME_HINT, close_words, did_you_mean, either
from smupar_transfer.theory.symmetry import without_multiplier
from smupar_transfer.theory.update_rules import (
    ADAMW,
    SGD,
    SOMETIMES_READ,
    UPDATE_RULES,
    UpdateRule,
    UpdateSize,
    like_adam,
    like_sgd,
    register_update_rule,
    update_rule,
)

__all__ = [
    "ADAMW",
    "HYPERPARAMETERS",
    "INIT_ONLY",
    "LR_ONLY",
    "MUP",
    "OWN_NAME_HINT",
    "PARAMETRIZATIONS",
    "SGD",
    "SMUPAR",
    "SOMETIMES_READ",
    "SP",
    "SP_EMBEDDING",
    "UPDATE_RULES",
    "BaseHyperparameters",
    "ClipNorm",
    "Coordinate",
    "InputError",
    "OptimizerSettings",
    "Parametrization",
    "Power",
    "RelativeHyperparameters",
    "Role",
    "Rule",
    "ScaleFactors",
    "ScaledHyperparameters",
    "UpdateRule",
    "UpdateSize",
    "WeightDecayForm",
    "choose",
    "close_words",
    "did_you_mean",
    "either",
    "gradient_norm",
    "is_signal",
    "like_adam",
    "like_sgd",
    "one_line",
    "parametrization",
    "predicted",
    "register_parametrization",
    "register_update_rule",
    "scale",
    "shown",
    "shown_text",
    "update_rule",
    "with_choices",
    "without_multiplier",
]
