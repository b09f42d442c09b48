"""What a plan says, as data: a row for every parameter, and the constants and masks of modules."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

from torch import Tensor

from smupar_transfer.theory import InputError, OptimizerSettings, RelativeHyperparameters, Role, ScaledHyperparameters
from smupar_transfer.transfer.densities import MaskRequest
from smupar_transfer.transfer.initial_values import InitialValues
from smupar_transfer.transfer.names import canonical, canonical_names, unwrapped
from smupar_transfer.transfer.parameters import ParameterPlan


@dataclass(frozen=True)
class PlanRow:
    """What one parameter of a model is, and what it is trained with.

    Attributes:
        name: The name, as in ``named_parameters``.
        shape: The shape.
        role: The row of the parametrization that applies.
        fan_in: The number of inputs that an output sums over, zeros included; 1 for vectors.
        m_d: The width factor of this very parameter: its own dimension over that of the base.
        m_rho: The density, counted on its mask; 1 for what has none.
        init_std: The standard deviation of initial values: the base's own times what the parametrization says; None
            where the base lies on the meta device.
        learning_rate: The peak learning rate; None where no base rate is known.
        learning_rate_factor: The same over the base's.
        weight_decay: The weight decay, as torch's optimizers take it; None where none is known.
        weight_decay_factor: The same over the base's; 0 for vectors.
        epsilon: Adam's epsilon, as torch takes it.
        forward_multiplier: What hooks multiply the layer's input or output with; 1 where there is none.
        why: The evidence that decided the role.
        m_a: For hidden weights, the growth of outputs over that of inputs, which SGD's learning rate follows; else 1.
    """

    name: str
    shape: tuple[int, ...]
    role: Role
    fan_in: int
    m_d: float
    m_rho: float
    init_std: float | None
    learning_rate: float | None
    learning_rate_factor: float
    weight_decay: float | None
    weight_decay_factor: float
    epsilon: float
    forward_multiplier: float
    why: str
    m_a: float = 1.0

    @property
    def absolute(self) -> ParameterPlan:
        """The numbers alone, as those of this package's own networks; to be asked for where base values are known.

        The standard deviation is NaN where the base has no values.
        """
        assert self.learning_rate is not None
        assert self.weight_decay is not None
        return ParameterPlan(
            name=self.name,
            shape=self.shape,
            role=self.role,
            fan_in=self.fan_in,
            width=self.m_d,
            aspect=self.m_a,
            density=self.m_rho,
            init_std=math.nan if self.init_std is None else self.init_std,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            epsilon=self.epsilon,
            forward_multiplier=self.forward_multiplier,
        )


def trained_with(scaled: ScaledHyperparameters, hparams: RelativeHyperparameters) -> dict[str, Any]:
    """What a row holds of the optimizer: factors over the base, and absolute values where the base's are known."""
    rate, decay = hparams.learning_rate, hparams.weight_decay
    return {
        "learning_rate": None if rate is None else rate * scaled.learning_rate,
        "learning_rate_factor": scaled.learning_rate,
        "weight_decay": None if decay is None else decay * scaled.weight_decay,
        "weight_decay_factor": scaled.weight_decay,
        "epsilon": scaled.epsilon,
    }


@dataclass(frozen=True)
class ModuleMultiplier:
    """A constant that a hook multiplies with.

    Attributes:
        module: The path of the module.
        side: The side of the module that is multiplied, ``input`` or ``output``.
        factor: The constant.
    """

    module: str
    side: str
    factor: float


@dataclass(frozen=True)
class PlanData:
    """Everything that a plan holds; ``Plan`` adds what can be done with it.

    Attributes:
        rows: Every parameter, in the model's order.
        parametrization: The name of the table of rules.
        optimizer: The update rule, and Adam's epsilon at the base.
        hparams: The base hyperparameters.
        multipliers: The hooks' constants.
        attention: The factors on the ``scaling`` of attention modules, by path, where heads are not the base's size.
        masks: Where the masks of sparse parameters come from, by name.
        own_masks: A person's own masks, by name.
        initial: How values are rescaled, by name.
        seed: The seed of the masks that are drawn.
        cautions: What is untested about the model, a sentence each.
    """

    rows: tuple[PlanRow, ...]
    parametrization: str
    optimizer: OptimizerSettings
    hparams: RelativeHyperparameters
    multipliers: tuple[ModuleMultiplier, ...] = ()
    attention: Mapping[str, float] = field(default_factory=dict)
    masks: Mapping[str, MaskRequest] = field(default_factory=dict)
    # tensors are compared entry by entry, and have no single truth
    own_masks: Mapping[str, Tensor] = field(default_factory=dict, repr=False, compare=False)
    initial: Mapping[str, InitialValues] = field(default_factory=dict, repr=False)
    seed: int = 0
    cautions: tuple[str, ...] = ()

    @cached_property
    def by_name(self) -> dict[str, PlanRow]:
        """The rows, by the names that parameters have where nothing wraps them."""
        names = canonical_names([row.name for row in self.rows])
        return {names[row.name]: row for row in self.rows}

    def __getitem__(self, name: str) -> PlanRow:
        """The row of a parameter, whatever has wrapped the model since.

        Raises:
            InputError: the plan has no parameter of that name.
        """
        candidates = (same for candidate in unwrapped(name) for same in (candidate, canonical(candidate)))
        rows = (self.by_name.get(candidate) for candidate in candidates)
        row = next((row for row in rows if row is not None), None)
        if row is None:
            raise InputError("parameter", name, "is not in the plan", "plan the model as it is now")
        return row

    @cached_property
    def digest(self) -> str:
        """A hash of everything that going on with training depends on, 64 hexadecimal digits.

        Words about evidence and cautions are left out: they may change from version to version. So is what was measured
        on the base's values: they are drawn anew when a script is run again, and checkpoints have values of their own.
        """
        rows = tuple(replace(row, why="", init_std=None) for row in self.rows)
        # masks are hashed below: `asdict` would copy them, and JSON has no tensors
        content = asdict(replace(self, own_masks={}, cautions=(), initial={}, rows=rows))
        for row in content["rows"]:
            del row["m_a"]  # younger than the first checkpoints; learning rates say what it does
        masks = {
            name: hashlib.sha256(mask.cpu().numpy().tobytes()).hexdigest() for name, mask in self.own_masks.items()
        }
        # sorted: in which order masks were asked for does not count
        text = json.dumps({**content, "own_masks": masks}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()
