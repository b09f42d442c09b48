"""``smupar explain``: every parameter of a target, with the numbers it is trained with."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Sequence

from omegaconf import DictConfig
from rich.console import Group

from smupar_transfer.app import console
from smupar_transfer.app.recipes import announced_spec
from smupar_transfer.app.schema import FORMATS
from smupar_transfer.model import outline, plan_of
from smupar_transfer.reporting.number_format import significant
from smupar_transfer.theory import InputError, OptimizerSettings, Parametrization, Role
from smupar_transfer.theory.scaling import weight_decay_power
from smupar_transfer.transfer import ParameterPlan

FIELDS = (
    "name",
    "shape",
    "role",
    "fan_in",
    "density",
    "init_std",
    "learning_rate",
    "weight_decay",
    "epsilon",
    "forward_multiplier",
)


def run(config: DictConfig) -> None:
    """Print the plan of the target as a table, JSON or CSV; no weight is allocated."""
    if config.format not in FORMATS:
        raise InputError("format", config.format, f"is not one of {', '.join(FORMATS)}")
    spec = announced_spec(config)
    plan = plan_of(outline(spec), spec)
    if config.format == "json":
        print(json.dumps([_plain(row) for row in plan], indent=1))
    elif config.format == "csv":
        # csv's own line end is that of Windows, which shell tools take for a part of the last column
        writer = csv.DictWriter(sys.stdout, FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows({**_plain(row), "shape": "x".join(map(str, row.shape))} for row in plan)
    else:
        console.terminal().print(_rules(spec.table, spec.optimizer))
        console.terminal().print()
        console.terminal().print(_table(plan))


def _plain(row: ParameterPlan) -> dict[str, object]:
    return {name: list(value) if isinstance(value := getattr(row, name), tuple) else value for name in FIELDS}


def _rules(table: Parametrization, optimizer: OptimizerSettings) -> Group:
    """The parametrization itself, printed from the table that training reads."""
    rows = []
    for role in Role:
        rule = table[role]
        learning_rate = optimizer.rule.learning_rate(rule, role)
        rows.append(
            [
                str(role),
                str(rule.init_variance),
                str(learning_rate),
                str(weight_decay_power(learning_rate, optimizer.weight_decay_form)),
                str(rule.adam_epsilon),
                str(rule.forward_multiplier),
            ]
        )
    columns = ["role", "init variance", "learning rate", "weight decay", "epsilon", "forward multiplier"]
    title = f"{table.title} with {optimizer.name}: factors on the base value; attention logits x d_head^"
    return console.table(f"{title}{table.attention_exponent:g}", columns, rows)


def _table(plan: Sequence[ParameterPlan]) -> Group:
    rows = [
        [
            row.name,
            "x".join(map(str, row.shape)),
            str(row.role),
            significant(row.density, 3),
            significant(row.init_std, 3),
            significant(row.learning_rate, 3),
            significant(row.weight_decay, 3),
            significant(row.epsilon, 2),
            significant(row.forward_multiplier, 3),
        ]
        for row in plan
    ]
    columns = ["parameter", "shape", "role", "density", "std", "LR", "decay", "eps", "multiplier"]
    return console.table("parameters", columns, rows)
