"""A recipe: how to train a target, in absolute numbers, with the base they follow from."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import astuple, dataclass, field, fields, replace
from pathlib import Path

from smupar_transfer.records import SCHEMA_VERSION, BudgetSpec, FileKind, ModelSpec, ModuleSpec, SparsitySpec, Tuned
from smupar_transfer.records.tuned import check_trial
from smupar_transfer.records.yamls import read_yaml, write_yaml
from smupar_transfer.sparsity import is_counted
from smupar_transfer.theory import (
    BaseHyperparameters,
    InputError,
    OptimizerSettings,
    Role,
    ScaleFactors,
    parametrization,
)
from smupar_transfer.transfer.parameters import ParameterPlan
from smupar_transfer.transfer.rules import RoleValues, Rules

AGREEMENT = 1e-9  # relative: the last bits of another machine's libm are forgiven, nothing else


@dataclass(frozen=True)
class Source:
    """Where base hyperparameters come from: a trial of a study on a dense proxy, and what that was trained with.

    Attributes:
        study: The name of the study.
        trial: The number of the trial in it.
        value: Its validation loss on the proxy, in nats.
        proxy_model: The proxy's shape; its width is the one from which m_d is counted.
        proxy_parametrization: The name of the table that the proxy was trained under.
        data_sha256: The hash of the data that the proxy learned from.
        proxy_optimizer: The proxy's optimizer; None in recipes of version 0.1.
        proxy_budget: How long the proxy was trained; None in recipes of version 0.1.
        data_name: The name of the data set, as in ``data=...``; empty in recipes of version 0.1.
        data_path: Where a person's own data lay; None for data that has no path.
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
            proxy_model=replace(proxy.model, width=proxy.base_width),
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
        hparams: The base hyperparameters.
        source: Where they come from; None if nobody tuned them (given by hand, or the defaults).
        parametrization: The name of the table of rules.
        optimizer: The target's optimizer.
        base_width: The width of the proxy.
        model: The target's shape.
        sparsity: The target's sparsity.
        roles: Absolute values by role, those of hidden weights at the target's nominal density.
        layers: Absolute values by name of each hidden weight matrix, at its own fan-in and at the density that its mask
            will have; empty where ``roles`` says the same of all of them, and for masks whose density is known only
            once they are drawn. For a model that initialises itself, those of every parameter: there ``roles`` has
            standard deviations relative to the model's own.
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

    @property
    def rules(self) -> Rules:
        """What the absolute numbers follow from.

        Raises:
            InputError: no table has the name of ``parametrization``.
        """
        return Rules(parametrization(self.parametrization), self.hparams, self.optimizer)


def width_factor(width: int, base_width: int) -> float:
    """m_d = d / d_base.

    Raises:
        InputError: ``base_width`` is not positive.
    """
    if base_width < 1:
        raise InputError("base_width", base_width, "must be at least 1")
    return width / base_width


def make_recipe(
    rules: Rules,
    model: ModelSpec,
    base_width: int,
    sparsity: SparsitySpec,
    plan: Iterable[ParameterPlan],
    source: Source | None,
) -> Recipe:
    """Rescale base hyperparameters to a target: by role, and layer by layer where layers differ in fan-in or density.

    Args:
        rules: with the base hyperparameters.
        model: the target's shape.
        base_width: width of the proxy.
        sparsity: the target's.
        plan: of the target's parameters, on the meta device if need be.
        source: where the base hyperparameters come from; None if nobody tuned them.
    """
    roles = rules.by_role(width_factor(model.width, base_width), sparsity.density)
    own = isinstance(model, ModuleSpec)
    layers = (
        {row.name: row.values for row in plan if own or row.role is Role.HIDDEN}
        if is_counted(sparsity.mask, sparsity.density)
        else {}
    )
    return Recipe(
        hparams=rules.hparams,
        source=source,
        parametrization=rules.table.name,
        optimizer=rules.optimizer,
        base_width=base_width,
        model=model,
        sparsity=sparsity,
        roles=roles,
        layers=layers if own or any(values != roles[Role.HIDDEN] for values in layers.values()) else {},
    )


def require_agreement(recipe: Recipe, plan: Iterable[ParameterPlan]) -> None:
    """Check that what a recipe says of parameters is what a plan, made from it, trains them with.

    A parameter whose own width factor is not that of its role (the bias of a readout does not grow) is none that the
    recipe speaks of.

    Raises:
        InputError: a number of the recipe is another one than that of the plan.
    """
    own = isinstance(recipe.model, ModuleSpec)
    for row in plan:
        # densities that chance decides are known once masks are drawn: the recipe has none to compare
        if not is_counted(recipe.sparsity.mask, recipe.sparsity.density) and (own or row.role is Role.HIDDEN):
            continue
        if own and row.name not in recipe.layers:
            raise InputError("recipe", row.name, "is not in the recipe", "transfer again")
        says, trained = recipe.layers.get(row.name, recipe.roles[row.role]), row.values
        if row.role is not Role.HIDDEN and not own and says.m_d != trained.m_d:
            continue
        pairs = zip(astuple(says), astuple(trained), strict=True)
        if not all(math.isclose(said, right, rel_tol=AGREEMENT) for said, right in pairs):
            problem = (
                f"says m_d = {says.m_d:.6g}, m_rho = {says.m_rho:.6g} for {row.name}, "
                f"which has {trained.m_d:.6g}, {trained.m_rho:.6g}"
            )
            raise InputError("recipe", row.name, problem, "transfer again: it is of an earlier version, or edited")


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
        rules, m_d = recipe.rules, width_factor(recipe.model.width, recipe.base_width)
        derived = rules.by_role(m_d, recipe.sparsity.density)
    except InputError as error:
        # with the file, of which the rules do not know
        raise InputError(error.key, error.value, f"{error.problem} (in {path})", error.remedy) from None
    for role, expected in derived.items():
        if role not in recipe.roles:
            raise InputError("recipe", str(path), f"has no values for role {role}")
        _require_same(path, str(role), recipe.roles[role], expected)
    if isinstance(recipe.model, ModuleSpec):
        return recipe  # what follows for its parameters is known once its task is: see ``require_agreement``
    for layer, written in recipe.layers.items():
        expected = rules.values(Role.HIDDEN, ScaleFactors(written.m_d, written.m_rho))
        _require_same(path, layer, written, expected)
    return recipe


def _require_same(path: Path, what: str, written: RoleValues, expected: RoleValues) -> None:
    for item in fields(RoleValues):
        says, right = getattr(written, item.name), getattr(expected, item.name)
        if not math.isclose(says, right, rel_tol=AGREEMENT):
            raise InputError(
                "recipe",
                str(path),
                f"says {what}.{item.name} is {says:.6g}, but its base hyperparameters give {right:.6g}",
                "change hparams and transfer again instead of editing derived values",
            )
