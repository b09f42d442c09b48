"""Types of the configuration: they name every key that the shipped files set, and nothing else."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, ValidationError

from smupar_transfer.app import schema
from smupar_transfer.app.catalogue import COMMANDS
from smupar_transfer.sweeps import shipped

Compose = Callable[..., DictConfig]


def test_every_command_has_a_schema() -> None:
    assert set(schema.COMMAND_SCHEMAS) == set(COMMANDS)


def test_keys_are_dotted_and_sorted() -> None:
    keys = schema.known_keys()
    assert keys == sorted(set(keys))
    for key in (
        "model.width",
        "model.head_dim",
        "target.sparsity",
        "hparams.learning_rate",
        "budget.steps",
        "data.path",
    ):
        assert key in keys
    for key in ("study.name", "study.storage", "tuning.n_trials", "workers", "recipe", "results_dir", "device", "seed"):
        assert key in keys


def test_registering_twice_changes_nothing() -> None:
    schema.register()
    before = {group: sorted(ConfigStore.instance().list(f"schema/{group}")) for group in schema.GROUPS}
    schema.register()
    assert {group: sorted(ConfigStore.instance().list(f"schema/{group}")) for group in schema.GROUPS} == before
    assert before["model"] == ["gpt.yaml", "mlp.yaml", "module.yaml"]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_composed_configuration_refuses_unknown_keys_and_wrong_types(composed: Compose, command: str) -> None:
    config = composed(command)
    with pytest.raises((ConfigAttributeError, ConfigKeyError)):
        config.resutls_dir = "elsewhere"
    for group in set(schema.GROUPS) & set(config):
        with pytest.raises((ConfigAttributeError, ConfigKeyError)):
            config[group].no_such_key = 1
    if "seed" in config:
        with pytest.raises(ValidationError, match="'many' of type 'str' could not be converted to Integer"):
            config.seed = "many"


@pytest.mark.parametrize("command", sorted(set(COMMANDS) - {"plot", "status"}))
def test_every_key_of_a_composed_configuration_is_known(composed: Compose, command: str) -> None:
    config = composed(command)
    known = set(schema.known_keys())
    for name, value in config.items_ex(resolve=False):
        assert name in known or name in {"hparams", "study"}
        if isinstance(value, DictConfig) and name != "grids":
            assert {f"{name!s}.{key!s}" for key in value} <= known


def test_folders_of_options_are_the_groups() -> None:
    """Guards against a group whose options are taken for sweeps."""
    assert set(schema.GROUPS) == set(shipped.OPTION_FOLDERS)
