"""What exporters are given, and what they give back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from smupar_transfer.records import GPTSpec, MLPSpec, ModelSpec
from smupar_transfer.theory import (
    ADAMW,
    InputError,
    OptimizerSettings,
    Parametrization,
    Role,
    parametrization,
)
from smupar_transfer.transfer.parameters import ParameterPlan

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
    """The numbers that a network is trained with, and what they follow from.

    Attributes:
        rows: What every parameter is trained with; a standard deviation that is not known is not a number.
        parametrization: The name of the table of rules.
        optimizer: The settings of the update rule.
        learning_rate: The base's peak learning rate.
        input_multiplier: The factor on what the first layer gives.
        output_multiplier: The factor on the logits.
        multiplied: Where the forward pass multiplies, in words, and with what.
        scale: How the network departs from its base, in words.
        model: The network, where a specification makes it.
    """

    rows: tuple[ParameterPlan, ...]
    parametrization: str
    optimizer: OptimizerSettings
    learning_rate: float
    input_multiplier: float
    output_multiplier: float
    multiplied: tuple[tuple[str, float], ...]
    scale: str
    model: ModelSpec | None = None

    @property
    def table(self) -> Parametrization:
        """The table of rules."""
        return parametrization(self.parametrization)

    @property
    def is_own(self) -> bool:
        """Whether the network is a person's own, which initialises itself."""
        return not isinstance(self.model, GPTSpec | MLPSpec)

    @property
    def width(self) -> int:
        """The width of a network that a specification makes; ``require_transformer`` asks for one."""
        assert self.model is not None
        return self.model.width

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
        InputError: the recipe is of a network that is certainly none, or has no embedding or no hidden weights, or
            there is none, but a plan alone.
    """
    if exported.model is None:
        raise InputError("to", stack.format, "needs a recipe, which knows the width of its base", OTHERS)
    if isinstance(exported.model, MLPSpec):
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
