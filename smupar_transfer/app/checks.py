"""What a composed configuration is checked for before a command runs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from smupar_transfer.app import schema
from smupar_transfer.app.flags import WordError
from smupar_transfer.app.keys import Key, Takes, keys_of
from smupar_transfer.app.refusals import no_such_key
from smupar_transfer.records import LARGEST_BY_HAND, load_yaml, read_text
from smupar_transfer.sweeps import shipped
from smupar_transfer.theory import InputError, did_you_mean

MAY_BE_EMPTY = (("train", "prompt"), ("plan", "sweep"))
"""Keys of text, by command, that mean something when they are empty."""
OPEN_CHOICES = ("device", "launcher", "tracker")
"""Keys that take more words than help lists: cuda:1, and what plugins register."""
FOLDERS = ("name", "results_dir", "study.name")
"""Keys of text that folders are named after."""
LONGEST_NAME = 255
"""Bytes of a file's name, on all file systems of today."""
IF_EMPTY = {  # what a person may have meant by an empty text
    "results_dir": "write results_dir=. for this folder",
    "tuned": "leave it out to use hparams",
    "recipe": "leave it out to use the configured target",
}


def check_composed(command: str, config: DictConfig) -> None:
    """Refuse what would be ignored, or read as something else.

    Raises:
        WordError: a key was added that the command does not know, a group was removed, or a person's own option does
            not say which keys its group has.
        InputError: a text is empty or too long for a folder's name, a whole number is beyond 64 bits, or a word is none
            of those that its key takes.
    """
    known = keys_of(command)
    for name in map(str, config):
        if name not in known:
            raise WordError(no_such_key(name, command))
        if name in schema.GROUPS:
            _check_group(name, config)
        if known[name].takes in (Takes.OPTION, Takes.GROUP):
            for inner in map(str, config[name]):
                if f"{name}.{inner}" not in known:
                    raise WordError(no_such_key(f"{name}.{inner}", command))
    for name, key in known.items():
        value = OmegaConf.select(config, name, throw_on_missing=False)
        if value is not None:
            _check_value(command, key, value)
    _check_means(config)


def _check_value(command: str, key: Key, value: Any) -> None:
    """Refuse a value that no command could use, in every command: not all that have a key come to read it."""
    if key.takes is Takes.TEXT:
        _check_text(command, key.name, value)
    # no more fits into a database or a tensor
    if key.takes is Takes.WHOLE and abs(value) >= 2**63:
        raise InputError(key.name, value, "is out of range", "whole numbers have 64 bits")
    if key.choices and key.name not in OPEN_CHOICES and value not in key.choices:
        hint = did_you_mean(value, key.choices, "")
        raise InputError(key.name, value, f"is not one of {', '.join(key.choices)}", hint)


def _check_means(config: DictConfig) -> None:
    """Refuse a device or a number of threads that no machine has, also where a command computes nothing."""
    device, threads = (OmegaConf.select(config, name, throw_on_missing=False) for name in ("device", "threads"))
    if device is not None and not re.fullmatch(r"cpu|cuda(:\d+)?", device):
        raise InputError("device", device, "is neither cpu nor cuda", "a graphics card is cuda")
    if threads is not None and threads < 1:
        raise InputError("threads", threads, "must be at least 1")


def _check_text(command: str, name: str, text: str) -> None:
    if text == "" and (command, name) not in MAY_BE_EMPTY:
        raise InputError(name, "", "must not be empty", IF_EMPTY.get(name, ""))
    if name in FOLDERS and any(len(part.encode()) > LONGEST_NAME for part in Path(text).parts):
        raise InputError(name, text, f"has a part of more than {LONGEST_NAME} bytes, too long for a folder's name")


def _check_group(name: str, config: DictConfig) -> None:
    """Refuse a group without option, or with one whose keys nobody checks."""
    if OmegaConf.is_missing(config, name):
        raise WordError(f"{name}: has no option; give {name}=OPTION")
    # without a schema a misspelt key of that file would be ignored
    if OmegaConf.get_type(config, name) not in schema.GROUPS[name].values():
        option = HydraConfig.get().runtime.choices.get(name)
        begin = f"begin its file with defaults: [/schema/{name}@_here_: {next(iter(schema.GROUPS[name]))}, _self_]"
        raise WordError(f"{name}={option}: does not say which keys it has; {begin}")


def check_own_options(folder: str | None, settings: Sequence[str]) -> None:
    """Read the options of a person's own that a command line chooses, before Hydra does: it trusts what it reads.

    Args:
        folder: The person's own folder of configurations; None if there is none.
        settings: The settings of the command line.

    Raises:
        InputError: one has a value that is none, is nested too deeply, or stands for far more than it holds.
    """
    for setting in settings if folder is not None else ():
        group, _, option = setting.lstrip("+").partition("=")
        path = Path(folder or "", group, f"{option}.yaml")
        # is_file() raises where a name is longer than file systems take
        if group in schema.GROUPS and len(path.name) <= LONGEST_NAME and path.is_file():
            try:
                load_yaml(read_text(path, group, largest=LARGEST_BY_HAND), group, path)
            except InputError as error:
                if not isinstance(error.__cause__, yaml.YAMLError):  # of which Hydra tells itself, with the line
                    raise


def check_own_folder(command: str, folder: str | None) -> None:
    """Refuse files of a person's own that Hydra would not read, since the package has files of the same names.

    Args:
        command: The command that is to run.
        folder: The person's own folder of configurations; None if there is none.

    Raises:
        WordError: there is such a file.
    """
    # the package's own folder, given as a person's, hides nothing
    if folder is None or not Path(folder).is_dir() or Path(folder).samefile(shipped.CONF):
        return
    names = [Path(f"{command}.yaml"), *(path.relative_to(folder) for path in sorted(Path(folder).glob("*/*.yaml")))]
    for name in names:
        if (Path(folder) / name).exists() and (shipped.CONF / name).exists():
            raise WordError(f"{Path(folder) / name}: the package has {name}, too, and would read its own; rename yours")
