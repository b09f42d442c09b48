"""What exporters are given, and what they give back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from smupar_transfer.records import GPTSpec, ModelSpec, ModuleSpec
from smupar_transfer.theory import (
    ADAMW,
    InputError,
    OptimizerSettings,
    Parametrization,
    Role,
    ScaleFactors,
    parametrization,
)
from smupar_transfer.transfer.parameters import ParameterPlan
from smupar_transfer.transfer.recipe import Recipe

OTHERS = "torchtitan, olmo-core, hf-trainer and json take numbers by parameter"
"""What to do where a stack has too few numbers for a recipe."""


@dataclass(frozen=True)
class Stack:
    """A training stack, as far as a file for it must say.

    Attributes:
        format: The word by which it is chosen.
        title: How its file calls it, with the version whose sources were read.
        selects: How it finds the parameters that numbers are for, as a sentence.
    """

    format: str
    title: str
    selects: str


@dataclass(frozen=True)
class Exported:
    """A recipe with the numbers of its parameters.

    Attributes:
        recipe: The recipe.
        rows: What every parameter of its network is trained with.
    """

    recipe: Recipe
    rows: tuple[ParameterPlan, ...]

    @property
    def table(self) -> Parametrization:
        """The table of rules."""
        return parametrization(self.recipe.parametrization)

    @property
    def optimizer(self) -> OptimizerSettings:
        """The settings of the update rule."""
        return self.recipe.optimizer

    @property
    def model(self) -> ModelSpec:
        """The network that is trained."""
        return self.recipe.model

    @property
    def is_own(self) -> bool:
        """Whether the network is a person's own, which initialises itself."""
        return isinstance(self.model, ModuleSpec)

    @property
    def input_multiplier(self) -> float:
        """The factor on what the first layer gives."""
        return self._multiplier(Role.EMBEDDING)

    @property
    def output_multiplier(self) -> float:
        """The factor on the logits."""
        return self._multiplier(Role.READOUT)

    @property
    def attention_scale(self) -> float | None:
        """The factor on products of queries and keys; None where a person's own network has its own, or has none."""
        if not isinstance(self.model, GPTSpec):
            return None
        return float(self.model.head_dim**self.table.attention_exponent)

    @property
    def densities(self) -> list[float]:
        """Densities of sparse parameters, each once, from the least."""
        return sorted({row.density for row in self.rows if row.density < 1})

    def of_role(self, role: Role) -> list[ParameterPlan]:
        """The rows of a role."""
        return [row for row in self.rows if row.role is role]

    def _multiplier(self, role: Role) -> float:
        """That of the role's own row; a readout that is the embedding's own matrix has none, and grows as that does."""
        own = self.of_role(role)
        if own:
            return own[0].forward_multiplier
        shared = self.of_role(Role.EMBEDDING)
        if not shared:
            return self.recipe.roles[role].forward_multiplier
        return self.recipe.rules.scaled(role, ScaleFactors(shared[0].width)).forward_multiplier


@dataclass(frozen=True)
class Export:
    """A file for another stack.

    Attributes:
        text: The file's content.
        losses: What the stack cannot say, or says otherwise, a sentence each; ``text`` starts with them.
    """

    text: str
    losses: tuple[str, ...]


def require_adamw(exported: Exported, stack: Stack) -> None:
    """Refuse another update rule than AdamW.

    Raises:
        InputError: the recipe has another one.
    """
    if exported.optimizer.name != ADAMW.name:
        problem = f"is what the recipe is trained with, and a file for {stack.format} says AdamW alone"
        raise InputError("optimizer.name", exported.optimizer.name, problem, "to=json says everything")


def require_transformer(exported: Exported, stack: Stack) -> None:
    """Refuse what a stack that builds its own transformer cannot train.

    Raises:
        InputError: the recipe is of a network that is certainly none, or no hidden weights are in it.
    """
    if not isinstance(exported.model, GPTSpec | ModuleSpec):
        problem = f"builds a transformer of its own, and the recipe is of an {exported.model.kind}"
        raise InputError("to", stack.format, problem, OTHERS)
    require_roles(exported, stack, (Role.HIDDEN, Role.EMBEDDING))


def require_roles(exported: Exported, stack: Stack, roles: Iterable[Role]) -> None:
    """Refuse a network without parameters of some role.

    Raises:
        InputError: it has none.
    """
    for role in roles:
        if not exported.of_role(role):
            raise InputError("to", stack.format, f"needs {role} parameters, and the recipe's network has none", OTHERS)
