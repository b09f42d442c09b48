"""Keys by name, and which one a person may have meant."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields

import pytest
from omegaconf import DictConfig

from smupar_transfer.app import schema
from smupar_transfer.app.catalogue import COMMANDS
from smupar_transfer.app.keys import ABBREVIATIONS, Takes, keys_of, meant
from smupar_transfer.app.schema_parts import TRACKERS
from smupar_transfer.sparsity import AUTO, BACKENDS
from smupar_transfer.training import SHARINGS, DataRequest, tracker_names


def test_keys_of_all_commands_are_the_known_keys() -> None:
    assert sorted({name for command in COMMANDS for name in keys_of(command)}) == schema.known_keys()


@pytest.mark.parametrize(
    ("key", "takes", "optional"),
    [
        ("model.width", Takes.WHOLE, False),
        ("target.width", Takes.WHOLE, True),
        ("model.tied", Takes.TRUTH, False),
        ("hparams.init_std", Takes.NUMBER, False),
        ("budget.tokens_per_parameter", Takes.NUMBER, True),
        ("data.path", Takes.TEXT, True),
        ("study.storage", Takes.TEXT, True),
        ("study.name", Takes.TEXT, False),
        ("model", Takes.OPTION, False),
        ("hparams", Takes.GROUP, False),
        ("tuning.space", Takes.MAPPING, False),
    ],
)
def test_what_a_key_takes_is_read_from_its_type(key: str, takes: Takes, optional: bool) -> None:
    assert (keys_of("tune")[key].takes, keys_of("tune")[key].optional) == (takes, optional)
    assert keys_of("coordinates")["require"].takes is Takes.LIST


@pytest.mark.parametrize(
    ("word", "names"),
    [
        ("width", ["model.width", "target.width"]),
        ("lr", ["hparams.learning_rate"]),
        ("--batch-size", ["budget.batch_size"]),
        ("BUDGET.STEPS", ["budget.steps"]),
        ("Seed", ["seed"]),
        ("model.widht", ["model.width"]),
        ("tagret", ["target"]),
        ("wdith", ["model.width", "target.width"]),
        ("path", ["data.path"]),
        ("xyzzy", []),
        ("model.xyzzy", []),
        ("n_trials", []),
    ],
)
def test_a_key_is_guessed_from_its_last_part_another_name_or_a_slip(word: str, names: list[str]) -> None:
    assert meant(word, "train") == names


def test_a_key_is_not_guessed_for_itself() -> None:
    assert "model.head_dim" not in meant("model.head_dim", "train")


def test_other_names_lead_to_keys() -> None:
    ends = {name.rpartition(".")[2] for name in schema.known_keys()}
    assert set(ABBREVIATIONS.values()) <= ends
    assert not set(ABBREVIATIONS) & ends - {"data"}


def test_choices_are_those_of_the_code() -> None:
    assert set(schema.BACKENDS) == {AUTO, *BACKENDS}
    assert list(TRACKERS) == tracker_names()
    assert schema.SHARINGS == SHARINGS


@pytest.mark.parametrize("name", [item.name for item in fields(DataRequest)])
def test_keys_of_data_are_what_loading_takes(name: str) -> None:
    assert f"data.{name}" in keys_of("train")


@pytest.mark.parametrize("command", sorted(set(COMMANDS) - {"plot", "status"}))
def test_every_key_of_a_composed_configuration_is_described(composed: Callable[..., DictConfig], command: str) -> None:
    for words in ([], ["model=mlp", "data=digits", "budget=digits"]):
        config = composed(command, *words)
        for name in map(str, config):
            assert name in keys_of(command)
            if keys_of(command)[name].takes in (Takes.OPTION, Takes.GROUP):
                assert {f"{name}.{inner}" for inner in config[name]} <= keys_of(command).keys()
