"""What was tuned for one thing and is used for another is refused, or told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import pytest

from smupar_transfer.model import (
    build,
    network_cautions,
    require_same_proxy,
    source_cautions,
)
from smupar_transfer.records import Activation, BudgetSpec, Decay, GPTSpec, MaskKind, MLPSpec, Positions, RunSpec
from smupar_transfer.sparsity import sparsity_report
from smupar_transfer.theory import (
    UPDATE_RULES,
    BaseHyperparameters,
    ClipNorm,
    InputError,
    OptimizerSettings,
    WeightDecayForm,
)
from smupar_transfer.transfer import MINIMUM_WEIGHTS_PER_NEURON, Source

MakeTarget = Callable[..., RunSpec]
MakeSource = Callable[..., Source]
PROXY = GPTSpec(width=64, depth=2, head_dim=32, vocab_size=256, context=64)
TARGET = replace(PROXY, width=1024)
SGD = OptimizerSettings(name="sgd")


@pytest.mark.parametrize("width", [32, 128])
def test_another_proxy_width_is_refused_with_both(target: MakeTarget, source: MakeSource, width: int) -> None:
    with pytest.raises(InputError, match=rf"^model.width={width}: is not the width 64 of the proxy that was tuned"):
        require_same_proxy(source(), target(base_width=width))
    with pytest.raises(InputError, match=rf"^model.width={width}: "):  # whatever a sweep varies: every rate is off
        require_same_proxy(source(), target(base_width=width), but_for={"model.width"})
    require_same_proxy(source(), target())


OTHER_ARCHITECTURES: dict[str, Any] = {
    "depth": 3,
    "head_dim": 16,
    "vocab_size": 100,
    "context": 128,
    "mlp_ratio": 2.0,
    "activation": Activation.SWIGLU,
    "positions": "alibi",
    "tied": False,
    "bias": True,
}


def test_every_part_of_an_architecture_is_covered_here() -> None:
    assert set(OTHER_ARCHITECTURES) == set(vars(PROXY)) - {"width", "kind"}


@pytest.mark.parametrize("name", OTHER_ARCHITECTURES)
def test_another_architecture_is_refused_by_name(target: MakeTarget, source: MakeSource, name: str) -> None:
    other = target(replace(TARGET, **{name: OTHER_ARCHITECTURES[name]}))
    message = rf"^model.{name}={OTHER_ARCHITECTURES[name]!s}: differs from the tuned proxy's {getattr(PROXY, name)}"
    with pytest.raises(InputError, match=message):
        require_same_proxy(source(), other)
    require_same_proxy(source(), other, but_for={f"model.{name}"})


def test_where_no_parameter_depends_on_positions_a_longer_context_is_the_same_architecture(
    target: MakeTarget, source: MakeSource
) -> None:
    alibi = replace(PROXY, positions=Positions.ALIBI)
    require_same_proxy(source(alibi), target(replace(alibi, width=1024, context=128)))


def test_another_kind_of_network_is_refused(target: MakeTarget, source: MakeSource) -> None:
    mlp = MLPSpec(width=1024, depth=2, features=64, classes=10)
    with pytest.raises(InputError, match=r"^model\.\w+=.*differs from the tuned proxy's"):
        require_same_proxy(source(), target(mlp))
    with pytest.raises(InputError, match=r"^model\.\w+=.*differs from the tuned proxy's"):
        require_same_proxy(source(replace(mlp, width=64)), target())
    require_same_proxy(source(replace(mlp, width=64)), target(mlp))


def test_another_update_rule_is_refused(target: MakeTarget, source: MakeSource) -> None:
    with pytest.raises(InputError, match=r"^optimizer=sgd: is not the adamw that the proxy was tuned with"):
        require_same_proxy(source(), target(optimizer=SGD))
    require_same_proxy(source(), target(optimizer=SGD), but_for={"optimizer.name"})


OTHER_SETTINGS: dict[str, Any] = {
    "beta1": 0.5,
    "beta2": 0.5,
    "epsilon": 1e-3,
    "momentum": 0.5,
    "gradient_clip": 0.0,
    "clip_norm": ClipNorm.SCALED,
    "weight_decay_form": WeightDecayForm.COUPLED,
}


@pytest.mark.parametrize("name", [item.name for item in fields(OptimizerSettings) if item.name != "name"])
@pytest.mark.parametrize("rule", UPDATE_RULES)
def test_every_other_setting_of_the_optimizer_is_told_if_it_is_read(
    target: MakeTarget, source: MakeSource, name: str, rule: str
) -> None:
    usual = OptimizerSettings(name=rule)
    changed = target(optimizer=replace(usual, **{name: OTHER_SETTINGS[name]}))
    cautions = source_cautions(source(optimizer=usual), changed)
    assert len(cautions) == (name not in UPDATE_RULES[rule].unread)
    assert all(line.startswith(f"optimizer.{name}=") and "the proxy was tuned with" in line for line in cautions)
    assert source_cautions(source(optimizer=usual), target(optimizer=usual)) == []


def test_a_form_of_weight_decay_is_told_only_where_something_decays(target: MakeTarget, source: MakeSource) -> None:
    coupled = OptimizerSettings(weight_decay_form=WeightDecayForm.COUPLED)
    none = BaseHyperparameters(0.03, 0.17, 5.2, 2.2, 0.0)
    assert source_cautions(source(), target(optimizer=coupled, hparams=none)) == []
    assert len(source_cautions(source(), target(optimizer=coupled))) == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"steps": 19}, []),
        ({"steps": 20}, ["320 tokens are 2 times those"]),
        ({"steps": 5}, ["80 tokens are 0.5 times those"]),
        ({"steps": 1000}, ["16,000 tokens are 100 times those"]),
        ({"steps": 5, "batch_size": 4}, ["steps of 32 tokens are 2 times those"]),
        ({"decay": Decay.COSINE}, ["budget.decay=cosine: the proxy was tuned with linear"]),
        ({"final_fraction": 0.5}, ["budget.final_fraction=0.5: the proxy was tuned with 0.1"]),
        ({"evaluations": 2, "evaluation_batches": 3}, []),
    ],
)
def test_a_budget_far_from_the_proxys_is_told(
    target: MakeTarget, source: MakeSource, changes: dict[str, Any], words: list[str]
) -> None:
    """The optimal learning rate falls with tokens (arXiv 2409.19913), so a long target needs a long proxy."""
    budget = replace(BudgetSpec(steps=10, batch_size=2, sequence_length=8), **changes)
    cautions = source_cautions(source(), target(budget=budget))
    assert len(cautions) == len(words)
    assert all(word in line for word, line in zip(words, cautions, strict=True))


def test_a_proxy_under_another_scale_of_attention_is_told(target: MakeTarget, source: MakeSource) -> None:
    assert source_cautions(source(), target(parametrization="mup")) == []
    (told,) = source_cautions(source(), target(parametrization="sp"))
    assert "scales attention differently from SP" in told
    mlp = MLPSpec(width=64, depth=2, features=64, classes=10)
    assert source_cautions(source(mlp), target(mlp, parametrization="sp")) == [], "it has no attention"


def test_recipes_of_version_0_1_have_nothing_to_compare_with(target: MakeTarget, source: MakeSource) -> None:
    old = replace(source(), proxy_optimizer=None, proxy_budget=None)
    far = BudgetSpec(steps=10_000, batch_size=2, sequence_length=8)
    assert source_cautions(old, target(budget=far, optimizer=SGD)) == []
    require_same_proxy(old, target(optimizer=SGD))


def test_the_threshold_is_the_papers() -> None:
    assert MINIMUM_WEIGHTS_PER_NEURON == 16


@pytest.mark.parametrize(
    ("width", "density", "warned"),
    [
        (1024, 1 / 64, False),
        (1024, 1 / 128, True),
        (256, 0.0625, False),
        (256, 0.008, True),
        (256, 0.0624, True),
        (512, 1.0, False),
    ],
)
def test_too_few_weights_per_neuron_are_told(target: MakeTarget, width: int, density: float, warned: bool) -> None:
    cautions = network_cautions([target(replace(PROXY, width=width), density)])
    assert len(cautions) == (1 if warned else 0)
    if warned:
        assert cautions[0].startswith(f"{width * density:.3g} non-zero weights per neuron are fewer than the 16 ")
        assert "target.sparsity" in cautions[0]
        assert "target.width" in cautions[0]


def test_a_mask_drawn_weight_by_weight_is_judged_by_what_is_expected(target: MakeTarget) -> None:
    assert network_cautions([target(replace(PROXY, width=256), 1 / 16, MaskKind.BERNOULLI)]) == []


def test_the_thinnest_layer_counts(target: MakeTarget) -> None:
    """A feed-forward block narrower than the network feeds its down projection with fewer weights."""
    assert len(network_cautions([target(replace(TARGET, mlp_ratio=0.25), 1 / 32)])) == 1
    assert network_cautions([target(TARGET, 1 / 32)]) == []


def test_outputs_without_any_input_are_counted(target: MakeTarget) -> None:
    """Against the masks themselves, over seeds: with a weight per neuron about a third of the outputs is dead."""
    spec = target(replace(PROXY, depth=1), 1 / 64)
    (told,) = network_cautions([spec])
    counted = [
        sum(layer.dead_outputs for layer in sparsity_report(build(replace(spec, seed=seed))[0])) for seed in range(20)
    ]
    mean = sum(counted) / len(counted)
    said = float(told.partition("(about ")[2].partition(" of the ")[0])
    assert said == pytest.approx(mean, rel=0.1)
    assert "no input at all" in told
    (fixed,) = network_cautions([target(replace(PROXY, depth=1), 1 / 64, MaskKind.FIXED_FAN_IN)])
    assert "no input at all" not in fixed


def test_of_many_runs_the_thinnest_is_told_once_with_how_many(target: MakeTarget) -> None:
    runs = [target(replace(PROXY, width=256), density, seed=seed) for density in (1.0, 0.25, 1 / 32) for seed in (0, 1)]
    (told,) = network_cautions(runs)
    assert told.startswith("2 of 6 runs: as few as 8 non-zero weights per neuron")
    assert network_cautions(runs[:4]) == []


@pytest.mark.parametrize(
    ("narrow", "wide"),
    [
        (replace(PROXY, width=32), replace(PROXY, width=128)),
        (MLPSpec(32, 2, 64, 10), MLPSpec(128, 2, 64, 10)),
    ],
    ids=["gpt", "mlp"],
)
def test_a_target_narrower_than_its_proxy_is_told(target: MakeTarget, narrow: Any, wide: Any) -> None:
    assert network_cautions([target(narrow, 1.0)]) == ["the target is narrower than its proxy (32 < 64)"]
    assert network_cautions([target(wide, 1.0)]) == []


def test_cautions_add_up(target: MakeTarget) -> None:
    assert len(network_cautions([target(replace(PROXY, width=32), 0.25)])) == 2
