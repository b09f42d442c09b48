"""What a person wrote on the command line."""

from __future__ import annotations

import functools
import re
import shlex
from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from smupar_transfer.launchers.plugins import plugins
from smupar_transfer.sweeps.sweep import key_of

PROXY_WORDS = frozenset({"model", "optimizer", "parametrization", "sparsity"})
"""Configuration groups that a recipe holds, but not a tuned point."""
RUN_WORDS = frozenset({"budget", "data", "device", "precision", "results_dir", "seed", "threads"})
"""Keys that no command can read from a file of the last one."""


def words_given() -> list[str]:
    """The command line, a sweep's own settings included."""
    return list(HydraConfig.get().overrides.task) if HydraConfig.initialized() else []


def words_of_file() -> list[str]:
    """What the file of a sweep sets: the words before its name, where a person gave one."""
    words = words_given()
    return words[: _end_of_file(words)]


def words_by_hand() -> list[str]:
    """What a person gave: the command line behind the name of the sweep, before which its own settings stand."""
    words = words_given()
    return words[_end_of_file(words) + 1 :] if _names_sweep(words) else words


def _names_sweep(words: Sequence[str]) -> bool:
    return any(key_of(word) == "sweep" for word in words)


def _end_of_file(words: Sequence[str]) -> int:
    """Place of the last word that names a sweep; 0 if none does."""
    return max((index for index, word in enumerate(words) if key_of(word) == "sweep"), default=0)


def keys_of(words: Sequence[str]) -> list[str]:
    """Dotted keys that words set, those inside ``group={key: value}`` too; a chosen group is its bare name."""
    return list(_keys_of(tuple(words)))


@functools.cache
def _keys_of(words: tuple[str, ...]) -> tuple[str, ...]:
    """``keys_of``, once for the same words: a sweep asks for every one of its runs."""
    parser = OverridesParser.create()
    keys: list[str] = []
    for word in words:
        try:
            override = parser.parse_override(word)
            # a,b under --multirun: which values come is not known here, but the key is
            value = None if override.is_sweep_override() else override.value()
        except HydraException:  # a word that a person typed badly is told where the configuration is composed
            value = None
        keys += [name for name, _ in flat({key_of(word): value})]
    return tuple(dict.fromkeys(keys))


def flat(value: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and values of nested mappings; an empty mapping is a value."""
    for name, item in value.items():
        if isinstance(item, Mapping) and item:
            yield from flat(item, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", item


def set_by_hand(config: DictConfig, *groups: str) -> list[str]:
    """Keys that a person set: typed, or changed by a file of theirs that a typed word brought in.

    Args:
        config: The configuration of the command, as it was composed.
        groups: The names of groups, such as ``hparams``, or of single keys.

    Returns:
        The dotted keys of values, in the order of the configuration. Files of sweeps, and defaults, set nothing by
        hand.
    """
    usual, typed = {}, set(keys_of(words_by_hand()))
    if HydraConfig.initialized() and GlobalHydra.instance().is_initialized():
        usual = _without_words(str(HydraConfig.get().job.config_name), tuple(words_of_file()), config_dir())
    return [
        key
        for key, value in _leaves(config).items()
        if key.partition(".")[0] in groups and (key in typed or usual.get(key, value) != value)
    ]


def _leaves(config: DictConfig) -> dict[str, Any]:
    plain = OmegaConf.to_container(config, resolve=False)  # what follows from another key was not set itself
    assert isinstance(plain, dict)
    return dict(flat(plain))


@functools.cache
def _without_words(command: str, of_file: tuple[str, ...], folder: str | None) -> dict[str, Any]:
    """The configuration of a command without what a person typed.

    Args:
        command: The name of the command's configuration.
        of_file: The words of a sweep's file.
        folder: The person's own folder of configurations, which Hydra knows already.
    """
    del folder  # an argument for the cache alone: in another folder the same words mean something else
    return _leaves(compose(command, overrides=list(of_file)))


def config_dir() -> str | None:
    """The person's own folder of configurations, if they gave one."""
    if not HydraConfig.initialized():
        return None
    sources = HydraConfig.get().runtime.config_sources
    return next((source.path for source in sources if source.provider == "command-line"), None)


def own_flags() -> list[str]:
    """The flags that lead to what is a person's own, to be given again with every command."""
    folder = config_dir()
    added = [word for name in plugins() for word in ("--plugin", name)]
    return [*([] if folder is None else ["--config-dir", folder]), *added]


def path_word(key: str, path: Path) -> str:
    """``key=path`` as Hydra reads it, whatever characters the path has."""
    plain = re.fullmatch(r"[\w./:-]+", str(path), re.ASCII)
    # 39 is a quote and 92 a backslash, which expressions in f-strings cannot hold before Python 3.12
    return f"{key}={path}" if plain else f"{key}='{str(path).replace(chr(39), chr(92) + chr(39))}'"


def next_command(command: str, words: Sequence[str], groups: Container[str]) -> str:
    """A line that a person can copy: ``command`` with what it needs of their words.

    Args:
        command: The name of the command.
        words: Words of its own.
        groups: The first parts of the keys that must be given again.
    """
    given = [word for word in words_given() if key_of(word).partition(".")[0] in groups]
    return shlex.join(["smupar", command, *words, *given, *own_flags()])
