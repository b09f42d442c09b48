"""Keys of the configuration by name: what they mean, what they take, and which one a person may have meant."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import Field, dataclass, fields
from enum import StrEnum
from functools import cache

from smupar_transfer.app.schema import COMMAND_SCHEMAS, GROUPS
from smupar_transfer.app.schema_parts import CHOICES, MEANING, NESTED
from smupar_transfer.theory import close_words


class Takes(StrEnum):
    """What a key takes, in the words of a message."""

    TEXT = "text"
    WHOLE = "a whole number"
    NUMBER = "a number"
    TRUTH = "true or false"
    LIST = "a list"
    GROUP = "a group of keys"
    OPTION = "one of the options of its group"
    MAPPING = "a mapping"


_TAKES = {"str": Takes.TEXT, "int": Takes.WHOLE, "float": Takes.NUMBER, "bool": Takes.TRUTH}


@dataclass(frozen=True)
class Key:
    """One key of a command.

    Attributes:
        name: The dotted name, as on the command line.
        takes: What kind of value it takes.
        meaning: What it means, in a clause; empty for groups.
        choices: All words that it takes; empty where it takes others.
        optional: Whether ``null`` is a value.
    """

    name: str
    takes: Takes
    meaning: str = ""
    choices: tuple[str, ...] = ()
    optional: bool = False


@cache
def keys_of(command: str) -> dict[str, Key]:
    """Every key of a command, by its dotted name; of groups with several schemas, those of all."""
    return {item.name: item for item in _command_keys(command)}


def _command_keys(command: str) -> Iterator[Key]:
    for item in fields(COMMAND_SCHEMAS[command]):
        nested = list(GROUPS[item.name].values()) if item.name in GROUPS else []
        nested += [NESTED[item.name]] if item.name in NESTED else []
        if not nested:
            yield key_of_field("", item)
            continue
        yield Key(item.name, Takes.OPTION if item.name in GROUPS else Takes.GROUP)
        for node in nested:
            yield from (key_of_field(f"{item.name}.", inner) for inner in fields(node))


def key_of_field(prefix: str, item: Field[object]) -> Key:
    """The key that a field of a schema describes.

    Args:
        prefix: The first part of the key's dotted name, with the last dot.
        item: A field that ``schema.key`` made.
    """
    kind, _, none = str(item.type).partition(" | ")
    takes = _TAKES.get(kind, Takes.LIST if kind.startswith("list") else Takes.MAPPING)
    return Key(f"{prefix}{item.name}", takes, item.metadata[MEANING], item.metadata[CHOICES], none == "None")


ABBREVIATIONS = {
    "lr": "learning_rate",
    "eta": "learning_rate",
    "rate": "learning_rate",
    "std": "init_std",
    "sigma": "init_std",
    "wd": "weight_decay",
    "bs": "batch_size",
    "batch": "batch_size",
    "seq_len": "sequence_length",
    "seqlen": "sequence_length",
    "d_model": "width",
    "hidden_size": "width",
    "n_layers": "depth",
    "layers": "depth",
    "d_head": "head_dim",
    "warmup": "warmup_steps",
    "iterations": "steps",
    "iters": "steps",
    "trials": "n_trials",
    "jobs": "workers",
    "processes": "workers",
    "n_jobs": "workers",
    "dataset": "data",
    "output_dir": "results_dir",
    "out": "results_dir",
}
"""What other programs call these things."""


def meant(word: str, command: str) -> list[str]:
    """Keys of a command that a person may have meant by a word that is none of them, likeliest first; often none.

    A word may be the last part of keys (``width``), another program's name (``lr``), misspelt, or in capitals.
    """
    plain = word.strip("-+~ ").replace("-", "_").casefold()
    # who typed a point means a key of a group
    names = [name for name in keys_of(command) if name != word and ("." in name or "." not in plain)]
    if plain in names:
        return [plain]
    if "." in plain:
        return close_words(plain, names)
    last = ABBREVIATIONS.get(plain, plain)
    ends: dict[str, list[str]] = {}
    for name in names:
        ends.setdefault(name.rpartition(".")[2], []).append(name)
    close = close_words(plain, names)
    # likeliest first: the last part of a key, then a misspelt key, then a misspelt last part
    return ends.get(last) or close or [name for end in close_words(plain, ends) for name in ends[end]]


_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"


def example_of(key: Key, value: str) -> str:
    """What a value stands for in the form that its key takes: 1000 for 1e3, 0.015625 for 1/64 or 2**-6.

    Args:
        key: The key that was set.
        value: The value that it does not take.

    Returns:
        The end of a sentence, with its comma; empty if there is nothing to say.
    """
    if key.takes is Takes.LIST:
        return f", as in {key.name}=[{value}]"
    match = re.fullmatch(rf"({_NUMBER})(?:(/|\*\*|\^)({_NUMBER}))?", value.strip())
    if match is None or key.takes not in (Takes.WHOLE, Takes.NUMBER):
        return ""
    try:
        first, second = float(match[1]), float(match[3] or 1)
        # math.pow refuses -1 to the power of a half, for which ** has a complex number
        number = first / second if match[2] == "/" else math.pow(first, second)
    except (ValueError, ZeroDivisionError, OverflowError):
        return ""
    if key.takes is Takes.WHOLE:
        is_exact = number.is_integer() and abs(number) < 2**53  # from there on a float skips whole numbers
        return f", as in {key.name}={number:.0f}" if is_exact else ""
    return f", as in {key.name}={number:.6g}"
