"""Parameter groups for the Trainer of Hugging Face's transformers."""

from __future__ import annotations

from smupar_transfer.theory import ADAMW, SGD, InputError
from smupar_transfer.transfer.exporters.exported import Export, Exported, Stack
from smupar_transfer.transfer.exporters.headings import heading
from smupar_transfer.transfer.exporters.losses import unsaid
from smupar_transfer.transfer.exporters.patterns import MATCHER, NamedGroup, named_groups, quoted

STACK = Stack("hf-trainer", "transformers 5.24.0", "Patterns are of the names of the model that was planned.")
FACTORY = '''
class PlannedOptimizer:
    """For Trainer(..., optimizer_cls_and_kwargs=(PlannedOptimizer, {})); also works as PlannedOptimizer()(model)."""

    def __call__(self, model, *_, **settings):
        groups = [{"params": [], **numbers} for _, numbers in GROUPS]
        for name, parameter in model.named_parameters():
            places = [place for place, (pattern, _) in enumerate(GROUPS) if re.search(pattern, name)]
            if len(places) != 1:
                raise ValueError(f"{name} is in {len(places)} groups: the recipe is of another model")
            if parameter.requires_grad:
                groups[places[0]]["params"].append(parameter)
        return OPTIMIZER([group for group in groups if group["params"]], **{**SETTINGS, **settings})
'''


def to_hf_trainer(exported: Exported) -> Export:
    """Python: groups by name, and what makes the optimizer of them.

    Raises:
        InputError: the recipe's optimizer is none of torch's that the Trainer is given here.
    """
    settings = exported.optimizer
    if settings.name not in (ADAMW.name, SGD.name):
        raise InputError("optimizer.name", settings.name, f"has no class that {STACK.format} knows", "use to=json")
    adam = settings.name == ADAMW.name
    losses = [
        *unsaid(exported, initial=True, multipliers=True),
        f"gradient clipping: TrainingArguments(max_grad_norm={settings.gradient_clip!r}) (the recipe's; 0 is off)",
        "TrainingArguments' learning_rate and weight_decay have no say: groups have their own",
    ]
    if not adam and any(row.weight_decay for row in exported.rows):
        losses.append("weight decay: goes through the momentum in torch.optim.SGD; the recipe's acts on the weights")
    own = f"betas={(settings.beta1, settings.beta2)!r}" if adam else f"momentum={settings.momentum!r}"
    groups = "".join(_entry(group, adam) for group in named_groups(exported.rows))
    text = (
        f"{heading(exported, STACK, losses)}import re\n\nimport torch\n{MATCHER}\n\n"
        f"GROUPS = [\n{groups}]\n"
        f"OPTIMIZER, SETTINGS = torch.optim.{'AdamW' if adam else 'SGD'}, dict({own})\n\n{FACTORY}"
    )
    return Export(text, tuple(losses))


def _entry(group: NamedGroup, adam: bool) -> str:
    numbers = f'"lr": {group.learning_rate!r}, "weight_decay": {group.weight_decay!r}'
    # SGD of torch takes no epsilon
    numbers += f', "eps": {group.epsilon!r}' if adam else ""
    return f"    (\n        these(\n{quoted(group.patterns, 12)}        ),\n        {{{numbers}}},\n    ),\n"
