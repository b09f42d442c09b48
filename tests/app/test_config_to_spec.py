"""From a composed configuration to frozen values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from omegaconf import DictConfig

from smupar_transfer.app import config_to_spec
from smupar_transfer.app.base import resolve_base
from smupar_transfer.app.recipes import recipe_spec
from smupar_transfer.records import GPTSpec, MaskKind, MLPSpec, RunSpec
from smupar_transfer.theory import InputError, WeightDecayForm
from smupar_transfer.transfer import read_recipe

Compose = Callable[..., DictConfig]


@pytest.fixture
def target(composed: Compose, tiny: tuple[str, ...]) -> Callable[..., RunSpec]:
    return lambda *words: config_to_spec.target_spec(composed("train", *tiny, *words))


def test_every_key_reaches_the_specification(composed: Compose, tiny: tuple[str, ...], corpus: Path) -> None:
    words = ["target.width=32", "target.sparsity=0.75", "parametrization=mup", "sparsity=fixed_fan_in", "seed=7"]
    words += ["optimizer=sgd", "optimizer.weight_decay_form=coupled", "hparams.learning_rate=0.5"]
    words += ["hparams.weight_decay=0.25", "budget.decay=cosine", "model.tied=false", "model.bias=true"]
    spec = config_to_spec.target_spec(composed("train", *tiny, *words))
    assert isinstance(spec.model, GPTSpec)
    assert (spec.model.width, spec.base_width, spec.model.depth, spec.model.head_dim) == (32, 16, 1, 8)
    assert (spec.model.context, spec.model.vocab_size, spec.model.tied, spec.model.bias) == (16, 256, False, True)
    assert (spec.sparsity.density, spec.sparsity.mask) == (0.25, MaskKind.FIXED_FAN_IN)
    assert (spec.parametrization, spec.seed) == ("mup", 7)
    assert (spec.optimizer.name, spec.optimizer.weight_decay_form) == ("sgd", WeightDecayForm.COUPLED)
    assert (spec.hparams.learning_rate, spec.hparams.weight_decay) == (0.5, 0.25)
    assert (spec.budget.steps, spec.budget.batch_size, spec.budget.decay) == (4, 2, "cosine")
    assert (spec.data.name, spec.data.path) == ("text", str(corpus))


def test_the_type_of_token_ids_reaches_the_data(composed: Compose, tiny: tuple[str, ...], tmp_path: Path) -> None:
    """Named or written otherwise, the same ids: only their bytes differ."""
    ids = np.arange(1_000) * 7 % 127
    specified = []
    for name in ("uint16", "int32"):
        (tmp_path / name).write_bytes(ids.astype(name).tobytes())
        words = ["data=bin", f"data.path={tmp_path / name}", f"data.dtype={name}"]
        specified.append(config_to_spec.target_spec(composed("train", *tiny, *words)))
    first, second = specified
    assert replace(second, data=first.data) == first
    assert (first.data.train_size, second.data.train_size) == (900, 900)


def test_without_a_target_the_proxy_is_trained(target: Callable[..., RunSpec]) -> None:
    spec = target()
    assert (spec.model.width, spec.base_width, spec.sparsity.density) == (16, 16, 1.0)
    assert spec.width_factor == 1


def test_the_proxy_is_dense_and_narrow_whatever_the_target(composed: Compose, tiny: tuple[str, ...]) -> None:
    config = composed("tune", *tiny, "target.width=64", "target.sparsity=0.9")
    proxy = config_to_spec.proxy_spec(config)
    assert (proxy.model.width, proxy.base_width, proxy.sparsity.density) == (16, 16, 1.0)
    assert (config.target.width, config.target.sparsity) == (64, 0.9)


def test_a_classifier_takes_its_ends_from_the_data(composed: Compose) -> None:
    pytest.importorskip("sklearn")
    spec = config_to_spec.target_spec(
        composed("train", "model=mlp", "data=digits", "budget=digits", "target.width=128")
    )
    assert spec.model == MLPSpec(width=128, depth=3, features=64, classes=10)
    assert spec.base_width == 64


def test_tokens_per_parameter_replace_steps(target: Callable[..., RunSpec]) -> None:
    dense = target("budget.tokens_per_parameter=0.5")
    # 256 x 16 embedding, 16 x 16 x (3 + 1 + 4 + 4) hidden weights, three norms of 16
    assert dense.budget.steps == -(-(4096 + 3072 + 48) // 2 // 32)
    sparse = target("budget.tokens_per_parameter=0.5", "target.sparsity=0.5")
    assert sparse.budget.steps == -(-(4096 + 1536 + 48) // 2 // 32)
    shortest = target("budget.tokens_per_parameter=1e-9", "budget.warmup_steps=null")
    assert (shortest.budget.steps, shortest.budget.warmup_steps) == (1, 0)


@pytest.mark.parametrize("value", ["0", "-1", "nan"])
def test_tokens_per_parameter_must_be_positive(target: Callable[..., RunSpec], value: str) -> None:
    with pytest.raises(InputError, match=r"^budget\.tokens_per_parameter="):
        target(f"budget.tokens_per_parameter={value}")


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("target.sparsity=1", r"^target\.sparsity=1\.0: must lie in \[0, 1\)"),
        ("target.sparsity=nan", r"^target\.sparsity=nan: must lie in"),
        ("target.width=20", r"^target\.width=20: with model\.head_dim=8: does not divide width 20"),
        ("target.width=0", r"^target\.width=0: "),
        ("model.activation=relu", r"^model\.activation=relu: is not one of gelu, swiglu"),
        ("model.positions=rotary", r"^model\.positions=rotary: is not one of learned, alibi"),
        ("sparsity.mask=block", r"^sparsity\.mask=block: is not one of random, fixed_fan_in, bernoulli"),
        ("optimizer.name=adam", r"^optimizer\.name=adam: is not one of adamw, sgd"),
        ("optimizer.weight_decay_form=none", r"^optimizer\.weight_decay_form=none: is not one of"),
        ("budget.decay=wsd", r"^budget\.decay=wsd: is not one of linear, cosine, none"),
        ("parametrization.name=ntk", r"^parametrization=ntk: is not one of sp, "),
        ("model.kind=mlp", r"^model=mlp: cannot learn from data=text; use model=gpt"),
    ],
)
def test_an_impossible_value_is_named(target: Callable[..., RunSpec], word: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        target(word)


def test_a_missing_value_is_named(composed: Compose) -> None:
    with pytest.raises(InputError, match=r"data\.path"):
        config_to_spec.target_spec(composed("train", "data=text"))


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("threads=0", r"^threads=0: must be at least 1"),
        ("device=tpu", r"^device=tpu: is neither cpu nor cuda"),
        ("sparsity.backend=quantum", r"^sparsity\.backend=quantum: is not one of auto, masked, expand, csr, native"),
    ],
)
def test_an_impossible_execution_is_named(composed: Compose, word: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        config_to_spec.execution(composed("train", word))


def test_a_single_run_has_all_cores_and_a_worker_one_unless_a_person_says_otherwise(
    composed: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config_to_spec, "usable_cores", lambda: 7)
    config = composed("train")
    assert (config_to_spec.execution(config, alone=True).threads, config_to_spec.execution(config).threads) == (7, 1)
    typed = composed("train", "threads=2")
    assert {config_to_spec.execution(typed, alone=alone).threads for alone in (True, False)} == {2}


def test_execution_never_enters_the_run_key(composed: Compose, tiny: tuple[str, ...]) -> None:
    plain, threaded = composed("train", *tiny), composed("train", *tiny, "threads=2")
    assert config_to_spec.execution(threaded).threads == 2
    assert config_to_spec.target_spec(plain).key == config_to_spec.target_spec(threaded).key


def test_a_tuned_point_gives_the_base_hyperparameters(composed: Compose, tiny: tuple[str, ...], finished: Path) -> None:
    config = composed("train", *tiny, f"tuned={finished / 'proxy' / 'tuned.yaml'}")
    base = resolve_base(config)
    assert base.tuned is not None
    assert base.hparams == base.tuned.hparams == config_to_spec.target_spec(config).hparams
    assert resolve_base(composed("train", *tiny)).tuned is None


def test_a_recipe_replaces_the_model_and_keeps_data_and_budget(
    composed: Compose, tiny: tuple[str, ...], finished: Path
) -> None:
    recipe = read_recipe(finished / "recipe.yaml")
    spec = recipe_spec(composed("train", *tiny, "model.width=32", "budget.steps=9", "seed=3"), recipe)
    assert (spec.model, spec.sparsity, spec.base_width) == (recipe.model, recipe.sparsity, 16)
    assert (spec.hparams, spec.optimizer) == (recipe.hparams, recipe.optimizer)
    assert (spec.budget.steps, spec.seed, spec.data.name) == (9, 3, "text")


def test_a_recipe_for_other_data_is_refused(composed: Compose, tiny: tuple[str, ...], finished: Path) -> None:
    recipe = read_recipe(finished / "recipe.yaml")
    assert isinstance(recipe.model, GPTSpec)
    other = replace(recipe, model=replace(recipe.model, vocab_size=100))
    with pytest.raises(InputError, match=r"^data=text: has sizes \(256,\), the recipe's network \(100,\)"):
        recipe_spec(composed("train", *tiny), other)


def test_warm_up_is_a_part_of_the_steps_unless_a_number_is_given(composed: Compose, data: tuple[str, ...]) -> None:
    """``budget.steps=10`` alone was refused for a warm-up of 20 steps that nobody had asked for."""
    steps = {10: 1, 200: 20, 700: 70}
    for count, warmup in steps.items():
        budget = config_to_spec.target_spec(composed("train", *data, f"budget.steps={count}")).budget
        assert (budget.steps, budget.warmup_steps) == (count, warmup)
    given = config_to_spec.target_spec(composed("train", *data, "budget.steps=10", "budget.warmup_steps=3")).budget
    assert given.warmup_steps == 3
    with pytest.raises(InputError, match=r"^budget\.warmup_steps=11: must lie in \[0, steps=10\]"):
        config_to_spec.target_spec(composed("train", *data, "budget.steps=10", "budget.warmup_steps=11"))
    with pytest.raises(InputError, match=r"^budget\.warmup_fraction=1\.5: must lie in \[0, 1\]"):
        config_to_spec.target_spec(composed("train", *data, "budget.warmup_fraction=1.5"))


def test_tokens_per_parameter_decide_what_a_warm_up_may_be(target: Callable[..., RunSpec]) -> None:
    """A warm-up was refused for a number of ``steps`` that is not used where tokens per parameter are given."""
    long = target("budget.tokens_per_parameter=20", "budget.warmup_steps=500")
    assert long.budget.steps > 500 == long.budget.warmup_steps
    message = r"^budget\.warmup_steps=500: is more than the \d+ steps that budget\.tokens_per_parameter=0\.5 makes"
    with pytest.raises(InputError, match=message):
        target("budget.tokens_per_parameter=0.5", "budget.warmup_steps=500")


@pytest.mark.parametrize("command", ["train", "explain", "transfer", "plan", "sweep", "coordinates"])
def test_the_same_words_mean_the_same_network_in_every_command(
    composed: Compose, tiny: tuple[str, ...], command: str
) -> None:
    """``explain target.width=256`` was sparse, ``train target.width=256`` was dense."""
    words = ["sweep=x"] if command in ("sweep", "coordinates") else []
    spec = config_to_spec.target_spec(composed(command, *tiny, *words, "target.width=32"))
    assert (spec.model.width, spec.sparsity.density) == (32, 1.0)
