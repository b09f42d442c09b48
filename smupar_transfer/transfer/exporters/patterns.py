"""Parameters by name: groups of equal numbers, names with a star for a number, and code that matches them."""

from __future__ import annotations

import glob
import json
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from smupar_transfer.transfer.parameters import ParameterPlan

# whole components alone: a digit that ends a word, as in `conv1`, is no number of a layer
_NUMBER = re.compile(r"(?<![^.])\d+(?![^.])")

MATCHER = r'''
WRAPPED = r"(?:(?:_orig_mod|_checkpoint_wrapped_module|_fsdp_wrapped_module)\.)*"


def these(*names: str) -> str:
    """Pattern of parameters by name: * is the number of a layer, and what torch wraps around modules is skipped."""
    parts = ([r"\d+" if part == "*" else re.escape(part) for part in name.split(".")] for name in names)
    return rf"^(?:module\.)?{WRAPPED}(?:" + "|".join((r"\." + WRAPPED).join(part) for part in parts) + ")$"
'''
"""Python of the files that select by regular expression; they import ``re``."""


@dataclass(frozen=True)
class NamedGroup:
    """Parameters that are trained alike.

    Attributes:
        learning_rate: Their peak learning rate.
        weight_decay: Their weight decay.
        epsilon: Their epsilon.
        names: Their names, in the model's order.
        patterns: The same, those that differ by a number in one; together they match nothing else of the model.
    """

    learning_rate: float
    weight_decay: float
    epsilon: float
    names: tuple[str, ...]
    patterns: tuple[str, ...]


def named_groups(rows: Iterable[ParameterPlan]) -> list[NamedGroup]:
    """One group for each learning rate, weight decay and epsilon."""
    members: dict[tuple[float, float, float], list[str]] = {}
    for row in rows:
        members.setdefault((row.learning_rate, row.weight_decay, row.epsilon), []).append(row.name)
    every = {name for names in members.values() for name in names}
    return [
        NamedGroup(*numbers, tuple(names), tuple(starred(names, every.difference(names))))
        for numbers, names in members.items()
    ]


def starred(names: Sequence[str], others: Collection[str]) -> list[str]:
    """Names, those that differ by numbers alone as one with stars, unless that would match another parameter's too.

    Args:
        names: The names.
        others: The names of all other parameters of the model.
    """
    alike: dict[str, list[str]] = {}
    for name in names:
        alike.setdefault(_NUMBER.sub("*", name), []).append(name)
    folded = []
    for pattern, same in alike.items():
        # signs of globs in a name would match others
        is_shared = len(same) > 1 and not any(map(set("*?[").intersection, same))
        # a star of `fnmatch` runs over dots as well: the widest reading that a stack can have
        safe = is_shared and not any(fnmatchcase(other, pattern) for other in others)
        folded += [pattern] if safe else same
    return folded


def as_glob(pattern: str, names: Collection[str]) -> str:
    """A pattern of ``starred`` as ``fnmatch`` reads it; the name of a parameter stands for itself."""
    return glob.escape(pattern) if pattern in names else pattern


def quoted(names: Iterable[str], indent: int) -> str:
    """Names as lines of a Python call or list, each with its comma."""
    # JSON writes texts as Python reads them
    return "".join(f"{' ' * indent}{json.dumps(name)},\n" for name in names)
