"""Runs that compute the same under different names."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import fields, replace
from functools import lru_cache

from smupar_transfer.model import multipliers_of, shapes_of
from smupar_transfer.records import RunSpec
from smupar_transfer.theory import (
    BaseHyperparameters,
    OptimizerSettings,
    Role,
    ScaleFactors,
    WeightDecayForm,
    parametrization,
)
from smupar_transfer.transfer import Rules

IN_NUMBERS = frozenset({"base_width", "hparams", "parametrization"})
"""Fields of a ``RunSpec`` that count through the absolute numbers alone.

Every other field, one that is added later among them, counts as it is: what is forgotten here keeps runs apart, and
never gives one the record of another.
"""


class _Computation:
    """What a run computes, with its hash: sets of ten thousand runs ask for it several times a run."""

    __slots__ = ("_content", "_hash")

    def __init__(self, content: Hashable) -> None:
        self._content, self._hash = content, hash(content)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Computation) and self._content == other._content

    def __hash__(self) -> int:
        return self._hash


@lru_cache(maxsize=2**15)
def computation(spec: RunSpec) -> Hashable:
    """Equal for two runs only if they train the same network on the same data with the same numbers, bit for bit.

    It holds the absolute numbers of every parameter, as ``plan_parameters`` takes them, and what of the specification
    does not end in them. So muP, SuPar and its ablations are one run where nothing is sparse, and the two forms of
    weight decay are one where nothing decays. What a mask's density comes out as is not known here; numbers, being
    products of powers, are compared at density 1 as well, and then agree at any density.
    """
    # set to one value rather than left out: a field that is added later counts until somebody says that it does not
    neutral = replace(
        spec,
        optimizer=replace(spec.optimizer, weight_decay_form=WeightDecayForm.COUPLED, epsilon=1.0),  # both in numbers
        data=replace(spec.data, path=None),  # data count by content
    )
    rest = tuple(getattr(neutral, item.name) for item in fields(RunSpec) if item.name not in IN_NUMBERS)
    widths = tuple({(shape.role, shape.width): None for shape in shapes_of(spec)})
    numbers = _numbers(spec.parametrization, spec.hparams, spec.optimizer, widths, spec.sparsity.density)
    return _Computation((numbers, multipliers_of(spec), rest))


@lru_cache(maxsize=4096)
def _numbers(
    name: str,
    hparams: BaseHyperparameters,
    optimizer: OptimizerSettings,
    widths: tuple[tuple[Role, float], ...],
    density: float,
) -> Hashable:
    """Absolute numbers of all parameters, which runs that differ in seed share: one entry for each role and width."""
    rules = Rules(parametrization(name), hparams, optimizer)
    return tuple(
        rules.scaled(role, ScaleFactors(width, rho))
        for role, width in widths
        for rho in ((1.0, density) if role.is_ever_sparse else (1.0,))
    )
