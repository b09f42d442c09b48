"""A recipe: how to train a target, in absolute numbers, with the base they follow from."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from pathlib import Path

from smupar_transfer.records.identify import FileKind
from smupar_transfer.records.spec import SCHEMA_VERSION, BudgetSpec, ModelSpec, SparsitySpec
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
        m_d: width relative to the proxy.
        m_rho: density relative to the dense proxy.
        init_std: standard deviation of initial values, absolute; 0 for vectors, which start from a constant.
        learning_rate: peak.
        weight_decay: as torch's optimizers take it.
        epsilon: Adam's, as torch takes it.
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
    """Where base hyperparameters come from: a trial of a study on a dense proxy, and what that was trained with.

    Attributes:
        study: name of the study.
        trial: number of the trial in it.
        value: its validation loss on the proxy, in nats.
        proxy_model: the proxy's shape; its width is the one from which m_d is counted.
        proxy_parametrization: name of the table the proxy was trained under.
        data_sha256: of the data that the proxy learned from.
        proxy_optimizer: its optimizer; None in recipes of version 0.1.
        proxy_budget: how long it was trained; None in recipes of version 0.1.
        data_name: name of the data set, as in ``data=...``; empty in recipes of version 0.1.
        data_path: where a person's own data lay; None for data that has no path.
    """

    study: str
    trial: int
    value: float
    proxy_model: ModelSpec
    proxy_parametrization: str
    data_sha256: str
    proxy_optimizer: OptimizerSettings | None = None
    proxy_budget: BudgetSpec | None = None
    data_name: str = ""
    data_path: str | None = None

    def __post_init__(self) -> None:
        check_trial(self.value, self.trial)

    @classmethod
    def of(cls, tuned: Tuned) -> Source:
        """What a recipe keeps of a tuned point."""
        proxy = tuned.proxy
        return cls(
            study=tuned.study,
            trial=tuned.trial,
            value=tuned.value,
            proxy_model=proxy.model,
            proxy_parametrization=proxy.parametrization,
            data_sha256=proxy.data.sha256,
            proxy_optimizer=proxy.optimizer,
            proxy_budget=proxy.budget,
            data_name=proxy.data.name,
            data_path=proxy.data.path,
        )


@dataclass(frozen=True)
class Recipe:
    """Everything that defines the training of a target but its data and budget.

    Attributes:
        hparams: base hyperparameters.
        source: where they come from; None if nobody tuned them (given by hand, or the defaults).
        parametrization: name of the table of rules.
        optimizer: of the target.
        base_width: width of the proxy.
        model: the target's shape.
        sparsity: the target's.
        roles: absolute values by role, those of hidden weights at the target's nominal density.
        layers: absolute values by name of each hidden weight matrix, at the density its mask will have; empty where
            that is the nominal one for all of them, so that ``roles`` says all, and for Bernoulli masks, whose density
            is known only once they are drawn.
    """

    hparams: BaseHyperparameters
    source: Source | None
    parametrization: str
    optimizer: OptimizerSettings
    base_width: int
    model: ModelSpec
    sparsity: SparsitySpec
    roles: dict[Role, RoleValues]
    layers: dict[str, RoleValues] = field(default_factory=dict)

    def values_of(self, role: Role, name: str) -> RoleValues:
        """What a parameter of that role and name is trained with."""
        return self.layers.get(name, self.roles[role]) if role is Role.HIDDEN else self.roles[role]


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
    return {
        role: derive_values(name, role, hparams, optimizer, ScaleFactors(m_d, density if role is Role.HIDDEN else 1.0))
        for role in Role
    }


def derive_values(
    name: str, role: Role, hparams: BaseHyperparameters, optimizer: OptimizerSettings, factors: ScaleFactors
) -> RoleValues:
    """Absolute values of one role at one scale."""
    values: ScaledHyperparameters = scale(parametrization(name), role, factors, hparams, optimizer)
    return RoleValues(m_d=factors.width, m_rho=factors.density, **vars(values))


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
        _require_agreement(path, str(role), recipe.roles[role], expected)
    for layer, written in recipe.layers.items():
        factors = ScaleFactors(width_factor(recipe.model.width, recipe.base_width), written.m_rho)
        expected = derive_values(recipe.parametrization, Role.HIDDEN, recipe.hparams, recipe.optimizer, factors)
        _require_agreement(path, layer, written, expected)
    return recipe


def _require_agreement(path: Path, what: str, written: RoleValues, expected: RoleValues) -> None:
    for item in fields(RoleValues):
        says, right = getattr(written, item.name), getattr(expected, item.name)
        if not math.isclose(says, right, rel_tol=AGREEMENT):
            raise InputError(
                "recipe",
                str(path),
                f"says {what}.{item.name} is {says:.6g}, but its base hyperparameters give {right:.6g}",
                "change hparams and transfer again instead of editing derived values",
            )
