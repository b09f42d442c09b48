"""Parameter groups of an optimizer, from a plan."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn

from smupar_transfer.transfer.parameters import ParameterPlan

PEAK = "peak_learning_rate"
"""Key of a group under which its planned learning rate stays while schedules change ``lr``."""


def parameter_groups(network: nn.Module, plan: Iterable[ParameterPlan]) -> list[dict[str, Any]]:
    """One group per distinct (learning rate, weight decay, epsilon), each parameter in exactly one.

    Raises:
        KeyError: the network has a parameter that the plan does not name.
    """
    parameters = dict(network.named_parameters())
    groups: dict[tuple[float, float, float], list[nn.Parameter]] = {}
    for row in plan:
        values = (row.learning_rate, row.weight_decay, row.epsilon)
        groups.setdefault(values, []).append(parameters.pop(row.name))
    if parameters:
        raise KeyError(f"not in the plan: {', '.join(parameters)}")
    return [
        {"params": members, "lr": rate, PEAK: rate, "weight_decay": decay, "eps": epsilon}
        for (rate, decay, epsilon), members in groups.items()
    ]
