"""Every key beside ``recipe=``, ``tuned=`` or a sweep file has an effect, or is refused by name.

The keys come from the composed configuration, so that a key which is added is tried when it is added. A command is
stopped where it would begin to work, with all that it was about to do.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any, NoReturn

import pytest
import yaml

from smupar_transfer.app import config_to_spec
from smupar_transfer.app.commands import coordinates, explain, export, plan, train, transfer, tune
from smupar_transfer.app.endings import CheckFailedError
from smupar_transfer.app.overrides import flat
from smupar_transfer.sweeps import run_missing, shipped

Run = Callable[..., CompletedProcess[str]]

OTHER_WORDS: dict[str, str] = {
    "budget.decay": "cosine",
    "budget.tokens_per_parameter": "1.0",
    "budget.warmup_steps": "2",
    "data.bytes_per_token": "2.0",
    "data.dtype": "uint32",
    "data.name": "python",
    "data.path": "other.txt",
    "data.vocab_size": "300",
    "device": "cuda",
    "distributed": "fsdp",
    "format": "json",
    "launcher": "joblib",
    "model.activation": "swiglu",
    "model.kind": "mlp",
    "model.positions": "learned",
    "name": "other",
    "optimizer.name": "sgd",
    "optimizer.weight_decay_form": "coupled",
    "optimizer.clip_norm": "scaled",
    "parametrization.name": "mup",
    "precision": "bfloat16",
    "prompt": "hello",
    "recipe": "other.yaml",
    "require": "[mup]",
    "results_dir": "elsewhere",
    "sparsity.backend": "csr",
    "sparsity.mask": "fixed_fan_in",
    "study.name": "other",
    "study.storage": "sqlite:///other.db",
    "target.width": "48",
    "threads": "3",
    "to": "axolotl",
    "tracker": "tensorboard",
    "tuned": "other.yaml",
    "tuning.on": "target",
}
"""Another valid value of every key whose type does not tell one."""
NO_SAY: dict[str, frozenset[str]] = {
    "coordinates": frozenset({"max_seeds"}),  # read once the planned seeds are measured
    "explain": frozenset({"device", "sparsity.backend", "threads", "results_dir", "format"}),  # computes nothing
    "export": frozenset({"device", "sparsity.backend", "threads", "results_dir", "output"}),  # computes nothing
    "plan": frozenset({"workers"}),  # divides what it prints last
    "train": frozenset({"sample"}),  # read once training is over
    "transfer": frozenset({"device", "sparsity.backend", "threads", "results_dir"}),  # recipe= says where to
    "tune": frozenset({"workers", "launcher"}),  # read where jobs start
}
"""Keys by which a command does nothing else up to where it is stopped, each with its reason."""
SCENES = {
    "a recipe to train": ("train", ("recipe=results/recipe.yaml",)),
    "a recipe to explain": ("explain", ("recipe=results/recipe.yaml",)),
    "a recipe to export": ("export", ("recipe=results/recipe.yaml", "to=json")),
    "a tuned point to train": ("train", ("tuned=results/proxy/tuned.yaml",)),
    "a tuned point to transfer": ("transfer", ("tuned=results/proxy/tuned.yaml", "recipe=mine.yaml")),
    "a tuned point to plan": ("plan", ("tuned=results/proxy/tuned.yaml",)),
    "a sweep": ("sweep", ("grid.yaml",)),
    "a sweep at a tuned point": ("sweep", ("grid.yaml", "tuned=results/proxy/tuned.yaml")),
    "a coordinate check": ("coordinates", ("check.yaml", "require=[]")),
    "a search": ("tune", ()),
}
CHECK = """\
question: Do sizes stay put?
expected: They do.
cost: a second
kind: coordinates
overrides: [budget.steps=3, hparams.learning_rate=0.01]
grids:
  - parametrization.name: [sp, smupar]
    target.sparsity: [0.0, 0.5]
    seed: [0, 1]
runs: 8
"""


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command ends, with all that it was about to do as its message."""

    def stop(*about: object, **more: object) -> NoReturn:
        raise CheckFailedError(f"about to do: {about} {more}".replace("\n", " "))

    def stop_with_plan(
        title: str, asks: Callable[[dict[str, Any]], list[Any]], expected: int, context: Any, records: object
    ) -> NoReturn:
        stop(title, asks({}), expected, *about_context(context))

    def stop_with_means(title: str, specs: list[Any], context: Any, *more: object) -> NoReturn:
        stop(title, specs, *about_context(context))

    def about_context(context: Any) -> tuple[object, ...]:
        return context.execution, context.folder, context.workers, context.data, context.tracking, context.launcher

    def stop_training(
        spec: Any, data: Any, execution: Any, observer: object, checkpoint: Path, tracking: object, *, ranks: object
    ) -> NoReturn:
        stop(spec, data.spec, execution, checkpoint, tracking)

    monkeypatch.setattr(train, "run_spec", stop_training)
    monkeypatch.setattr(explain, "plan_of", lambda network, spec: stop(spec))
    monkeypatch.setattr(export, "export_recipe", lambda recipe, plan, to: stop(plan, to))
    monkeypatch.setattr(export, "target_plan", lambda spec: spec)
    monkeypatch.setattr(transfer, "recipe_of", lambda spec, source: (spec, source))
    monkeypatch.setattr(transfer, "_kept", stop)
    asked = plan.of_target
    monkeypatch.setattr(plan, "of_target", lambda config: stop(asked(config)[0], config_to_spec.execution(config)))
    monkeypatch.setattr(run_missing, "train_planned", stop_with_plan)
    monkeypatch.setattr(coordinates, "measure_missing", stop_with_means)
    monkeypatch.setattr(tune, "tune", lambda config, search: stop(search, config.results_dir))


def another(key: str, value: Any) -> str:
    """Another value of a key, as one writes it."""
    if key in OTHER_WORDS:
        return OTHER_WORDS[key]
    if isinstance(value, bool):
        return str(not value).lower()
    if isinstance(value, int):
        return str(value * 2 or 1)
    if isinstance(value, float):
        return str(value / 2 or 0.5)
    raise AssertionError(f"{key} is new: give it another value in OTHER_WORDS")


@pytest.fixture
def scene(
    smupar: Run, tiny: tuple[str, ...], results: Path, tmp_path: Path, grid_file: Path, stopped: None
) -> Callable[..., CompletedProcess[str]]:
    """Run a scene with further words."""
    del stopped, grid_file
    shutil.rmtree(results / "grid")  # a sweep that is changed is refused for what is there
    (tmp_path / "check.yaml").write_text(CHECK, encoding="utf-8")
    (tmp_path / "other.txt").write_bytes(b"another text\n" * 400)
    tuned = yaml.safe_load((results / "proxy" / "tuned.yaml").read_text(encoding="utf-8"))
    tuned["hparams"] = {name: 1.5 * value for name, value in tuned["hparams"].items()}
    (tmp_path / "other.yaml").write_text(yaml.safe_dump(tuned), encoding="utf-8")
    proxy = [word for word in tiny if not word.startswith("model.")]  # a recipe has a model of its own

    (tmp_path / "own" / "budget").mkdir(parents=True)
    own_budget = "defaults: [short, _self_]\ndecay: cosine\n"  # nothing of it is among the words
    (tmp_path / "own" / "budget" / "own.yaml").write_text(own_budget, encoding="utf-8")

    def run(name: str, *words: str) -> CompletedProcess[str]:
        command, own = SCENES[name]
        usual = proxy if own and own[0].startswith("recipe=") else tiny
        return smupar(command, *own, *usual, "seed=7", *words, "--config-dir", "own")

    return run


def leaves(printed: str) -> dict[str, Any]:
    """Every key a person can set, with its value, of what ``--cfg job --resolve`` prints."""
    return {key: value for key, value in flat(yaml.safe_load(printed)) if value != "???" and key != "sweep"}


def verdict(key: str, before: CompletedProcess[str], after: CompletedProcess[str]) -> str:
    """What a word did: nothing, or something that is in order (then empty)."""
    if after.returncode == 2:
        said = after.stderr.splitlines()[-1]
        group = key.partition(".")[0]
        named = any(word in said for word in (f"{key}=", f"{group}=", f"{group}.", "axis="))
        return "" if named else f"{key}: refused without being named: {said}"
    if after.returncode != 1 or "about to do" not in after.stderr:
        return f"{key}: ended with {after.returncode}: {after.stderr}"
    return f"{key}: does nothing" if before.stderr == after.stderr else ""


@pytest.mark.parametrize("name", SCENES)
def test_every_key_has_an_effect_or_is_refused(scene: Callable[..., CompletedProcess[str]], name: str) -> None:
    command, _ = SCENES[name]
    keys = leaves(scene(name, "--cfg", "job", "--resolve").stdout)
    assert {"seed", "hparams.learning_rate", "optimizer.beta1", "budget.steps", "data.path"} <= keys.keys()
    usual = scene(name)
    assert usual.returncode == 1, usual.stderr
    assert "about to do" in usual.stderr
    faults = [
        verdict(key, usual, scene(name, f"{key}={another(key, value)}"))
        for key, value in keys.items()
        if key not in NO_SAY.get(command, ())
    ]
    assert "\n".join(filter(None, faults)) == ""


GROUPS: tuple[str, ...] = ("budget=own", "data=python", "model=gpt_swiglu", "optimizer=sgd", "parametrization=mup")
GROUPS += ("sparsity=bernoulli", "target=wide_sparse")


@pytest.mark.parametrize("name", SCENES)
def test_every_group_has_an_effect_or_is_refused(scene: Callable[..., CompletedProcess[str]], name: str) -> None:
    assert {word.partition("=")[0] for word in GROUPS} == {
        folder.name for folder in shipped.CONF.iterdir() if folder.is_dir() and folder.name != "common"
    }
    usual = scene(name)
    faults = [verdict(word.partition("=")[0], usual, scene(name, word)) for word in GROUPS]
    assert "\n".join(filter(None, faults)) == ""


def test_the_control_finds_a_word_that_does_nothing(scene: Callable[..., CompletedProcess[str]]) -> None:
    name = "a recipe to explain"
    assert verdict("threads", scene(name), scene(name, "threads=2")) == "threads: does nothing"
