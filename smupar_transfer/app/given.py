"""What a person wrote on the command line."""

from __future__ import annotations

import re
import shlex
from collections.abc import Container, Sequence
from pathlib import Path

from hydra.core.hydra_config import HydraConfig

PROXY_WORDS = frozenset({"model", "optimizer", "parametrization", "sparsity"})
"""Configuration groups that a recipe holds, but not a tuned point."""
RUN_WORDS = frozenset({"budget", "data", "device", "precision", "results_dir", "seed", "threads"})
"""Keys that no command can read from a file of the last one."""


def words_given() -> list[str]:
    """The command line, a sweep's own settings included."""
    return list(HydraConfig.get().overrides.task) if HydraConfig.initialized() else []


def words_by_hand() -> list[str]:
    """What a person gave: the command line behind the name of the sweep, before which its own settings stand."""
    words = words_given()
    named = [index for index, word in enumerate(words) if key_of(word) == "sweep"]
    return words[named[-1] + 1 :] if named else words


def key_of(override: str) -> str:
    """``a.b`` of ``a.b=1``, ``+a.b=1``, ``++a.b=1`` and ``~a.b``."""
    return override.partition("=")[0].lstrip("+~")


def config_dir() -> str | None:
    """The person's own folder of configurations, if they gave one."""
    if not HydraConfig.initialized():
        return None
    sources = HydraConfig.get().runtime.config_sources
    return next((source.path for source in sources if source.provider == "command-line"), None)


def path_word(key: str, path: Path) -> str:
    """``key=path`` as Hydra reads it, whatever characters the path has."""
    plain = re.fullmatch(r"[\w./:-]+", str(path), re.ASCII)
    return f"{key}={path}" if plain else f"{key}='{str(path).replace(chr(39), chr(92) + chr(39))}'"


def next_command(command: str, words: Sequence[str], groups: Container[str]) -> str:
    """A line that a person can copy: ``command`` with what it needs of their words.

    Args:
        command: its name.
        words: of its own.
        groups: first parts of the keys that must be given again.
    """
    folder = config_dir()
    given = [word for word in words_given() if key_of(word).partition(".")[0] in groups]
    return shlex.join(["smupar", command, *words, *given, *([] if folder is None else ["--config-dir", folder])])
