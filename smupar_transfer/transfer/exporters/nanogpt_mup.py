"""A configuration file of nanoGPT-mup."""

from __future__ import annotations

import math

from smupar_transfer.records import Activation, GPTSpec, Positions
from smupar_transfer.theory import Role
from smupar_transfer.transfer.exporters.exported import (
    Export,
    Exported,
    Stack,
    require_adamw,
    require_transformer,
)
from smupar_transfer.transfer.exporters.headings import heading
from smupar_transfer.transfer.exporters.losses import attention_line, differences, unsaid
from smupar_transfer.transfer.exporters.uniform import Uniform, residual_root, shape_lines, tidy, uniform
from smupar_transfer.transfer.parameters import ParameterPlan

STACK = Stack("nanogpt-mup", "nanoGPT-mup b2a5e60", "Numbers are by role, for the GPT of that repository.")
EPSILON = 1e-8
"""That of every parameter there: it has no key for it."""


def to_nanogpt_mup(exported: Exported) -> Export:
    """Python that ``train.py`` reads: ``python train.py FILE``."""
    require_adamw(exported, STACK)
    require_transformer(exported, STACK)
    numbers, settings = uniform(exported), exported.optimizer

    def realised(row: ParameterPlan) -> dict[str, float]:
        return _realised(exported, numbers, row)

    exponent = exported.table.attention_exponent
    keys = {
        "mup_enabled": True,
        "mup_disable_attention_scaling": exponent == -0.5,
        "mup_width_multiplier": numbers.multiplier,
        "mup_input_alpha": float(exported.input_multiplier),
        # logits are divided by the width multiplier there, which has the density in it
        "mup_output_alpha": tidy(exported.output_multiplier * numbers.multiplier),
        "learning_rate": numbers.learning_rate,
        "weight_decay": numbers.weight_decay,
        "beta1": settings.beta1,
        "beta2": settings.beta2,
        "grad_clip": float(settings.gradient_clip),
    }
    losses = [
        *unsaid(exported, initial=False, multipliers=False),
        *differences(exported, STACK, realised),
        *shape_lines(exported),
        *_other_model(exported),
        *([] if exponent in (-0.5, -1) else [attention_line(exported)]),
    ]
    if isinstance(exported.model, GPTSpec):
        keys |= {"init_std": numbers.init_std, **_shape(exported.model)}
    body = "".join(f"{name} = {value!r}\n" for name, value in keys.items())
    return Export(heading(exported, STACK, losses) + body, tuple(losses))


def _realised(exported: Exported, numbers: Uniform, row: ParameterPlan) -> dict[str, float]:
    hidden = row.role is Role.HIDDEN
    multiplier = numbers.multiplier if hidden else 1.0
    made = {
        "learning_rate": numbers.learning_rate / multiplier,
        "weight_decay": numbers.weight_decay if len(row.shape) >= 2 else 0.0,
        "epsilon": EPSILON,
    }
    if not exported.is_own and row.role is not Role.VECTOR:
        made["init_std"] = numbers.init_std / math.sqrt(multiplier) / residual_root(exported, row)
    return made


def _shape(model: GPTSpec) -> dict[str, int | bool]:
    return {
        "n_layer": model.depth,
        "n_head": model.width // model.head_dim,
        "n_embd": model.width,
        "block_size": model.context,
        "bias": model.bias,
    }


def _other_model(exported: Exported) -> list[str]:
    """What the GPT there has otherwise."""
    model = exported.model
    if not isinstance(model, GPTSpec):
        return []
    other = {
        "its readout is the embedding's own matrix, the recipe's is not": not model.tied,
        f"it learns positions, the recipe has {model.positions}": model.positions is not Positions.LEARNED,
        f"its activation is gelu, the recipe's {model.activation}": model.activation is not Activation.GELU,
        f"its mlp_ratio is 4, the recipe's {model.mlp_ratio:g}": model.mlp_ratio != 4,
    }
    return [f"the model: {line}" for line, differs in other.items() if differs]
