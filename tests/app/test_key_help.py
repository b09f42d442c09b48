"""``smupar COMMAND --help``: every key with its true default and what it context."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from omegaconf import DictConfig, OmegaConf

from smupar_transfer.app import schema
from smupar_transfer.app.catalogue import COMMANDS
from smupar_transfer.app.console import MAXIMUM_COLUMNS
from smupar_transfer.app.key_help import REQUIRED, rows, written
from smupar_transfer.app.keys import Takes, keys_of
from smupar_transfer.app.options import folders, options_of

Run = Callable[..., CompletedProcess[str]]
Compose = Callable[..., DictConfig]
MLP = ("model=mlp", "data=digits", "budget=digits")


def leaves(content: object, prefix: str = "") -> dict[str, object]:
    """Dotted keys and values of a configuration; lists, and the ranges of a search space, are values."""
    if not isinstance(content, dict) or set(content) == {"low", "high", "log"}:
        return {prefix: content}
    values: dict[str, object] = {}
    for name, value in content.items():
        values.update(leaves(value, f"{prefix}.{name}" if prefix else str(name)))
    return values


@pytest.mark.parametrize("words", [(), MLP], ids=["gpt", "mlp"])
@pytest.mark.parametrize("command", COMMANDS)
def test_every_key_has_a_meaning_and_its_true_default(composed: Compose, command: str, words: tuple[str, ...]) -> None:
    config = composed(command, *(words if command not in ("plot", "status") else ()))
    shown = {row.key.name: row for row in rows(command, config)}
    content = leaves(OmegaConf.to_container(config, resolve=False))
    assert set(shown) == set(content)
    for name, row in shown.items():
        assert len(row.meaning.split()) >= 2, name
        assert "NAME" not in row.meaning or command in ("plan", "sweep", "coordinates"), name
        value = content[name]
        if value == "???":
            assert row.default == REQUIRED
        else:
            assert OmegaConf.to_container(OmegaConf.create(f"x: {row.default}"), resolve=False) == {"x": value}, name


@pytest.mark.parametrize("command", COMMANDS)
def test_every_field_of_every_schema_has_a_meaning(command: str) -> None:
    """Also of options that are not chosen by default."""
    for name, key in keys_of(command).items():
        if key.takes not in (Takes.OPTION, Takes.GROUP):
            assert key.meaning, name
            assert key.meaning[0].islower() or key.meaning.split()[0] in ("AdamW's", "SQLAlchemy"), name
            assert not key.meaning.endswith("."), name


@pytest.mark.parametrize("command", COMMANDS)
def test_help_fits_into_100_columns_and_shows_keys_groups_and_options(smupar: Run, command: str) -> None:
    result = smupar(command, "--help")
    assert (result.returncode, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= MAXIMUM_COLUMNS
    assert lines[0] == f"smupar {command}: {COMMANDS[command]}"
    assert lines[1].startswith(f"usage: smupar {command} ")
    first_words = {line.split()[0] for line in lines if line.strip()}
    assert "results_dir" in first_words
    assert not [word for word in first_words if word.startswith(("schema", "hydra", "common"))]
    for group in set(schema.GROUPS) & keys_of(command).keys():
        assert f"{group}:" in first_words
        for option, comment in options_of(group, folders(None)).items():
            (line,) = (line for line in lines if re.match(rf"[* ] {group}={option}( |$)", line))
            assert comment.split()[0] in line
    for flag in ("--help", "--cfg", "--multirun", "--config-dir"):
        assert flag in first_words


def chosen(text: str) -> set[str]:
    return {line.split()[1] for line in text.splitlines() if line.startswith("* ")}


def test_help_tells_of_the_options_that_are_chosen(smupar: Run) -> None:
    result = smupar("train", *MLP, "model.depth=5", "--help")
    assert (result.returncode, result.stderr) == (0, "")
    assert {"model=mlp", "data=digits", "budget=digits", "target=proxy"} <= chosen(result.stdout)
    assert "model.head_dim" not in result.stdout
    assert re.search(r"^model\.depth +5 +number of hidden layers", result.stdout, re.MULTILINE)
    assert re.search(r"^budget\.steps +700 ", result.stdout, re.MULTILINE)
    assert re.search(r"^key +value +meaning", result.stdout, re.MULTILINE)
    plain = smupar("train", "--help").stdout
    assert {"model=gpt", "data=python", "budget=short"} <= chosen(plain)
    assert re.search(r"^model\.depth +2 +number of blocks", plain, re.MULTILINE)
    assert re.search(r"^key +default +meaning", plain, re.MULTILINE)


def test_help_tells_of_a_sweep_and_of_what_must_be_given(smupar: Run) -> None:
    assert re.search(r"^sweep +\(required\) +name of a sweep", smupar("sweep", "--help").stdout, re.MULTILINE)
    narrowed = smupar("sweep", "lr_by_sparsity_512", "--help").stdout
    assert re.search(r"^target\.width +512 ", narrowed, re.MULTILINE)


def test_help_tells_of_a_persons_own_options(smupar: Run, tmp_path: Path) -> None:
    path = tmp_path / "own" / "budget" / "mine.yaml"
    path.parent.mkdir(parents=True)
    path.write_text("# A long one, of my own.\ndefaults: [short, _self_]\nsteps: 12345\n")
    result = smupar("train", "--config-dir", "own", "budget=mine", "--help", "--cfg", "job")
    assert re.search(r"^\* budget=mine +A long one, of my own\.", result.stdout, re.MULTILINE)
    assert re.search(r"^budget\.steps +12345 ", result.stdout, re.MULTILINE)


def test_help_runs_nothing(smupar: Run, tmp_path: Path) -> None:
    for command in COMMANDS:
        assert smupar(command, "--help").returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_is_refused_in_help_too(smupar: Run) -> None:
    for words in (["model=gptt"], ["model.widht=3"], ["--nonsense"]):
        result = smupar("train", *words, "--help")
        assert (result.returncode, len(result.stderr.splitlines())) == (2, 1)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        ("", "''"),
        (1e-08, "1e-08"),
        ([-1.0, 0], "[-1.0, 0]"),
        ({"low": 0.1, "log": False}, "{low: 0.1, log: false}"),
        ("${a.b}", "${a.b}"),
    ],
)
def test_values_are_written_as_one_types_them(value: object, text: str) -> None:
    assert written(value) == text


def test_a_meaning_is_written_once() -> None:
    """Comments beside keys would be a second place to say what they mean."""
    for path in (folders(None)[0]).rglob("*.yaml"):
        for line in path.read_text(encoding="utf-8").splitlines():
            assert line.startswith("#") or "#" not in line or "searchpath" in line, (path, line)


def test_a_key_without_meaning_would_be_noticed() -> None:
    """The control of the first test of this file."""
    (row,) = rows("train", OmegaConf.create({"colour": "red"}))
    assert (row.key.name, row.default, row.meaning) == ("colour", "red", "")
