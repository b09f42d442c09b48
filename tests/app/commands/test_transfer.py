"""``smupar transfer``: a recipe that can be read back, and where its numbers come from."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from smupar_transfer.records import read_tuned
from smupar_transfer.theory import Role
from smupar_transfer.transfer import read_recipe

Run = Callable[..., CompletedProcess[str]]
TARGET = ("target.width=64", "target.sparsity=0.75")


def test_it_writes_a_recipe_and_prints_its_roles(smupar: Run, tiny: tuple[str, ...]) -> None:
    result = smupar("transfer", *tiny, *TARGET)
    assert result.returncode == 0, result.stderr
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


def test_a_tuned_point_is_transferred_with_its_origin(smupar: Run, tiny: tuple[str, ...], results: Path) -> None:
    tuned = read_tuned(results / "proxy" / "tuned.yaml")
    assert (
        smupar("transfer", *tiny, *TARGET, "tuned=results/proxy/tuned.yaml", "recipe=results/own.yaml").returncode == 0
    )
    recipe = read_recipe(results / "own.yaml")
    assert recipe.hparams == tuned.hparams
    assert recipe.source is not None
    assert (recipe.source.study, recipe.source.trial, recipe.source.value) == ("proxy", tuned.trial, tuned.value)


@pytest.mark.parametrize("word", ["hparams.learning_rate=0.5", "++hparams.learning_rate=0.5"])
def test_what_is_given_by_hand_wins_over_the_tuned_point(
    smupar: Run, tiny: tuple[str, ...], results: Path, word: str
) -> None:
    tuned = read_tuned(results / "proxy" / "tuned.yaml")
    assert (
        smupar("transfer", *tiny, *TARGET, "tuned=results/proxy/tuned.yaml", "recipe=results/own.yaml", word).returncode
        == 0
    )
    recipe = read_recipe(results / "own.yaml")
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
    assert "weights per neuron" not in smupar("transfer", *tiny, *TARGET).stderr
    sparser = smupar("transfer", *tiny, "target.width=64", "target.sparsity=0.9375", "recipe=other.yaml")
    assert sparser.returncode == 0
    assert "caution: 4 non-zero weights per neuron" in sparser.stderr


def test_other_parametrizations_make_recipes_too(smupar: Run, tiny: tuple[str, ...]) -> None:
    assert smupar("transfer", *tiny, *TARGET, "parametrization=sp").returncode == 0
    recipe = read_recipe(Path("results/recipe.yaml"))
    assert {values.learning_rate for values in recipe.roles.values()} == {2**-6}


def test_a_recipe_of_another_target_is_not_overwritten(smupar: Run, tiny: tuple[str, ...]) -> None:
    assert smupar("transfer", *tiny, *TARGET).returncode == 0
    before = Path("results/recipe.yaml").read_bytes()
    other = smupar("transfer", *tiny, "target.width=32", "target.sparsity=0.5")
    assert other.returncode == 2
    assert "recipe=results/recipe.yaml: holds the recipe of another target (SμPar, width 16 -> 64" in other.stderr
    assert "give recipe=PATH" in other.stderr
    assert Path("results/recipe.yaml").read_bytes() == before


def test_a_newer_recipe_of_the_same_target_says_what_it_replaces(smupar: Run, tiny: tuple[str, ...]) -> None:
    assert smupar("transfer", *tiny, *TARGET).returncode == 0
    again = smupar("transfer", *tiny, *TARGET, "hparams.learning_rate=0.5")
    assert again.returncode == 0
    assert "in place of learning_rate 0.01562" in again.stdout
    assert "in place of" not in smupar("transfer", *tiny, *TARGET, "hparams.learning_rate=0.5").stdout


@pytest.mark.parametrize("content", ["my notes\n", "schema: 99\n", "a: [\n"])
def test_a_file_that_is_no_recipe_is_not_overwritten(smupar: Run, tiny: tuple[str, ...], content: str) -> None:
    Path("notes.txt").write_text(content, encoding="utf-8")
    result = smupar("transfer", *tiny, *TARGET, "recipe=notes.txt")
    assert result.returncode == 2
    assert result.stderr.startswith("smupar: recipe=notes.txt: exists and is no recipe")
    assert Path("notes.txt").read_text(encoding="utf-8") == content


def test_hyperparameters_that_nobody_tuned_are_said_to_be(smupar: Run, tiny: tuple[str, ...], results: Path) -> None:
    untuned = smupar("transfer", *tiny, *TARGET, "recipe=a.yaml").stderr
    assert "caution: base hyperparameters are defaults, which nobody tuned" in untuned
    half = smupar("transfer", *tiny, *TARGET, "recipe=b.yaml", "hparams={init_std: 0.3}").stderr
    assert "caution: base hyperparameters given by hand: init_std; the others are defaults" in half
    assert (
        "caution: the recipe's base hyperparameters come from no study"
        in smupar("explain", "recipe=a.yaml", *(word for word in tiny if not word.startswith("model."))).stderr
    )
    tuned = smupar("transfer", *tiny, *TARGET, "recipe=c.yaml", "tuned=results/proxy/tuned.yaml").stderr
    assert tuned == ""


def test_a_target_that_is_the_proxy_is_said_to_be(smupar: Run, tiny: tuple[str, ...]) -> None:
    assert "caution: the target is the proxy itself" in smupar("transfer", *tiny).stderr


@pytest.mark.parametrize("command", ["transfer", "train", "explain", "plan"])
@pytest.mark.parametrize("words", [["hparams.weight_decay=0.1"], []])
def test_a_point_is_never_scaled_as_if_it_was_tuned_at_another_width(
    smupar: Run, tiny: tuple[str, ...], results: Path, command: str, words: list[str]
) -> None:
    """A word by hand beside it, or another command, let it pass: every rate was wrong by the ratio of widths."""
    result = smupar(command, *tiny, *TARGET, "tuned=results/proxy/tuned.yaml", "model.width=32", *words)
    assert result.returncode == 2
    assert result.stderr.startswith("smupar: model.width=32: is not the width 16 of the proxy that was tuned")


def test_data_that_nobody_chose_is_not_trained_on(smupar: Run, tiny: tuple[str, ...], results: Path) -> None:
    """Tuned on a text of one's own, a recipe was trained on the Python corpus without a word."""
    tuned = ("tuned=results/proxy/tuned.yaml", *TARGET)
    assert smupar("transfer", *tiny, *tuned, "recipe=mine.yaml").returncode == 0
    budget = [word for word in tiny if word.startswith("budget.")]
    forgot = smupar("train", *budget, "recipe=mine.yaml")
    assert forgot.returncode == 2
    assert forgot.stderr.startswith(
        "smupar: data=python: is not what the base hyperparameters were tuned on (data=text "
    )
    assert "; give data=text data.path=" in forgot.stderr
    assert "or data=python, if you mean it" in forgot.stderr
    assert smupar("explain", *[word for word in tiny if not word.startswith("data")], *tuned).returncode == 2
    Path("other.txt").write_bytes(b"another text\n" * 400)
    chosen = smupar("train", *budget, "recipe=mine.yaml", "data=text", "data.path=other.txt")
    assert chosen.returncode == 0
    assert "caution: data=text has other content than what the proxy was tuned on" in chosen.stderr


def test_a_budget_far_from_the_proxys_is_told(smupar: Run, tiny: tuple[str, ...], results: Path) -> None:
    tuned = ("tuned=results/proxy/tuned.yaml", *TARGET)
    assert smupar("transfer", *tiny, *tuned, "recipe=mine.yaml").returncode == 0
    proxy = [word for word in tiny if not word.startswith("model.")]
    assert "tokens are" not in smupar("explain", *proxy, "recipe=mine.yaml").stderr
    longer = smupar("explain", *proxy, "recipe=mine.yaml", "budget.steps=400").stderr
    assert "caution: 12,800 tokens are 100 times those that the proxy was tuned with" in longer
