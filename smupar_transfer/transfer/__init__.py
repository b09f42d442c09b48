"""The heart: from a module, its proxy and a table of rules to the numbers every parameter is trained with."""

from smupar_transfer.transfer.evidence import Evidence
from smupar_transfer.transfer.exporters import Export, export_recipe, require_format
from smupar_transfer.transfer.groups import PEAK, parameter_groups
from smupar_transfer.transfer.held_sparsity import held_report
from smupar_transfer.transfer.initialisation import initialise
from smupar_transfer.transfer.layers import Embedding, InputLinear, ReadoutLinear
from smupar_transfer.transfer.open_roles import OpenParameter, OpenRolesError
from smupar_transfer.transfer.parameters import ParameterPlan, ParameterShape, compare_shapes, plan_parameters
from smupar_transfer.transfer.plan_data import ModuleMultiplier, PlanRow
from smupar_transfer.transfer.planning import plan
from smupar_transfer.transfer.plans import Plan
from smupar_transfer.transfer.recipe import (
    Recipe,
    Source,
    make_recipe,
    read_recipe,
    require_agreement,
    width_factor,
    write_recipe,
)
from smupar_transfer.transfer.roles import Claim, claim_parameters, role_table
from smupar_transfer.transfer.rules import Multipliers, RoleValues, Rules
from smupar_transfer.transfer.sparsifying import sparsify_
from smupar_transfer.transfer.thin import MINIMUM_WEIGHTS_PER_NEURON, is_thin

__all__ = [
    "MINIMUM_WEIGHTS_PER_NEURON",
    "PEAK",
    "Claim",
    "Embedding",
    "Evidence",
    "Export",
    "InputLinear",
    "ModuleMultiplier",
    "Multipliers",
    "OpenParameter",
    "OpenRolesError",
    "ParameterPlan",
    "ParameterShape",
    "Plan",
    "PlanRow",
    "ReadoutLinear",
    "Recipe",
    "RoleValues",
    "Rules",
    "Source",
    "claim_parameters",
    "compare_shapes",
    "export_recipe",
    "held_report",
    "initialise",
    "is_thin",
    "make_recipe",
    "parameter_groups",
    "plan",
    "plan_parameters",
    "read_recipe",
    "require_agreement",
    "require_format",
    "role_table",
    "sparsify_",
    "width_factor",
    "write_recipe",
]
