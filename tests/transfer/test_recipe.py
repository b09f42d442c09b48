from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from smupar_transfer.records import (
    Activation,
    BudgetSpec,
    DataSpec,
    GPTSpec,
    MLPSpec,
    ModelSpec,
    Recipe,
    RunSpec,
    Source,
    SparsitySpec,
    Tuned,
    derive_roles,
    read_recipe,
    write_recipe,
)
from smupar_transfer.theory import BaseHyperparameters, InputError, Optimizer, OptimizerSettings, Role
from smupar_transfer.transfer import MINIMUM_WEIGHTS_PER_NEURON, cautions, make_recipe

PROXY = GPTSpec(width=64, depth=2, head_dim=32, vocab_size=256, context=64)
TARGET = replace(PROXY, width=1024)
SPARSE = SparsitySpec(density=1 / 64)
HPARAMS = BaseHyperparameters(0.03, 0.17, 5.2, 2.2, 0.1)
ADAMW = OptimizerSettings()


def tuned_on(proxy: ModelSpec) -> Tuned:
    run = RunSpec(
        model=proxy,
        base_width=proxy.width,
        sparsity=SparsitySpec(),
        parametrization="smupar",
        hparams=replace(HPARAMS, learning_rate=0.001),
        optimizer=ADAMW,
        data=DataSpec("python", "ab" * 32, 1000, 100),
        budget=BudgetSpec(steps=10, batch_size=2),
    )
    return Tuned(HPARAMS, value=2.246, study="proxy-64", trial=41, trials=60, proxy=run)


def recipe_for(
    model: ModelSpec = TARGET, sparsity: SparsitySpec = SPARSE, hparams: BaseHyperparameters | Tuned = HPARAMS
) -> Recipe:
    return make_recipe(hparams, model, sparsity, 64, "smupar", ADAMW)


def test_from_hyperparameters_given_by_hand() -> None:
    recipe = recipe_for()
    assert recipe.source is None
    assert (recipe.hparams, recipe.model, recipe.sparsity) == (HPARAMS, TARGET, SPARSE)
    assert (recipe.base_width, recipe.parametrization, recipe.optimizer) == (64, "smupar", ADAMW)
    assert set(recipe.roles) == set(Role)


def test_hand_worked_numbers() -> None:
    """m_d = 16, m_rho = 1/64, so a quarter of the proxy's weights per neuron: std x 2, eta x 4, lambda / 4."""
    roles = recipe_for().roles
    hidden, readout, embedding = roles[Role.HIDDEN], roles[Role.READOUT], roles[Role.EMBEDDING]
    assert (hidden.m_d, hidden.m_rho) == (16.0, 1 / 64)
    assert (hidden.init_std, hidden.learning_rate) == pytest.approx((0.34, 0.12), rel=1e-12)
    assert hidden.weight_decay == pytest.approx(0.025, rel=1e-12)
    assert readout.forward_multiplier == pytest.approx(2.2 / 16, rel=1e-12)
    assert (readout.m_rho, embedding.m_rho) == (1.0, 1.0)
    assert (embedding.init_std, embedding.learning_rate, embedding.forward_multiplier) == (0.17, 0.03, 5.2)


def test_the_proxy_itself_is_trained_as_it_was_tuned() -> None:
    roles = recipe_for(PROXY, SparsitySpec()).roles
    for role in set(Role) - {Role.VECTOR}:
        assert (roles[role].init_std, roles[role].learning_rate, roles[role].weight_decay) == (0.17, 0.03, 0.1)


@pytest.mark.parametrize("name", ["sp", "mup"])
def test_another_parametrization_gives_other_numbers(name: str) -> None:
    other = make_recipe(HPARAMS, TARGET, SPARSE, 64, name, ADAMW)
    assert other.parametrization == name
    assert other.roles == derive_roles(name, HPARAMS, ADAMW, 16.0, 1 / 64)
    assert other.roles[Role.HIDDEN] != recipe_for().roles[Role.HIDDEN]


def test_the_targets_optimizer_is_used() -> None:
    sgd = OptimizerSettings(name=Optimizer.SGD)
    roles = make_recipe(HPARAMS, TARGET, SPARSE, 64, "smupar", sgd).roles
    assert roles[Role.HIDDEN].learning_rate == 0.03 * 64
    assert roles[Role.EMBEDDING].learning_rate == 0.03 * 16


def test_from_a_tuned_point() -> None:
    """The best trial's values are used, not those its search started from, and the source is written down."""
    tuned = tuned_on(PROXY)
    recipe = recipe_for(hparams=tuned)
    assert recipe.hparams == HPARAMS
    assert recipe.hparams != tuned.proxy.hparams
    assert recipe.source == Source.of(tuned)
    assert recipe.roles == recipe_for().roles


@pytest.mark.parametrize("hparams", [HPARAMS, tuned_on(PROXY)], ids=["by hand", "tuned"])
def test_what_is_made_can_be_read(tmp_path: Path, hparams: BaseHyperparameters | Tuned) -> None:
    recipe = recipe_for(hparams=hparams)
    write_recipe(tmp_path / "recipe.yaml", recipe)
    assert read_recipe(tmp_path / "recipe.yaml") == recipe


@pytest.mark.parametrize("width", [32, 128])
def test_another_proxy_width_is_refused_with_both(width: int) -> None:
    with pytest.raises(InputError, match=rf"^model.width={width}: is not the width 64 of the proxy that was tuned"):
        make_recipe(tuned_on(PROXY), TARGET, SPARSE, width, "smupar", ADAMW)
    make_recipe(HPARAMS, TARGET, SPARSE, width, "smupar", ADAMW)  # by hand, the width is the person's word


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
def test_another_architecture_is_refused_by_name(name: str) -> None:
    target = replace(TARGET, **{name: OTHER_ARCHITECTURES[name]})
    message = rf"^model.{name}={OTHER_ARCHITECTURES[name]!s}: differs from the tuned proxy's {getattr(PROXY, name)}"
    with pytest.raises(InputError, match=message):
        recipe_for(target, hparams=tuned_on(PROXY))
    recipe_for(target)


def test_another_kind_of_network_is_refused() -> None:
    mlp = MLPSpec(width=1024, depth=2, features=64, classes=10)
    with pytest.raises(InputError, match=r"^model\.\w+=.*differs from the tuned proxy's"):
        recipe_for(mlp, hparams=tuned_on(PROXY))
    with pytest.raises(InputError, match=r"^model\.\w+=.*differs from the tuned proxy's"):
        recipe_for(TARGET, hparams=tuned_on(replace(mlp, width=64)))
    assert recipe_for(mlp, hparams=tuned_on(replace(mlp, width=64))).model == mlp


def test_an_unknown_parametrization_is_refused() -> None:
    with pytest.raises(InputError, match="parametrization=ntk"):
        make_recipe(HPARAMS, TARGET, SPARSE, 64, "ntk", ADAMW)


@pytest.mark.parametrize("base_width", [0, -64])
def test_an_impossible_base_width_is_refused(base_width: int) -> None:
    """Guards against a division by zero in place of a message."""
    with pytest.raises(InputError):
        make_recipe(HPARAMS, TARGET, SPARSE, base_width, "smupar", ADAMW)


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
def test_too_few_weights_per_neuron_are_told(width: int, density: float, warned: bool) -> None:
    found = cautions(recipe_for(replace(PROXY, width=width), SparsitySpec(density)))
    assert len(found) == (1 if warned else 0)
    if warned:
        assert found[0].startswith(f"{width * density:.3g} non-zero weights per neuron are fewer than the 16 ")
        assert "target.sparsity" in found[0]
        assert "target.width" in found[0]


def test_the_thinnest_layer_counts() -> None:
    """A feed-forward block narrower than the network feeds its down projection with fewer weights."""
    narrow = replace(TARGET, mlp_ratio=0.25)
    assert len(cautions(recipe_for(narrow, SparsitySpec(1 / 32)))) == 1
    assert cautions(recipe_for(TARGET, SparsitySpec(1 / 32))) == []


@pytest.mark.parametrize(
    ("narrow", "wide"),
    [
        (replace(PROXY, width=32), replace(PROXY, width=128)),
        (MLPSpec(32, 2, 64, 10), MLPSpec(128, 2, 64, 10)),
    ],
    ids=["gpt", "mlp"],
)
def test_a_target_narrower_than_its_proxy_is_told(narrow: ModelSpec, wide: ModelSpec) -> None:
    assert cautions(recipe_for(narrow, SparsitySpec())) == ["the target is narrower than its proxy (32 < 64)"]
    assert cautions(recipe_for(wide, SparsitySpec())) == []


def test_cautions_add_up() -> None:
    assert len(cautions(recipe_for(replace(PROXY, width=32), SparsitySpec(0.25)))) == 2
