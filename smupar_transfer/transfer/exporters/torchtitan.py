"""Parameter groups of torchtitan."""

from __future__ import annotations

from smupar_transfer.transfer.exporters.exported import Export, Exported, Stack, require_adamw
from smupar_transfer.transfer.exporters.headings import heading
from smupar_transfer.transfer.exporters.losses import unsaid
from smupar_transfer.transfer.exporters.patterns import MATCHER, NamedGroup, named_groups, quoted

STACK = Stack("torchtitan", "torchtitan b5bcd76", "Patterns are of the names of the model that was planned.")


def to_torchtitan(exported: Exported) -> Export:
    """Python: an ``OptimizersContainer.Config``; the first pattern that matches wins, and here only one does."""
    require_adamw(exported, STACK)
    losses = [
        *unsaid(exported, initial=True, multipliers=True),
        f"gradient clipping: training.max_norm={exported.optimizer.gradient_clip!r} (the recipe's; 0 is off)",
        "pipeline stages: torchtitan refuses a group that has no parameter in one of them",
    ]
    betas = (exported.optimizer.beta1, exported.optimizer.beta2)
    groups = "".join(_entry(group, betas) for group in named_groups(exported.rows))
    text = (
        f"{heading(exported, STACK, losses)}import re\n\n"
        "from torchtitan.components.optimizer import OptimizersContainer, ParamGroupConfig\n"
        f"{MATCHER}\n\noptimizer = OptimizersContainer.Config(\n    param_groups=[\n{groups}    ]\n)\n"
    )
    return Export(text, tuple(losses))


def _entry(group: NamedGroup, betas: tuple[float, float]) -> str:
    numbers = f'"lr": {group.learning_rate!r}, "betas": {betas!r}, "eps": {group.epsilon!r}, '
    numbers += f'"weight_decay": {group.weight_decay!r}'
    return (
        f"        ParamGroupConfig(\n            pattern=these(\n{quoted(group.patterns, 16)}            ),\n"
        f'            optimizer_name="AdamW",\n            optimizer_kwargs={{{numbers}}},\n        ),\n'
    )
