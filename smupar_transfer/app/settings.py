"""Settings of the command line, made so that Hydra reads in them what a person meant.

Hydra's grammar gives a meaning to many characters that occur in paths and names. A key that takes text takes it as it
is typed: its value goes to Hydra in quotes wherever Hydra would refuse it, or read a list or a number in it.
"""

from __future__ import annotations

import re
import shlex
import unicodedata
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString, Sweep
from hydra.errors import HydraException

from smupar_transfer.app.catalogue import TAKES_NAME
from smupar_transfer.app.flags import WordError
from smupar_transfer.app.keys import Key, Takes, example_of, keys_of, meant
from smupar_transfer.app.options import no_such_option, options_of
from smupar_transfer.app.refusals import ENTRIES, no_such_key
from smupar_transfer.sweeps.files import sweeps_for
from smupar_transfer.theory import either

BLANKS_COUNT = ("prompt",)
"""Keys of text whose blanks at the ends mean something."""

MAXIMUM_BRACKETS = 1_000
"""Of a value; Hydra's parser takes minutes over a hundred thousand, and nothing needs as many."""

_SETTING = re.compile(r"(?P<prefix>~|\+{0,2})(?P<key>[^=]*)=(?P<value>.*)", re.DOTALL)
_INTERPOLATION = re.compile(r"\$\{[^}]*\}")
_FUNCTION = re.compile(r"\w+\(.*\)", re.DOTALL)
_SIGNS = str.maketrans("\u2010\u2011\u2012\u2013\u2014\u2212\u066b", "------.")
"""Dashes and points that text processors write in the place of those of a keyboard."""


def readable(command: str, words: Sequence[str], folders: Sequence[Path], *, multirun: bool) -> list[str]:
    """Settings as Hydra shall read them.

    Args:
        command: The command whose keys they set.
        words: The words behind the command as typed, without flags.
        folders: The folders in which groups and their options lie.
        multirun: Whether commas separate values to run one after the other.

    Raises:
        WordError: a word is no setting, or its value cannot be what its key takes.
    """
    return [_readable(command, words, index, folders, multirun=multirun) for index in range(len(words))]


def sweep_file_named(command: str, words: Sequence[str]) -> list[str]:
    """The words of a command, with ``sweep=`` before a sweep file that looks like a setting: ``a=b/grid.yaml``."""
    if command not in TAKES_NAME:
        return list(words)
    return [f"sweep={word}" if _is_sweep_file(command, word) else word for word in words]


def _is_sweep_file(command: str, word: str) -> bool:
    key, sign, _ = word.partition("=")
    is_yaml = bool(sign) and word.endswith((".yaml", ".yml")) and not word.startswith("-")
    return is_yaml and key not in keys_of(command) and Path(word).is_file()


def _readable(command: str, words: Sequence[str], index: int, folders: Sequence[Path], *, multirun: bool) -> str:
    word = words[index]
    if any("\udc80" <= character <= "\udcff" for character in word):  # how Python writes bytes that are not UTF-8
        shown = word.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        raise WordError(f"{shown}: is not UTF-8, as everything that is recorded must be; rename the file or folder")
    match = _SETTING.fullmatch(word)
    if match is None or _colon_for_sign(command, match["key"]):
        if word.startswith("~"):
            return word
        raise WordError(_no_setting(command, words, index))
    prefix, key, value = match["prefix"], match["key"].strip(), match["value"]
    if not key:
        raise WordError(f"{word}: has no key; write KEY=VALUE")
    if key != match["key"]:  # blanks around the sign
        value = value.lstrip()
    described = keys_of(command).get(key)
    if described is not None and described.takes is Takes.TEXT:
        return f"{prefix}{key}={_text(described, value, multirun=multirun)}"
    override = _parsed(f"{prefix}{key}={value}")
    if described is not None and described.takes is Takes.OPTION:
        _check_option(prefix, key, value, override, folders)
    if override is None:
        raise WordError(_unreadable(command, prefix, key, value))
    return f"{prefix}{key}={value}"


def _check_option(prefix: str, group: str, value: str, override: Override | None, folders: Sequence[Path]) -> None:
    """Refuse what is no option of a group; Hydra itself refuses names that it can read but does not know."""
    chosen = None if override is None else override.value()
    # a list is to Hydra as many options, of which these groups take one
    if chosen is None or isinstance(chosen, bool | int | float) or (isinstance(chosen, list) and len(chosen) != 1):
        raise WordError(no_such_option(group, value, options_of(group, folders)))
    if prefix.startswith("+") and isinstance(chosen, str):
        raise WordError(f"{prefix}{group}={value}: the group is there already; write {group}={value}")


def _colon_for_sign(command: str, key: str) -> bool:
    """Whether what stands before the sign is a key, a colon and more, as in ``study.storage:URL?a=b``."""
    return ":" in key and key.partition(":")[0].strip() in keys_of(command)


@cache
def _parser() -> OverridesParser:
    return OverridesParser.create()


def _parsed(word: str) -> Override | None:
    """What Hydra reads in a word; None if it cannot."""
    if sum(map(word.count, "[{(")) > MAXIMUM_BRACKETS:
        return None
    try:
        return _parser().parse_override(word)
    except (HydraException, ValueError, RecursionError):  # beside its own: numbers of thousands of digits, deep lists
        return None


def _text(key: Key, value: str, *, multirun: bool) -> str:
    """A value of a key that takes text, in quotes where it needs them."""
    override = _parsed(f"{key.name}={value}")
    if override is None:
        return _unreadable_text(key, value, multirun=multirun)
    read = override.value()
    # without --multirun a comma is a comma of the path
    if isinstance(read, Sweep):
        return value if multirun or _FUNCTION.fullmatch(value) else quoted(value)
    if _FUNCTION.fullmatch(value) or read is None:
        return value
    if isinstance(read, str):
        return quoted(value) if key.name in BLANKS_COUNT and value != value.strip() else value
    return quoted(value)  # a number, a truth value, a list: to Hydra


def _unreadable_text(key: Key, value: str, *, multirun: bool) -> str:
    typed = f"{key.name}={value}"
    if value[0] in "'\"":
        meant_text = value[1:-1] if len(value) > 1 and value[0] == value[-1] else value
        raise WordError(f"{typed}: has a quote too many or too few; write {_as_typed(key.name, [meant_text])}")
    # two readings are possible, and the wrong one would run other paths than were meant
    if multirun and "," in value:
        parts = [part.strip() for part in value.split(",")]
        raise WordError(
            f"{typed}: --multirun splits it at its commas; write {_as_typed(key.name, parts)}, or, if it is a single "
            f"value, {_as_typed(key.name, [value])}"
        )
    return quoted(value)


def quoted(text: str) -> str:
    """A text in Hydra's quotes, read by Hydra as it is; ``${...}`` in it stays a reference to another key."""
    if not _INTERPOLATION.search(text):
        text = re.sub(r"(\\*)\$\{", r"\1\1\\${", text)  # OmegaConf's escape, and its escape's escape
    return QuotedString(text, Quote.single).with_quotes()


def _as_typed(key: str, values: Sequence[str]) -> str:
    """A setting with quotes for Hydra and quotes for a shell around them."""
    inner = ",".join(QuotedString(value, Quote.double).with_quotes() for value in values)
    return shlex.quote(f"{key}={inner}")


def _no_setting(command: str, words: Sequence[str], index: int) -> str:
    """What to write in the place of a word without a sign."""
    word, following = words[index], list(words[index + 1 : index + 3])
    if not word.strip():
        return f"{word!r}: is no setting; write KEY=VALUE"
    key, colon, value = word.partition(":")
    known = keys_of(command)
    if colon and key.strip() in known:
        return f"{word}: is no setting; write {key.strip()}={value.strip() or 'VALUE'}"
    if following[:1] == ["="] and len(following) == 2:
        return f"{word} = {following[1]}: is no setting; write {word}={following[1]}, without blanks"
    problem = f"{word}: is no setting; write KEY=VALUE"
    group, slash, option = word.partition("/")
    if slash and group in known:
        return f"{problem}, as in {group}={option}"
    if command in TAKES_NAME and word in sweeps_for(command):  # the first name has become sweep=NAME by now
        return f"{word}: is a second sweep; smupar {command} takes one at a time"
    names = [word] if word in known else meant(word, command)
    if not names:
        return problem
    value = following[0] if following and "=" not in following[0] else "VALUE"
    return f"{problem}, as in {either(f'{name}={value}' for name in names)}"


def _unreadable(command: str, prefix: str, key: str, value: str) -> str:
    """Why a value cannot be read, and how to write it."""
    typed = f"{prefix}{key}={value}"
    described = keys_of(command).get(key)
    if described is None and not key.startswith(("hydra.", "hydra/", *(f"{mapping}." for mapping in ENTRIES))):
        return no_such_key(key, command)
    # word processors and web pages turn minus signs and digits into others that look the same
    plain = unicodedata.normalize("NFKC", value).translate(_SIGNS).strip()
    problem = f"{typed}: is not {described.takes}" if described is not None else f"{typed}: cannot be read"
    if plain != value and _parsed(f"{prefix}{key}={plain}") is not None:
        return f"{problem}; write {key}={plain}, with the signs of a keyboard"
    if described is None:
        return f"{problem}; quotes may help: {_as_typed(key, [value])}"
    return f"{problem}; give {described.takes}{example_of(described, value)}"
