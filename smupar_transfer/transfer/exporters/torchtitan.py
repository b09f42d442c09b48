"""Parameter groups of torchtitan."""

from __future__ import annotations

from smupar_transfer.transfer.exporters.exported import Export, Exported, Stack, require_adamw
from smupar_transfer.transfer.exporters.headings import heading
from smupar_transfer.transfer.exporters.losses import unsaid
from smupar_transfer.transfer.exporters.patterns import MATCHER, named_groups

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
    groups = "".join(
        "        ParamGroupConfig(\n"
        f"            pattern=these(\n{''.join(f'                {name!r},{chr(10)}' for name in group.patterns)}"
        "            ),\n"
        '            optimizer_name="AdamW",\n'
        f"            optimizer_kwargs={{'lr': {group.learning_rate!r}, 'betas': {betas!r}, 'eps': {group.epsilon!r}, "
        f"'weight_decay': {group.weight_decay!r}}},\n"
        "        ),\n"
        for group in named_groups(exported.rows)
    )
    text = (
        f"{heading(exported, STACK, losses)}import re\n\n"
        "from torchtitan.components.optimizer import OptimizersContainer, ParamGroupConfig\n"
        f"{MATCHER}\n\noptimizer = OptimizersContainer.Config(\n    param_groups=[\n{groups}    ]\n)\n"
    )
    return Export(text, tuple(losses))
