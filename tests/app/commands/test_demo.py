"""``smupar demo``: the whole story, small."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from omegaconf import DictConfig

from smupar_transfer.app import config_to_spec
from smupar_transfer.app.commands import tune
from smupar_transfer.app.commands.demo import at_offset
from smupar_transfer.records import RunStore, read_tuned
from smupar_transfer.theory import InputError
from smupar_transfer.transfer import read_recipe

Run = Callable[..., CompletedProcess[str]]

SMALL = ("tuning.n_trials=2", "tuning.startup_trials=1", "target.width=32", "target.sparsity=0.5", "workers=1")


def test_it_cautions_about_a_thin_target_first(
    smupar: Run, tiny: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*about: object) -> None:
        raise InputError("stopped", "", "here")

    monkeypatch.setattr(tune, "tune", stopped)
    result = smupar("demo", *tiny, *SMALL, "target.sparsity=0.75")
    assert result.stderr.startswith("caution: 8 non-zero weights per neuron are fewer than the 16")


def test_it_transfers_from_a_proxy_and_refuses_to_search_on_its_target(smupar: Run, tiny: tuple[str, ...]) -> None:
    result = smupar("demo", *tiny, *SMALL, "tuning.on=target")
    assert result.returncode == 2
    assert result.stderr.startswith("smupar: tuning.on=target: is not what the demo shows")
    assert not Path("results").exists()


def test_it_tells_the_whole_story(smupar: Run, tiny: tuple[str, ...]) -> None:
    result = smupar("demo", *tiny, *SMALL)
    assert result.returncode == 0, result.stderr
    folder = Path("results/demo")
    for name in ("study.db", "tuned.yaml", "recipe.yaml", "records.jsonl", "report.html"):
        assert (folder / name).is_file()
    for name in ("demo", "history", "slices"):
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert (folder / f"{name}.svg").is_file()
    for heading in ("1. tune", "2. transfer", "3. train", "4. compare", "zero-shot", "regret"):
        assert heading in result.stdout
    for title in ("SP", "μP", "SμPar"):
        assert f"\n{title} " in result.stdout

    recipe, tuned = read_recipe(folder / "recipe.yaml"), read_tuned(folder / "tuned.yaml")
    assert (recipe.hparams, recipe.model.width, recipe.sparsity.density) == (tuned.hparams, 32, 0.5)
    all_records = list(RunStore(folder))
    records = [record for record in all_records if record.spec.sparsity.density == 0.5]
    assert len(records) == 6 + 1 + 4
    dense = {r.spec.hparams.learning_rate: r.validation_loss for r in all_records if r not in records}
    assert len(dense) == 4
    reused = min(dense, key=lambda rate: dense[rate] or math.inf)
    assert {(r.spec.parametrization, r.spec.model.width) for r in all_records if r not in records} == {("sp", 32)}
    (row,) = re.findall(r"^SP tuned dense, re-used +([0-9.]+)", result.stdout, re.MULTILINE)
    (same,) = [r for r in records if (r.spec.parametrization, r.spec.hparams.learning_rate) == ("sp", reused)]
    assert float(row) == pytest.approx(same.validation_loss, abs=1e-4)
    offsets = {
        name: sorted(
            math.log2(record.spec.hparams.learning_rate / tuned.hparams.learning_rate)
            for record in records
            if record.spec.parametrization == name
        )
        for name in ("sp", "mup", "smupar")
    }
    assert offsets["sp"] == pytest.approx([-3, -2, -1, 0, 1, 2], abs=1e-9)
    assert offsets["mup"] == pytest.approx([0], abs=1e-9)
    assert offsets["smupar"] == pytest.approx([-2, -1, 0, 1], abs=1e-9)
    assert {record.spec.hparams.init_std for record in records} == {tuned.hparams.init_std}

    assert "trains the target best" in result.stdout or "Every zero-shot run diverged." in result.stdout
    assert "demo/report.html" in Path("results/index.html").read_text(encoding="utf-8")
    report = (folder / "report.html").read_text(encoding="utf-8")
    assert report.lstrip().lower().startswith("<!doctype html>")
    assert "data:image/svg" in report
    assert 'src="http' not in report
    assert 'href="http' not in report.partition("</head>")[0]


def test_again_it_trains_nothing(smupar: Run, tiny: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    few = ("grids.sp=[0.0]", "grids.smupar=[0.0]", "dense_grid=[-1.5]")
    assert smupar("demo", *tiny, *SMALL, *few).returncode == 0
    records = Path("results/demo/records.jsonl").read_bytes()
    monkeypatch.setattr("smupar_transfer.sweeps.run_missing.run", None)
    monkeypatch.setattr("smupar_transfer.tuning.search.run_next_trial", None)
    again = smupar("demo", *tiny, *SMALL, *few)
    assert again.returncode == 0, again.stderr
    assert Path("results/demo/records.jsonl").read_bytes() == records


def test_an_offset_moves_the_learning_rate_only(composed: Callable[..., DictConfig], tiny: tuple[str, ...]) -> None:
    target = config_to_spec.target_spec(composed("demo", *tiny))
    moved = at_offset(target, "sp", -2.0)
    assert moved.parametrization == "sp"
    assert moved.hparams.learning_rate == target.hparams.learning_rate / 4
    assert moved.hparams.init_std == target.hparams.init_std
    assert at_offset(target, "smupar", 0.0).key == target.key


@pytest.mark.parametrize(
    ("name", "octaves", "key"), [("ntk", 0.0, "parametrization=ntk"), ("sp", math.inf, "grids.sp")]
)
def test_an_impossible_offset_is_refused(
    composed: Callable[..., DictConfig], tiny: tuple[str, ...], name: str, octaves: float, key: str
) -> None:
    target = config_to_spec.target_spec(composed("demo", *tiny))
    with pytest.raises(InputError, match=rf"^{key}"):
        at_offset(target, name, octaves)


def test_where_nothing_is_tuned_dense_nothing_is_re_used(smupar: Run, tiny: tuple[str, ...]) -> None:
    """A rate of a grid of its own makes a run of its own; without a grid there is neither."""
    few = ("grids.sp=[0.0]", "grids.mup=[0.0]", "grids.smupar=[0.0]")
    assert "re-used" not in smupar("demo", *tiny, *SMALL, *few, "dense_grid=[]").stdout
    assert len(list(RunStore(Path("results/demo")))) == 3
    assert "SP tuned dense, re-used" in smupar("demo", *tiny, *SMALL, *few, "dense_grid=[-1.5]").stdout
    assert len(list(RunStore(Path("results/demo")))) == 3 + 1 + 1


IMPOSSIBLE = ("dense_grid=[.nan]", "+grids.ntk=[0.0]", "grids.sp=[.inf]", "target.sparsity=1.5", "target.width=20")


@pytest.mark.parametrize("word", IMPOSSIBLE)
def test_bad_input_is_refused_before_the_search(smupar: Run, tiny: tuple[str, ...], word: str) -> None:
    result = smupar("demo", *tiny, *SMALL, word)
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1, result.stderr
    assert not Path("results").exists()
