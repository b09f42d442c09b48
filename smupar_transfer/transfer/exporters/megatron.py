"""Arguments of Megatron-LM."""

from __future__ import annotations

import math
import sys

from smupar_transfer.records import Activation, GPTSpec, Positions
from smupar_transfer.theory import Role
from smupar_transfer.transfer.exporters.exported import Export, Exported, Stack, require_adamw, require_transformer
from smupar_transfer.transfer.exporters.headings import heading
from smupar_transfer.transfer.exporters.losses import attention_line, differences, unsaid
from smupar_transfer.transfer.exporters.uniform import Uniform, residual_root, shape_lines, tidy, uniform
from smupar_transfer.transfer.parameters import ParameterPlan

STACK = Stack("megatron", "Megatron-LM d98e8a6", "Numbers are by role, for a GPT that Megatron builds.")
NOT_ONE = 1 + sys.float_info.epsilon
"""Megatron takes an output multiplier of 1 for none, and puts 1 over the width multiplier in its place."""


def to_megatron(exported: Exported) -> Export:
    """A shell file: the array ``SMUPAR_ARGS``, for ``torchrun pretrain_gpt.py "${SMUPAR_ARGS[@]}" ...``."""
    require_adamw(exported, STACK)
    require_transformer(exported, STACK)
    numbers, width = uniform(exported), exported.width
    # Megatron takes a whole number: the multiplier is what that leaves of it
    base = max(1, round(width / numbers.multiplier))
    multiplier = width / base

    def realised(row: ParameterPlan) -> dict[str, float]:
        return _realised(exported, numbers, multiplier, row)

    losses = [
        *unsaid(exported, initial=False, multipliers=False),
        *differences(exported, STACK, realised),
        *shape_lines(exported),
        *_notes(exported),
    ]
    arguments = {**_numbers(exported, numbers, base), **_shape(exported.model)}
    body = "".join(f"  --{name}{'' if value is None else f' {value}'}\n" for name, value in arguments.items())
    return Export(f"{heading(exported, STACK, losses)}SMUPAR_ARGS=(\n{body})\n", tuple(losses))


def _numbers(exported: Exported, numbers: Uniform, base: int) -> dict[str, object]:
    settings, multiplier = exported.optimizer, exported.width / base
    output = tidy(exported.output_multiplier)
    arguments: dict[str, object] = {
        "use-mup": None,
        "mup-base-hidden-size": base,
        "mup-embedding-mult": float(exported.input_multiplier),
        "mup-output-mult": NOT_ONE if output == 1 and multiplier != 1 else output,
        # Megatron divides by this power of the head's size
        "mup-attn-scale-power": -exported.table.attention_exponent,
        "optimizer": "adam",
        "lr": numbers.learning_rate,
        "decoupled-lr": numbers.learning_rate,
        "weight-decay": numbers.weight_decay,
        "adam-beta1": settings.beta1,
        "adam-beta2": settings.beta2,
        "adam-eps": tidy(numbers.epsilon * multiplier),  # Megatron divides that of hidden weights by the multiplier
        "clip-grad": float(settings.gradient_clip),
    }
    return arguments if exported.is_own else {**arguments, "init-method-std": numbers.init_std}


def _realised(exported: Exported, numbers: Uniform, multiplier: float, row: ParameterPlan) -> dict[str, float]:
    """As ``get_mup_config_overrides`` and ``TransformerConfig`` make it, with a decoupled rate for both ends."""
    hidden = row.role is Role.HIDDEN
    scaled = row.role in (Role.HIDDEN, Role.READOUT) and len(row.shape) > 1
    epsilon = tidy(numbers.epsilon * multiplier)
    made = {
        "learning_rate": numbers.learning_rate / (multiplier if hidden else 1),
        "weight_decay": numbers.weight_decay if len(row.shape) > 1 else 0.0,
        "epsilon": epsilon / multiplier if scaled else epsilon,
    }
    if not exported.is_own and row.role in (Role.HIDDEN, Role.EMBEDDING):
        root = math.sqrt(multiplier) if hidden else 1.0
        made["init_std"] = numbers.init_std / root / residual_root(exported, row)
    return made


def _notes(exported: Exported) -> list[str]:
    lines = [
        "--decoupled-lr holds for embedding and output layer; without it, an untied output layer would learn at the "
        "rate of hidden weights"
    ]
    if exported.of_role(Role.READOUT) and not exported.is_own:
        lines.append("standard deviation of the untied output layer: Megatron's own choice")
    if exported.is_own:
        lines += [
            "--mup-base-hidden-size takes the width of the recipe for --hidden-size",
            f"{attention_line(exported)}; --mup-attn-scale-power says so where the base's heads are as large",
        ]
    if isinstance(exported.model, GPTSpec) and exported.model.positions is Positions.ALIBI:
        lines.append("the model: the recipe's positions are alibi, which Megatron has not; it is told to have none")
    if tidy(exported.output_multiplier) == 1:
        lines.append("--mup-output-mult is not exactly 1, since Megatron takes 1 for 'not given'")
    return lines


def _shape(model: object) -> dict[str, object]:
    if not isinstance(model, GPTSpec):
        return {}
    shape: dict[str, object] = {
        "num-layers": model.depth,
        "hidden-size": model.width,
        "ffn-hidden-size": int(model.width * model.mlp_ratio),
        "num-attention-heads": model.width // model.head_dim,
        "max-position-embeddings": model.context,
        "position-embedding-type": "learned_absolute" if model.positions is Positions.LEARNED else "none",
    }
    shape |= {"swiglu": None} if model.activation is Activation.SWIGLU else {}
    shape |= {} if model.bias else {"disable-bias-linear": None}
    return shape if model.tied else {**shape, "untie-embeddings-and-output-weights": None}
