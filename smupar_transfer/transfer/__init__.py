"""The heart: from a module, its proxy and a table of rules to the numbers every parameter is trained with."""

from smupar_transfer.transfer.groups import PEAK, parameter_groups
from smupar_transfer.transfer.initialisation import initialise
from smupar_transfer.transfer.layers import Embedding, InputLinear, ReadoutLinear
from smupar_transfer.transfer.plan import ParameterPlan, ParameterShape, compare_shapes, plan_parameters
from smupar_transfer.transfer.recipe import (
    Recipe,
    Source,
    make_recipe,
    read_recipe,
    require_agreement,
    width_factor,
    write_recipe,
)
from smupar_transfer.transfer.roles import Claim, UnclaimedParameterError, role_table
from smupar_transfer.transfer.rules import Multipliers, RoleValues, Rules

__all__ = [
    "PEAK",
    "Claim",
    "Embedding",
    "InputLinear",
    "Multipliers",
    "ParameterPlan",
    "ParameterShape",
    "ReadoutLinear",
    "Recipe",
    "RoleValues",
    "Rules",
    "Source",
    "UnclaimedParameterError",
    "compare_shapes",
    "initialise",
    "make_recipe",
    "parameter_groups",
    "plan_parameters",
    "read_recipe",
    "require_agreement",
    "role_table",
    "width_factor",
    "write_recipe",
]
