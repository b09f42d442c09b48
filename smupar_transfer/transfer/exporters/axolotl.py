"""Learning rates of axolotl."""

from __future__ import annotations

import re
from collections.abc import Sequence

from smupar_transfer.records import dump_yaml
from smupar_transfer.theory import Role
from smupar_transfer.transfer.exporters.exported import Export, Exported, Stack, require_adamw, require_roles
from smupar_transfer.transfer.exporters.headings import heading
from smupar_transfer.transfer.exporters.losses import differences, unsaid
from smupar_transfer.transfer.exporters.uniform import uniform
from smupar_transfer.transfer.parameters import ParameterPlan

STACK = Stack("axolotl", "axolotl 067b021", "Modules are parts of the names of the model that was planned.")
ENDS = ("embed_tokens", "lm_head")
"""Parts of names by which axolotl knows embeddings and heads, which it never decays."""
UNDECAYED = re.compile(r"bias|layernorm|rmsnorm|(?:^|\.)norm(?:$|\.)|_norm(?:$|\.)")
"""What names have in them that transformers 5.24 does not decay, beside everything in a torch LayerNorm."""


def to_axolotl(exported: Exported) -> Export:
    """YAML: ``lr_groups`` for what does not learn at the rate of everything else."""
    require_adamw(exported, STACK)
    require_roles(exported, STACK, (Role.EMBEDDING, Role.HIDDEN))
    numbers, settings = uniform(exported), exported.optimizer
    decayed = [row for row in exported.rows if not _is_end(row) and not UNDECAYED.search(row.name)]
    decayed_names = {row.name for row in decayed}
    groups = _groups(decayed, numbers.learning_rate)
    content: dict[str, object] = {
        "optimizer": "adamw_torch",
        "learning_rate": numbers.learning_rate,
        "weight_decay": numbers.weight_decay,
        "adam_beta1": settings.beta1,
        "adam_beta2": settings.beta2,
        "adam_epsilon": numbers.epsilon,
        "max_grad_norm": float(settings.gradient_clip),
    }
    ends = [row.learning_rate for row in exported.rows if _is_end(row)]
    # one rate for all ends: `differences` tells of those that have another one
    content |= {"embedding_lr": ends[0]} if ends else {}
    content |= {"lr_groups": groups} if groups else {}
    end = ends[0] if ends else numbers.learning_rate

    def realised(row: ParameterPlan) -> dict[str, float]:
        rate = end if _is_end(row) else numbers.learning_rate
        if row.name in decayed_names:
            # groups select among what is decayed; anything else has the usual rate
            rate = next((_rate(group) for group in groups if _selects(group, row)), rate)
        decay = numbers.weight_decay if row.name in decayed_names and row.role is not Role.VECTOR else 0.0
        return {"learning_rate": rate, "weight_decay": decay, "epsilon": numbers.epsilon}

    losses = [
        *unsaid(exported, initial=True, multipliers=True),
        *differences(exported, STACK, realised),
        *_unsure(decayed, numbers.weight_decay),
    ]
    return Export(heading(exported, STACK, losses) + dump_yaml(content), tuple(losses))


def _groups(decayed: Sequence[ParameterPlan], usual: float) -> list[dict[str, object]]:
    """A group for each learning rate but the usual one; none of its modules is part of another parameter's name."""
    rates: dict[float, list[ParameterPlan]] = {}
    for row in decayed:
        rates.setdefault(row.learning_rate, []).append(row)
    return [
        {"name": f"smupar_{place}", "modules": _modules(rows, decayed), "lr": rate}
        for place, (rate, rows) in enumerate((pair for pair in rates.items() if pair[0] != usual), start=1)
    ]


def _modules(rows: Sequence[ParameterPlan], decayed: Sequence[ParameterPlan]) -> list[str]:
    """What is common to the layers of a kind, where nothing else has it in its name; else whole names."""
    names = {row.name for row in rows}
    others = [row.name for row in decayed if row.name not in names]
    # from the last number of a layer on: what layers of a kind have in common
    ends = [re.sub(r"^.*(?<![^.])\d+\.", ".", name) for name in names]
    modules = {
        name: end if not any(end in other for other in others) else name for name, end in zip(names, ends, strict=True)
    }
    return list(dict.fromkeys(modules[row.name] for row in rows))


def _selects(group: dict[str, object], row: ParameterPlan) -> bool:
    modules = group["modules"]
    assert isinstance(modules, list)
    return any(module in row.name for module in modules)


def _rate(group: dict[str, object]) -> float:
    rate = group["lr"]
    assert isinstance(rate, float)
    return rate


def _is_end(row: ParameterPlan) -> bool:
    return any(end in row.name for end in ENDS)


def _unsure(decayed: Sequence[ParameterPlan], decay: float) -> list[str]:
    """Vectors that are decayed unless their module is torch's LayerNorm, which the plan does not know."""
    names = [row.name for row in decayed if row.role is Role.VECTOR]
    if not names or not decay:
        return []
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return [f"weight decay of {shown}: 0 in the recipe, {decay:.6g} here unless they are in a torch LayerNorm"]
