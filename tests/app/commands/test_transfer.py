"""``smupar transfer``: a recipe that can be read back, and where its numbers come from."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from smupar_transfer.records import read_recipe, read_tuned
from smupar_transfer.theory import Role

Run = Callable[..., CompletedProcess[str]]
TARGET = ("target.width=64", "target.sparsity=0.75")


def test_it_writes_a_recipe_and_prints_its_roles(smupar: Run, tiny: tuple[str, ...]) -> None:
    result = smupar("transfer", *tiny, *TARGET)
    assert (result.returncode, result.stderr) == (0, "")
    recipe = read_recipe(Path("results/recipe.yaml"))
    assert (recipe.model.width, recipe.base_width, recipe.sparsity.density) == (64, 16, 0.25)
    assert (recipe.parametrization, recipe.source) == ("smupar", None)
    assert recipe.hparams.learning_rate == 2**-6
    assert recipe.roles[Role.READOUT].forward_multiplier == pytest.approx(2.0 / 4)
    for role in Role:
        assert f"\n{role} " in result.stdout
    assert "m_d = 4, m_rho = 0.25" in result.stdout
    assert "wrote results/recipe.yaml" in result.stdout


def test_the_command_it_suggests_next_works(smupar: Run, tiny: tuple[str, ...]) -> None:
    printed = smupar("transfer", *tiny, *TARGET).stdout
    words = shlex.split(printed.partition("next: smupar ")[2])
    run = [word for word in tiny if word.startswith(("budget.", "data"))]
    assert words == ["train", "recipe=results/recipe.yaml", *run]
    assert smupar(*words).returncode == 0


def test_the_recipe_goes_where_it_is_told(smupar: Run, tiny: tuple[str, ...], tmp_path: Path) -> None:
    assert smupar("transfer", *tiny, *TARGET, f"recipe={tmp_path / 'deep' / 'mine.yaml'}").returncode == 0
    assert read_recipe(tmp_path / "deep" / "mine.yaml").model.width == 64
    assert not (tmp_path / "results").exists()


def test_a_tuned_point_is_carried_over_with_its_origin(smupar: Run, tiny: tuple[str, ...], results: Path) -> None:
    tuned = read_tuned(results / "proxy" / "tuned.yaml")
    assert smupar("transfer", *tiny, *TARGET, "tuned=results/proxy/tuned.yaml").returncode == 0
    recipe = read_recipe(results / "recipe.yaml")
    assert recipe.hparams == tuned.hparams
    assert recipe.source is not None
    assert (recipe.source.study, recipe.source.trial, recipe.source.value) == ("proxy", tuned.trial, tuned.value)


@pytest.mark.parametrize("word", ["hparams.learning_rate=0.5", "++hparams.learning_rate=0.5"])
def test_what_is_given_by_hand_wins_over_the_tuned_point(
    smupar: Run, tiny: tuple[str, ...], results: Path, word: str
) -> None:
    tuned = read_tuned(results / "proxy" / "tuned.yaml")
    assert smupar("transfer", *tiny, *TARGET, "tuned=results/proxy/tuned.yaml", word).returncode == 0
    recipe = read_recipe(results / "recipe.yaml")
    assert recipe.hparams.learning_rate == 0.5
    assert recipe.hparams.init_std == tuned.hparams.init_std
    assert recipe.source is None


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("model.width=32", "smupar: model.width=32: is not the width 16 of the proxy that was tuned"),
        ("model.depth=2", "smupar: model.depth=2: differs from the tuned proxy's 1"),
    ],
)
def test_a_point_tuned_on_another_proxy_is_refused(
    smupar: Run, tiny: tuple[str, ...], results: Path, word: str, message: str
) -> None:
    result = smupar("transfer", *tiny, *TARGET, "tuned=results/proxy/tuned.yaml", word)
    assert result.returncode == 2
    assert result.stderr.startswith(message)


def test_it_warns_of_too_few_weights_per_neuron(smupar: Run, tiny: tuple[str, ...]) -> None:
    assert "caution" not in smupar("transfer", *tiny, *TARGET).stdout
    sparser = smupar("transfer", *tiny, "target.width=64", "target.sparsity=0.9375")
    assert sparser.returncode == 0
    assert "caution: 4 non-zero weights per neuron" in sparser.stdout


def test_other_parametrizations_make_recipes_too(smupar: Run, tiny: tuple[str, ...]) -> None:
    assert smupar("transfer", *tiny, *TARGET, "parametrization=sp").returncode == 0
    recipe = read_recipe(Path("results/recipe.yaml"))
    assert {values.learning_rate for values in recipe.roles.values()} == {2**-6}
