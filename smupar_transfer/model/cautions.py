"""What base hyperparameters were tuned for against what they are used for: refusals, and cautions of a sentence."""

from __future__ import annotations

import math
from collections.abc import Container, Iterable
from dataclasses import dataclass, fields

from smupar_transfer.model.networks import shapes_of
from smupar_transfer.records import BudgetSpec, GPTSpec, Positions, RunSpec
from smupar_transfer.sparsity import expected_dead_outputs, nominal_nonzero
from smupar_transfer.theory import PARAMETRIZATIONS, InputError, OptimizerSettings, Role
from smupar_transfer.transfer import MINIMUM_WEIGHTS_PER_NEURON, Source, is_thin

NOTICEABLE = 2.0
"""Budgets that differ by less than this factor are taken for the same: the optimal learning rate falls with tokens D as
about D^-0.32 (arXiv 2409.19913), by a third of an octave an octave."""


def require_same_proxy(source: Source, spec: RunSpec, but_for: Container[str] = ()) -> None:
    """Check that base hyperparameters were tuned on the proxy that a run counts its scale factors from.

    Args:
        source: where they come from.
        spec: the run that uses them.
        but_for: keys that the person varies on purpose, as the axes of a sweep are; the proxy's width is none of them,
            since every rate and standard deviation would be wrong by the ratio of widths.

    Raises:
        InputError: the proxy has another width, architecture or update rule.
    """
    proxy, model = source.proxy_model, spec.model
    if source.proxy_optimizer is not None and "optimizer.name" not in but_for:
        tuned = source.proxy_optimizer.name
        if tuned != spec.optimizer.name:
            problem = f"is not the {tuned} that the proxy was tuned with"
            raise InputError("optimizer", spec.optimizer.name, problem, f"use optimizer={tuned}, or tune again")
    if proxy.width != spec.base_width:
        problem = f"is not the width {proxy.width} of the proxy that was tuned"
        raise InputError("model.width", spec.base_width, problem, f"use model.width={proxy.width}, or tune again")
    ignored = {"width", "name"}
    if isinstance(model, GPTSpec) and model.positions is Positions.ALIBI:
        ignored.add("context")  # the longest sequence only: no parameter depends on it
    for name, value in vars(proxy).items():
        if name not in ignored and getattr(model, name, None) != value and f"model.{name}" not in but_for:
            raise InputError(
                f"model.{name}",
                getattr(model, name, model.kind),
                f"differs from the tuned proxy's {value}",
                "only width and sparsity transfer: tune a proxy of this architecture",
            )


def source_cautions(source: Source, spec: RunSpec) -> list[str]:
    """How a run departs from what its base hyperparameters were tuned for, beside width and density."""
    cautions = []
    if source.proxy_parametrization != spec.parametrization:
        proxy, own = (PARAMETRIZATIONS[name] for name in (source.proxy_parametrization, spec.parametrization))
        if proxy.attention_exponent != own.attention_exponent and isinstance(spec.model, GPTSpec):
            cautions.append(
                f"the proxy was tuned under {proxy.title}, which scales attention differently from {own.title}"
            )
    if source.proxy_optimizer is not None:
        cautions += _optimizer_cautions(source.proxy_optimizer, spec)
    if source.proxy_budget is not None:
        cautions += _budget_cautions(source.proxy_budget, spec.budget)
    return cautions


def _optimizer_cautions(tuned: OptimizerSettings, spec: RunSpec) -> list[str]:
    skipped = {"name", *spec.optimizer.rule.unread}
    if spec.hparams.weight_decay == 0:  # then both forms compute the same
        skipped.add("weight_decay_form")
    return [
        f"optimizer.{item.name}={_shown(now)}: the proxy was tuned with {_shown(before)}"
        for item in fields(OptimizerSettings)
        for before, now in [(getattr(tuned, item.name), getattr(spec.optimizer, item.name))]
        if item.name not in skipped and before != now
    ]


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _budget_cautions(tuned: BudgetSpec, budget: BudgetSpec) -> list[str]:
    cautions = []
    if _differs(budget.tokens, tuned.tokens):
        cautions.append(
            f"{budget.tokens:,} tokens are {_ratio(budget.tokens, tuned.tokens)} times those that the proxy was tuned "
            "with: the optimal learning rate falls with tokens, so tune with the budget of the target"
        )
    if _differs(budget.tokens_per_step, tuned.tokens_per_step):
        cautions.append(
            f"steps of {budget.tokens_per_step:,} tokens are {_ratio(budget.tokens_per_step, tuned.tokens_per_step)} "
            "times those that the proxy was tuned with: the optimal learning rate depends on the batch"
        )
    for name in ("decay", "final_fraction"):
        before, now = getattr(tuned, name), getattr(budget, name)
        if before != now:
            cautions.append(f"budget.{name}={_shown(now)}: the proxy was tuned with {_shown(before)}")
    return cautions


def _differs(now: float, before: float) -> bool:
    return max(now, before) >= NOTICEABLE * min(now, before)


def _ratio(now: float, before: float) -> str:
    return f"{now / before:.3g}"


@dataclass(frozen=True)
class _Thinnest:
    """How few weights a network's neurons have.

    Attributes:
        weights_per_neuron: The mean number of non-zero weights of an output, in the layer where it is smallest.
        dead: The number of outputs, over all sparse layers, that are expected to have no weight at all.
        outputs: The number of outputs of all sparse layers.
    """

    weights_per_neuron: float
    dead: float
    outputs: int


def network_cautions(specs: Iterable[RunSpec]) -> list[str]:
    """What is untested about the networks of some runs, at most one sentence a kind."""
    runs = list(specs)
    networks = {(spec.model, spec.sparsity): spec for spec in runs}
    known = {network: _thinnest(spec) for network, spec in networks.items() if spec.sparsity.density < 1}
    thin = {network: layers for network, layers in known.items() if is_thin(layers.weights_per_neuron)}
    cautions = []
    if thin:
        count = sum((spec.model, spec.sparsity) in thin for spec in runs)
        worst = min(thin.values(), key=lambda layers: layers.weights_per_neuron)
        where = "" if len(networks) == 1 else f"{count} of {len(runs)} runs: as few as "
        dead = _dead_words(worst)
        cautions.append(
            f"{where}{worst.weights_per_neuron:.3g} non-zero weights per neuron are fewer than the "
            f"{MINIMUM_WEIGHTS_PER_NEURON} that transfer was tested with{dead}; use a smaller target.sparsity or a "
            "larger target.width"
        )
    narrow = sorted({(spec.model.width, spec.base_width) for spec in runs if spec.model.width < spec.base_width})
    if narrow and len(networks) == 1:
        cautions.append(f"the target is narrower than its proxy ({narrow[0][0]} < {narrow[0][1]})")
    return cautions


def _dead_words(worst: _Thinnest) -> str:
    """In brackets, how many outputs compute nothing: their masks leave them no input."""
    if worst.dead < 0.5:
        return ""
    return f" (about {worst.dead:,.0f} of the {worst.outputs:,} outputs of sparse layers have no input at all)"


def _thinnest(spec: RunSpec) -> _Thinnest:
    smallest, dead, outputs = math.inf, 0.0, 0
    kind, density = spec.sparsity.mask, spec.sparsity.density
    for row in shapes_of(spec):
        if row.role is Role.HIDDEN:
            shape = row.shape[0], row.shape[1]
            smallest = min(smallest, nominal_nonzero(kind, shape, density) / shape[0])
            dead += expected_dead_outputs(kind, shape, density)
            outputs += shape[0]
    return _Thinnest(smallest, dead, outputs)
