"""Our GPT and MLP, and how a run specification makes one of them."""

from smupar_transfer.model.cautions import (
    network_cautions,
    require_same_proxy,
    source_cautions,
)
from smupar_transfer.model.cost import Cost, network_cost
from smupar_transfer.model.gpt import GPT
from smupar_transfer.model.mlp import MLP
from smupar_transfer.model.networks import (
    Network,
    build,
    construct,
    multipliers_of,
    outline,
    plan_of,
    product_type,
    proxy_of,
    rules_of,
    shapes_of,
)
from smupar_transfer.model.tasks import Task, load_task, task_of, task_of_functions

__all__ = [
    "GPT",
    "MLP",
    "Cost",
    "Network",
    "Task",
    "build",
    "construct",
    "load_task",
    "multipliers_of",
    "network_cautions",
    "network_cost",
    "outline",
    "plan_of",
    "product_type",
    "proxy_of",
    "require_same_proxy",
    "rules_of",
    "shapes_of",
    "source_cautions",
    "task_of",
    "task_of_functions",
]
