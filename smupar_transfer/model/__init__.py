"""Networks, the role of each of their parameters, and their initialisation."""

from smupar_transfer.model.build import Network, build, construct, initialise, outline
from smupar_transfer.model.cost import Cost, network_cost
from smupar_transfer.model.gpt import GPT
from smupar_transfer.model.layers import Embedding, InputLinear, ReadoutLinear
from smupar_transfer.model.mlp import MLP
from smupar_transfer.model.multipliers import Multipliers, multipliers
from smupar_transfer.model.plan import ParameterPlan, plan_parameters
from smupar_transfer.model.roles import Claim, UnclaimedParameterError, role_table
from smupar_transfer.model.twins import computation

__all__ = [
    "GPT",
    "MLP",
    "Claim",
    "Cost",
    "Embedding",
    "InputLinear",
    "Multipliers",
    "Network",
    "ParameterPlan",
    "ReadoutLinear",
    "UnclaimedParameterError",
    "build",
    "computation",
    "construct",
    "initialise",
    "multipliers",
    "network_cost",
    "outline",
    "plan_parameters",
    "role_table",
]
