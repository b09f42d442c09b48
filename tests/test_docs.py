"""What the guides say of commands, trackers and tuning is so: words compose, files work, no code is missing."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from smupar_transfer.app.catalogue import COMMANDS
from smupar_transfer.app.endings import ExitCode
from smupar_transfer.app.keys import Takes, keys_of
from smupar_transfer.app.main import main
from smupar_transfer.app.options import folders, options_of
from smupar_transfer.kernels.build import FLAGS_VARIABLE
from smupar_transfer.launchers.plugins import VARIABLE as PLUGINS_VARIABLE
from smupar_transfer.training.data.shakespeare import WHEEL

ROOT = Path(__file__).parents[1]
PAGES = {
    name: (ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("commands.md", "trackers.md", "tuning.md")
}


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGES[page], flags=re.DOTALL)


def section(page: str, heading: str) -> str:
    return PAGES[page].partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def first_cells(text: str) -> list[str]:
    """First cells of a table's rows, without its header."""
    rows = [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("|")]
    return [row for row in rows[1:] if not row.startswith("---")]


def commands() -> list[list[str]]:
    lines = [line for page in PAGES for block in blocks(page, "bash") for line in block.splitlines()]
    return [shlex.split(line)[1:] for line in lines if line.startswith("smupar ")]


def test_there_are_commands() -> None:
    assert {words[0] for words in commands()} == {"explain", "export", "train", "tune"}


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_composes(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    one_run = words
    if "--multirun" in words:
        one_run = [word.partition(",")[0] for word in words if word != "--multirun"]
    assert main([*one_run, "--cfg", "job"]) == 0, capsys.readouterr().err


def test_every_command_of_the_program_has_a_row() -> None:
    cells = first_cells(PAGES["commands.md"].partition("\n## ")[0])
    assert sorted(cell.strip("`").split()[0] for cell in cells) == sorted(COMMANDS)


def test_every_exit_code_has_a_row() -> None:
    assert [int(cell) for cell in first_cells(section("commands.md", "Exit codes"))] == [*sorted(ExitCode), 128 + 15]


def test_every_environment_variable_that_is_read_is_named() -> None:
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "smupar_transfer").rglob("*.py"))
    read = set(re.findall(r"environ(?:\.get\(|\[)\"?(\w+)", sources)) - {"FLAGS_VARIABLE", "VARIABLE"}
    assert {"XDG_CACHE_HOME", "CXX"} <= read
    text = section("commands.md", "Environment variables")
    for name in read | {FLAGS_VARIABLE, PLUGINS_VARIABLE}:
        assert f"`{name}`" in text, name


def test_caches_are_where_they_are_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    from smupar_transfer.kernels import cache_folder, user_cache
    from smupar_transfer.sparsity.autotune.choice import calibration_file
    from smupar_transfer.training.data.fingerprints import facts_folder

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    caches = {cache_folder(), calibration_file("cpu").parent, user_cache() / WHEEL, facts_folder()}
    named = {Path(cell.strip("`")).expanduser() for cell in first_cells(section("commands.md", "Caches"))}
    assert named == caches


def test_keys_of_text_are_those_that_are_named() -> None:
    named = set(re.findall(r"`([\w.]+)`", section("commands.md", "Words on the command line").partition(")")[0]))
    chosen = re.compile(r"chosen by|^of the output$")
    for command in COMMANDS:
        for name, key in keys_of(command).items():
            if key.takes is Takes.TEXT and not key.choices and not chosen.search(key.meaning):
                assert name in named, name


def test_every_search_space_has_a_row() -> None:
    rows = re.findall(r"tuning=(\w+)`", "\n".join(first_cells(section("tuning.md", "What is searched"))))
    assert rows == list(options_of("tuning", folders(None)))


def composed_with(
    folder: Path, group: str, content: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Any:
    """The group of a configuration with an option of one's own, which help must know, too."""
    monkeypatch.chdir(folder)
    path = folder / "own" / group / "mine.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(content)
    words = ["tune", "--config-dir", "own", f"{group}=mine"]
    assert main([*words, "--help"]) == 0
    assert content.splitlines()[0].lstrip("# ") in capsys.readouterr().out
    assert main([*words, "--cfg", "job"]) == 0
    return yaml.safe_load(capsys.readouterr().out)[group]


def test_an_option_of_ones_own_starts_from_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (content,) = blocks("commands.md", "yaml")
    budget = composed_with(tmp_path, "budget", content, monkeypatch, capsys)
    assert (budget["steps"], budget["warmup_steps"], budget["batch_size"]) == (2000, 200, 8)


@pytest.mark.parametrize("base", [False, True], ids=["from nothing", "from base"])
def test_a_search_space_of_ones_own_has_the_ranges_that_it_says(
    tmp_path: Path, base: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (content,) = blocks("tuning.md", "yaml")
    if base:
        content = re.sub(r"defaults: .*", "defaults: [base, _self_]", content)
    tuning = composed_with(tmp_path, "tuning", content, monkeypatch, capsys)
    shipped = (
        {"learning_rate", "init_std", "init_scale", "input_multiplier", "output_multiplier"}
        if base
        else {"learning_rate"}
    )
    assert set(tuning["space"]) == {*shipped, "weight_decay"}
    assert tuning["space"]["learning_rate"] == {"low": 0.002, "high": 0.06, "log": True}
    assert tuning["n_trials"] == 20
