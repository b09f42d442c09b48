"""Parameter groups of OLMo-core."""

from __future__ import annotations

from collections.abc import Collection

from smupar_transfer.transfer.exporters.exported import Export, Exported, Stack, require_adamw
from smupar_transfer.transfer.exporters.headings import heading
from smupar_transfer.transfer.exporters.losses import unsaid
from smupar_transfer.transfer.exporters.patterns import NamedGroup, as_glob, named_groups, quoted

STACK = Stack("olmo-core", "OLMo-core fa6c501", "Globs are of the names of the model that was planned.")


def to_olmo_core(exported: Exported) -> Export:
    """Python: an ``AdamWConfig`` with group overrides, of which the first that matches takes a parameter."""
    require_adamw(exported, STACK)
    settings, names = exported.optimizer, {row.name for row in exported.rows}
    losses = [
        *unsaid(exported, initial=True, multipliers=True),
        f"gradient clipping: max_grad_norm={settings.gradient_clip!r} of the train module (the recipe's; 0 is off)",
        "wrappers inside of the model: a name without a star must be the one that the wrapped model has",
    ]
    overrides = "".join(_entry(group, names) for group in named_groups(exported.rows))
    text = (
        f"{heading(exported, STACK, losses)}from olmo_core.optim import AdamWConfig, OptimGroupOverride\n\n"
        f"optim = AdamWConfig(\n    lr={exported.learning_rate!r},  # of no parameter: all are below\n"
        f"    betas={(settings.beta1, settings.beta2)!r},\n    group_overrides=[\n{overrides}    ],\n)\n"
    )
    return Export(text, tuple(losses))


def _entry(group: NamedGroup, names: Collection[str]) -> str:
    globs = quoted((as_glob(pattern, names) for pattern in group.patterns), 16)
    numbers = f'"lr": {group.learning_rate!r}, "weight_decay": {group.weight_decay!r}, "eps": {group.epsilon!r}'
    return (
        f"        OptimGroupOverride(\n            params=[\n{globs}            ],\n"
        f"            opts={{{numbers}}},\n        ),\n"
    )
