"""Words that a value may be, as enumerations: taken as members or as their texts, never as anything else."""

from __future__ import annotations

from enum import StrEnum
from typing import TypeVar

from smupar_transfer.theory.errors import InputError

Choice = TypeVar("Choice", bound=StrEnum)


def choose(kind: type[Choice], key: str, value: object) -> Choice:
    """The member of an enumeration that a value is, or is the text of.

    Raises:
        InputError: it is neither.
    """
    if isinstance(value, kind):
        return value
    for member in kind:
        if value == member:  # of texts, too: members are texts
            return member
    raise InputError(key, value, f"is not one of {', '.join(kind)}")


def with_choices(made: object, group: str, **kinds: type[StrEnum]) -> None:
    """Turn texts in fields of a frozen dataclass into the members that they name, when it is made.

    Code compares members by identity, so that a text that slipped through would take the other branch without a word.

    Args:
        made: the instance, in its ``__post_init__``.
        group: how keys of its fields begin in a configuration; empty for fields that stand for themselves.
        kinds: enumeration of each field.

    Raises:
        InputError: a field holds no member and no text of one.
    """
    for name, kind in kinds.items():
        key = f"{group}.{name}" if group else name
        object.__setattr__(made, name, choose(kind, key, getattr(made, name)))
