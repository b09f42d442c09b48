"""Runs that compute the same under different names."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import astuple, fields, replace
from functools import lru_cache

from smupar_transfer.model.multipliers import multipliers
from smupar_transfer.records import RunSpec
from smupar_transfer.theory import (
    BaseHyperparameters,
    OptimizerSettings,
    Role,
    ScaleFactors,
    WeightDecayForm,
    parametrization,
    scale,
)

IN_NUMBERS = frozenset({"base_width", "hparams", "parametrization"})
"""Fields of a ``RunSpec`` that count through the absolute numbers alone.

Every other field, one that is added later among them, counts as it is: what is forgotten here keeps runs apart, and
never gives one the record of another.
"""


def computation(spec: RunSpec) -> Hashable:
    """Equal for two runs only if they train the same network on the same data with the same numbers, bit for bit.

    It holds the absolute numbers of every role, as ``plan_parameters`` takes them, and what of the specification does
    not end in them. So muP, SuPar and its ablations are one run where nothing is sparse, and the two forms of weight
    decay are one where nothing decays. What a mask's density comes out as is not known here; numbers, being products of
    powers, are compared with and without width and density, and then agree at any density.
    """
    numbers = _numbers(spec.parametrization, spec.width_factor, spec.sparsity.density, spec.hparams, spec.optimizer)
    neutral = replace(
        spec,
        optimizer=replace(spec.optimizer, weight_decay_form=WeightDecayForm.COUPLED, epsilon=1.0),  # both in numbers
        data=replace(spec.data, path=None),  # data count by content
    )
    rest = tuple(getattr(neutral, item.name) for item in fields(RunSpec) if item.name not in IN_NUMBERS)
    return numbers, multipliers(spec), rest


@lru_cache(maxsize=4096)
def _numbers(
    name: str, width_factor: float, density: float, hparams: BaseHyperparameters, optimizer: OptimizerSettings
) -> Hashable:
    """Absolute numbers of all roles, which runs that differ in seed share."""
    table = parametrization(name)
    return tuple(
        astuple(scale(table, role, ScaleFactors(width, rho), hparams, optimizer))
        for role in Role
        for width in (1.0, width_factor)
        for rho in (1.0, density)
    )
