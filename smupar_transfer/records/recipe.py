"""A recipe: how to train a target, in absolute numbers, with the base they follow from."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from pathlib import Path

from smupar_transfer.records.identify import FileKind
from smupar_transfer.records.spec import SCHEMA_VERSION, ModelSpec, SparsitySpec
from smupar_transfer.records.tuned import Tuned, check_trial
from smupar_transfer.records.yamls import read_yaml, write_yaml
from smupar_transfer.theory import (
    BaseHyperparameters,
    InputError,
    OptimizerSettings,
    Role,
    ScaledHyperparameters,
    ScaleFactors,
    parametrization,
    scale,
)

AGREEMENT = 1e-9  # relative; YAML keeps floats to the last bit, so this only forgives another machine's libm


@dataclass(frozen=True)
class RoleValues:
    """What all parameters of one role are trained with.

    Attributes:
        m_d, m_rho: width and density relative to the proxy.
        init_std: absolute; 0 for vectors. learning_rate: peak. weight_decay, epsilon: as torch's optimizers take them.
        forward_multiplier: on the output of the embedding, or on the logits.
    """

    m_d: float
    m_rho: float
    init_std: float
    learning_rate: float
    weight_decay: float
    epsilon: float
    forward_multiplier: float


@dataclass(frozen=True)
class Source:
    """Where base hyperparameters come from: a trial of a study, with its validation loss (nats) on the proxy."""

    study: str
    trial: int
    value: float
    proxy_model: ModelSpec
    proxy_parametrization: str
    data_sha256: str

    def __post_init__(self) -> None:
        check_trial(self.value, self.trial)

    @classmethod
    def of(cls, tuned: Tuned) -> Source:
        """What a recipe keeps of a tuned point."""
        proxy = tuned.proxy
        return cls(tuned.study, tuned.trial, tuned.value, proxy.model, proxy.parametrization, proxy.data.sha256)


@dataclass(frozen=True)
class Recipe:
    """Everything that defines the training of a target but its data and budget.

    Attributes:
        hparams: base hyperparameters. source: where they come from; None if given by hand.
        model, sparsity: the target. base_width: width of the proxy.
        roles: absolute values by role, at the target's nominal density.
    """

    hparams: BaseHyperparameters
    source: Source | None
    parametrization: str
    optimizer: OptimizerSettings
    base_width: int
    model: ModelSpec
    sparsity: SparsitySpec
    roles: dict[Role, RoleValues]


def width_factor(width: int, base_width: int) -> float:
    """m_d = d / d_base.

    Raises:
        InputError: ``base_width`` is not positive.
    """
    if base_width < 1:
        raise InputError("base_width", base_width, "must be at least 1")
    return width / base_width


def derive_roles(
    name: str,
    hparams: BaseHyperparameters,
    optimizer: OptimizerSettings,
    m_d: float,
    density: float,
) -> dict[Role, RoleValues]:
    """Absolute values of every role under the parametrization ``name`` (SuPar, arXiv 2405.15743, Table 1)."""
    table = parametrization(name)
    roles = {}
    for role in Role:
        factors = ScaleFactors(m_d, density if role is Role.HIDDEN else 1.0)
        values: ScaledHyperparameters = scale(table, role, factors, hparams, optimizer)
        roles[role] = RoleValues(m_d=factors.width, m_rho=factors.density, **vars(values))
    return roles


def write_recipe(path: Path, recipe: Recipe) -> None:
    """Write a recipe as YAML.

    Raises:
        InputError: the file cannot be written.
    """
    heading = "A training recipe. Absolute numbers follow from hparams: change those, then transfer again."
    write_yaml(path, recipe, SCHEMA_VERSION, heading, "recipe")


def read_recipe(path: Path) -> Recipe:
    """Read a recipe and derive its absolute numbers again.

    Raises:
        InputError: there is no such file, it holds something else, or its numbers disagree with its base.
    """
    recipe = read_yaml(path, Recipe, SCHEMA_VERSION, FileKind.RECIPE)
    try:
        derived = derive_roles(
            recipe.parametrization,
            recipe.hparams,
            recipe.optimizer,
            width_factor(recipe.model.width, recipe.base_width),
            recipe.sparsity.density,
        )
    except InputError as error:
        raise InputError(error.key, error.value, f"{error.problem} (in {path})", error.remedy) from None
    for role, expected in derived.items():
        if role not in recipe.roles:
            raise InputError("recipe", str(path), f"has no values for role {role}")
        for field in fields(RoleValues):
            written, right = getattr(recipe.roles[role], field.name), getattr(expected, field.name)
            if not math.isclose(written, right, rel_tol=AGREEMENT):
                raise InputError(
                    "recipe",
                    str(path),
                    f"says {role}.{field.name} is {written:.6g}, but its base hyperparameters give {right:.6g}",
                    "change hparams and transfer again instead of editing derived values",
                )
    return recipe
