"""A configuration of the Cerebras Model Zoo."""

from __future__ import annotations

import math

from smupar_transfer.records import Activation, GPTSpec, Positions, dump_yaml
from smupar_transfer.theory import Role
from smupar_transfer.transfer.exporters.exported import Export, Exported, Stack, require_adamw, require_transformer
from smupar_transfer.transfer.exporters.headings import heading
from smupar_transfer.transfer.exporters.losses import attention_line, differences, unsaid
from smupar_transfer.transfer.exporters.uniform import Uniform, shape_lines, tidy, uniform
from smupar_transfer.transfer.parameters import ParameterPlan

STACK = Stack("cerebras", "Cerebras Model Zoo 2.10.0 (gpt2)", "Numbers are by role, for the GPT-2 of the Model Zoo.")


def to_cerebras(exported: Exported) -> Export:
    """YAML: the part of a trainer's configuration that the recipe decides."""
    require_adamw(exported, STACK)
    require_transformer(exported, STACK)
    numbers, settings = uniform(exported), exported.optimizer

    def realised(row: ParameterPlan) -> dict[str, float]:
        return _realised(exported, numbers, row)

    losses = [
        *unsaid(exported, initial=False, multipliers=False),
        *differences(exported, STACK, realised),
        *shape_lines(exported),
        *_notes(exported),
    ]
    optimizer = {
        "betas": [settings.beta1, settings.beta2],
        "eps": numbers.epsilon,
        "correct_bias": True,
        "weight_decay": numbers.weight_decay,
    }
    content: dict[str, object] = {
        "model": {**_model(exported, numbers), **_shape(exported.model)},
        "optimizer": {"AdamW": optimizer},
        "schedulers": [{"ConstantLR": {"learning_rate": numbers.learning_rate}}],
    }
    if settings.gradient_clip:
        content["precision"] = {"max_gradient_norm": float(settings.gradient_clip)}
    body = dump_yaml({"trainer": {"init": content}})
    return Export(heading(exported, STACK, losses) + body, tuple(losses))


def _model(exported: Exported, numbers: Uniform) -> dict[str, object]:
    model, multiplier = exported.model, numbers.multiplier
    filters = int(model.width * model.mlp_ratio) if isinstance(model, GPTSpec) else None
    # a base over density makes m_d m_rho of the Model Zoo's m_d
    keys: dict[str, object] = {"mup_base_hidden_size": tidy(exported.width / multiplier)}
    if filters:
        keys["mup_base_filter_size"] = tidy(filters / multiplier)
    keys |= {
        "embeddings_scale": float(exported.input_multiplier),
        # logits are divided by the multiplier there, which has the density in it
        "output_logits_alpha": tidy(exported.output_multiplier * multiplier),
        "scale_output_logits_by_d": True,
        "scale_qk_dot_by_d": exported.table.attention_exponent == -1,
    }
    if isinstance(model, GPTSpec):
        # the Model Zoo divides those of what is added to the residual stream by the root of twice the depth
        residual = tidy(numbers.init_std * math.sqrt(2 * model.depth))
        keys |= {"initializer_range": numbers.init_std}
        keys |= {name: _normal(numbers.init_std) for name in ("embedding_initializer", "initializer")}
        keys |= {name: _normal(residual) for name in ("output_layer_initializer", "ffn_output_layer_initializer")}
    return keys


def _normal(std: float) -> dict[str, object]:
    return {"name": "normal", "mean": 0.0, "std": std}


def _realised(exported: Exported, numbers: Uniform, row: ParameterPlan) -> dict[str, float]:
    """As ``lr_adjustment_groups`` and scaled initializers make it."""
    multiplier = numbers.multiplier if row.role is Role.HIDDEN else 1.0
    made = {
        "learning_rate": numbers.learning_rate / multiplier,
        "weight_decay": numbers.weight_decay if len(row.shape) > 1 else 0.0,
        "epsilon": numbers.epsilon,
    }
    if not exported.is_own and row.role is not Role.VECTOR:
        made["init_std"] = numbers.init_std / math.sqrt(multiplier)
    return made


def _notes(exported: Exported) -> list[str]:
    lines = ["schedulers: ConstantLR holds the peak; put your schedule in its place"]
    if exported.densities:
        lines.append(
            "density: is in mup_base_hidden_size and mup_base_filter_size (base over density) and in "
            "output_logits_alpha (times density), which makes SuPar of their muP where all layers are as dense"
        )
    if exported.table.attention_exponent not in (-0.5, -1):
        lines.append(attention_line(exported))
    if exported.is_own:
        lines += [
            "mup_base_hidden_size takes the width of the recipe for hidden_size; mup_base_filter_size is left out: "
            "give filter_size over the same multiplier",
            attention_line(exported),
        ]
    return lines


def _shape(model: object) -> dict[str, object]:
    if not isinstance(model, GPTSpec):
        return {}
    return {
        "vocab_size": model.vocab_size,
        "hidden_size": model.width,
        "filter_size": int(model.width * model.mlp_ratio),
        "num_hidden_layers": model.depth,
        "num_heads": model.width // model.head_dim,
        "max_position_embeddings": model.context,
        "position_embedding_type": "learned" if model.positions is Positions.LEARNED else "alibi",
        "nonlinearity": "swiglu" if model.activation is Activation.SWIGLU else "gelu",
        "share_embedding_weights": model.tied,
        "use_projection_bias_in_attention": model.bias,
        "use_ffn_bias_in_attention": model.bias,
        "use_ffn_bias": model.bias,
    }
