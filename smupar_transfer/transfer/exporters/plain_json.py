"""Everything that a recipe says, as JSON."""

from __future__ import annotations

import json
import math

from smupar_transfer.transfer.exporters.exported import Export, Exported, Stack
from smupar_transfer.transfer.exporters.headings import about
from smupar_transfer.transfer.exporters.losses import masks
from smupar_transfer.transfer.parameters import ParameterPlan
from smupar_transfer.transfer.rules import NUMBERS

STACK = Stack("json", "programs that read JSON, version 1", "Parameters have the names of the planned model.")


def to_json(exported: Exported) -> Export:
    """An object: about the file, the optimizer, the constants of the forward pass, and every parameter by name."""
    losses = masks(exported)
    settings = exported.optimizer
    content = {
        # the last sentence is about stacks that train
        "about": about(exported, STACK)[:2],
        "not_said": losses,
        "version": 1,
        "parametrization": exported.table.name,
        "optimizer": {**vars(settings), "weight_decay_form": str(settings.weight_decay_form)},
        "multipliers": {"input": exported.input_multiplier, "output": exported.output_multiplier},
        "multiplied": dict(exported.multiplied),
        "attention": {"exponent": exported.table.attention_exponent, "scale": exported.attention_scale},
        "parameters": {row.name: _numbers(row) for row in exported.rows},
    }
    return Export(json.dumps(content, indent=1, allow_nan=False) + "\n", tuple(losses))


def _numbers(row: ParameterPlan) -> dict[str, object]:
    values = {name: float(getattr(row, name)) for name in NUMBERS}
    # JSON has no NaN, which stands for a deviation that is not known
    numbers = {name: None if math.isnan(value) else value for name, value in values.items()}
    return {"shape": list(row.shape), "role": str(row.role), "density": row.density, **numbers}
