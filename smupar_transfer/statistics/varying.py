"""Fields of run specifications that differ between the runs of a sweep and have no column of their own in its table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

import pandas as pd

from smupar_transfer.records import RunSpec, to_plain
from smupar_transfer.statistics.labels import Setting
from smupar_transfer.theory import HYPERPARAMETERS

FIELD = "spec."
"""What names of fields begin with, so that no column of another meaning is taken for one."""
IN_COLUMNS = frozenset(
    {
        "model.width",
        "model.depth",
        "base_width",
        "sparsity.density",
        "sparsity.mask",
        "parametrization",
        *(f"hparams.{name}" for name in HYPERPARAMETERS),
        "optimizer.name",
        "optimizer.epsilon",
        "optimizer.weight_decay_form",
        "budget.steps",  # tokens, with the batch's size
        "budget.warmup_steps",  # as a part of the steps
        "seed",
        "data.path",  # data count by content
    }
)
"""Fields that columns of the table tell; a field of ``RunSpec`` that is not here counts where it varies."""


def varying_fields(specs: Sequence[RunSpec]) -> dict[str, list[Setting]]:
    """Values, a run each, of every field that varies over the runs and that no column tells.

    Args:
        specs: The specifications of the runs, in the order of the table's rows.

    Returns:
        Each field's name, such as ``spec.optimizer.beta2``, with its values; "-" for runs that have no such field.
    """
    varying: dict[str, list[Setting]] = {}
    for part in (item.name for item in fields(RunSpec)):
        # by identity: where records were read from a file, equal parts are one object (``files.share_equal``)
        by_identity: dict[int, dict[str, Any]] = {}
        rows = [_remembered(getattr(spec, part), part, by_identity) for spec in specs]
        distinct = list(by_identity.values())
        for name in dict.fromkeys(name for row in distinct for name in row if name not in IN_COLUMNS):
            if len({row.get(name, "-") for row in distinct}) > 1:
                varying[FIELD + name] = _settings([row.get(name, "-") for row in rows])
    return varying


def _remembered(value: Any, part: str, known: dict[int, dict[str, Any]]) -> dict[str, Any]:
    """The plain fields of a part of a specification, by their whole names; ``known`` has those by ``id``."""
    if id(value) not in known:
        known[id(value)] = dict(_leaves({part: to_plain(value)}))
    return known[id(value)]


def _settings(values: Sequence[Any]) -> list[Setting]:
    """Numbers where all of them are; else words, which can be sorted and compared whatever they stand for."""
    # to Python true is a number, to people it is none
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return list(values)
    return ["none" if value is None else str(value).lower() for value in values]


def _leaves(plain: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in plain.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def without_unit_scale(table: pd.DataFrame) -> pd.DataFrame:
    """A table of settings without the scale of initial values where it is 1 throughout: as in the package's own."""
    unit = "init_scale" in table and bool((table["init_scale"] == 1).all())
    return table.drop(columns="init_scale") if unit else table
