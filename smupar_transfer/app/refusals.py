"""From what Hydra and OmegaConf say of a configuration to one line that a person can act on."""

from __future__ import annotations

import errno
import re
import sys
import traceback
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, TextIO

import yaml
from hydra.errors import HydraException
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException, ValidationError

from smupar_transfer.app.endings import CheckFailedError, CheckUndecidedError, ExitCode, give_up_output
from smupar_transfer.app.flags import WordError
from smupar_transfer.app.keys import Key, Takes, example_of, keys_of, meant
from smupar_transfer.app.masking import masked
from smupar_transfer.app.options import no_such_option
from smupar_transfer.app.schema import COMMAND_SCHEMAS, GROUPS
from smupar_transfer.records import RunsFailedError, lacks_memory
from smupar_transfer.sweeps.files import sweeps_for
from smupar_transfer.sweeps.sweep import key_of
from smupar_transfer.theory import InputError, either, one_line, shown_text

LONGEST_LINE = 1_200
"""Characters of a message; a list of all sweeps, or a long path, fits."""
LAUNCHERS = ("joblib", "submitit_local", "submitit_slurm")
"""Launchers of the extra ``cluster``."""
ENTRIES = {
    "tuning.space": "is no range of this search space; ranges have .low, .high and .log, your own file adds one",
    "grids": "is not there; a plus adds it: +grids.NAME=[0.0]",
}
"""Keys whose entries are a person's to name, and what to do where there is none of a name."""
EXTRA = "pip install 'smupar-transfer[cluster]'"


def refusal(error: BaseException, command: str) -> str | None:
    """The line that a person needs; None if the error is not one of configuration.

    Args:
        error: The error that composing the configuration, or launching jobs, raised.
        command: The command that was to run.
    """
    launcher = _launcher(error)
    if launcher is not None:
        return launcher
    memory = _memory(error)
    if memory is not None:
        return memory
    if isinstance(error, yaml.YAMLError):
        return _broken_yaml(error)
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:  # Hydra looks for files named after words
        return f"{shown_text(Path(str(error.filename)).name)}: is too long for the name of a file"
    if not isinstance(error, HydraException | OmegaConfBaseException):
        return None
    message = _message(error)
    # Hydra has no codes of errors: its messages, of the version in constraints.txt, are all there is to go by
    lines = (
        _option(message),
        _folder(message),
        _several(message, command),
        _plus(message),
        _removed(message, command),
        _missing(message, command),
    )
    # the innermost knows the whole key; outer ones know the word
    inner = next((link for link in reversed(list(_chain(error))) if isinstance(link, OmegaConfBaseException)), None)
    return next(filter(None, lines), None) or _of_a_key(error, inner, message, command)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and its causes."""
    while error is not None:
        yield error
        # in the order in which Python would show them
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _message(error: BaseException) -> str:
    """What an error says, on one line, without the parts for programmers."""
    inner = error.__cause__ if isinstance(error.__cause__, OmegaConfBaseException | HydraException) else error
    shown = error if "Could not override" in str(error) or not str(inner) else inner
    lines = [line.strip() for line in str(shown).splitlines() if line.strip()]
    lines = [line for line in lines if not re.match(r"(object_type|reference_type|full_key|See https)", line)]
    return " ".join(lines).partition(" Config search path:")[0]


def _option(message: str) -> str | None:
    match = re.search(r"Could not find '([^']*)/([^'/]*)' Available options in '[^']+': (.+)", message)
    if match is None:
        return None
    group, value, options = match[1], match[2], match[3].split(" ")
    first, slash, inner = group.partition("/")
    if slash and first in GROUPS:  # the option was given with a slash, as model=gpt/small
        group, value = first, f"{inner}/{value}"
    if group == "hydra/launcher" and value in LAUNCHERS:
        return f"{group}={value}: is not installed; run: {EXTRA}"
    return no_such_option(group, value, options)


def _folder(message: str) -> str | None:
    folder = re.search(r"Additional config directory '(.+)' not found", message)
    if folder:
        return f"--config-dir={folder[1]}: there is no such folder"
    primary = re.search(r"(?:Cannot find primary config|Primary config (?:module|directory)) '(.+?)'", message)
    return primary and f"{primary[1]}: there is no such configuration; leave out --config-name and --config-path"


def _several(message: str, command: str) -> str | None:
    match = re.search(
        r"(?:Ambiguous value for argument|Sweep parameters) '([^'=]+)=(.*?)'(?: 1\. | requires )", message
    )
    if match is None:
        return None
    key, value = match[1], match[2]
    known = keys_of(command).get(key_of(key))
    if (known is not None and known.takes is Takes.LIST) or key_of(key).startswith("grids."):
        return f"{key}={value}: is not a list; write {key}=[{value}]"
    several = f"{key}={value}: are several values; add --multirun to run them one after the other"
    return several + (_without_comma(known, value) if known is not None else "")


def _without_comma(key: Key, value: str) -> str:
    """What a number whose comma is that of a locale may have been meant as: 0.01 for 0,01, and 1024 for 1,024."""
    if key.takes is Takes.NUMBER and re.fullmatch(r"[+-]?\d*,\d+(?:[eE][+-]?\d+)?", value):
        return f", or write {key.name}={value.replace(',', '.')}, with a decimal point"
    if key.takes is Takes.WHOLE and re.fullmatch(r"[1-9]\d{0,2}(?:,\d{3})+", value):
        return f", or write {key.name}={value.replace(',', '')}, without a comma"
    return ""


def _plus(message: str) -> str | None:
    match = re.search(
        r"Could not append to config\. An item is already at '.+?'\. Either remove \+ prefix: '(.+?)' Or", message
    )
    return match and f"+{match[1]}: the key is there already; write {match[1]}"


def _removed(message: str, command: str) -> str | None:
    match = re.search(r"Could not delete(?: from config\.)? '([^']+)'", message)
    if match is None:
        return None
    names = [match[1]] if match[1] in keys_of(command) else meant(match[1], command)
    hint = f"set it: {either(f'{name}=VALUE' for name in names)}" if names else "--help lists the keys"
    return f"~{match[1]}: there is nothing of that name to remove; {hint}"


def _missing(message: str, command: str) -> str | None:
    match = re.search(r"Missing mandatory value: (\S+)", message)
    if match is None:
        return None
    known = keys_of(command).get(match[1])
    choices = sorted(sweeps_for(command)) if match[1] == "sweep" else known.choices if known is not None else ()
    return f"{match[1]}: has no value; " + (f"name one: {', '.join(choices)}" if choices else f"give {match[1]}=VALUE")


def _of_a_key(error: BaseException, inner: OmegaConfBaseException | None, message: str, command: str) -> str:
    """What is wrong with the key that an error is about."""
    unknown = re.search(r"Could not override '([^']+)'", message)
    override = re.search(r"Error merging override (.+)", str(error), re.DOTALL)
    typed = override[1] if override else ""
    if unknown:
        return no_such_key(unknown[1], command)
    key = key_of(typed) or str(getattr(inner, "full_key", None) or "")
    if isinstance(inner, ConfigKeyError | ConfigAttributeError) and key:
        return no_such_key(key, command)
    if "does not support deletion" in message:
        return f"{typed}: a key cannot be removed; set it: {key}=VALUE"
    if key and isinstance(inner, ValidationError):
        return _wrong_type(key, typed.partition("=")[2], message, command)
    return message if not key or key in message else f"{typed or key}: {message}"


def _wrong_type(key: str, value: str, message: str, command: str) -> str:
    """A value that its key does not take."""
    known = keys_of(command).get(key)
    if known is None:
        return no_such_key(key, command) if "Invalid type assigned" in message else f"{key}={value}: {message}"
    if known.takes is Takes.GROUP:
        names = [name for name in keys_of(command) if name.startswith(f"{key}.")]
        return f"{key}={value}: is a group of keys; set {either(f'{name}=VALUE' for name in names)}"
    if known.takes is Takes.OPTION:
        return f"{key}={value}: is no option; --help lists the options"
    told = "could not be converted" in message or "valid bool" in message
    problem = message if told else "has a value that it does not take"
    return f"{key}={value}: {problem}; give {known.takes}{example_of(known, value)}" + (
        " or null" if known.optional else ""
    )


def no_such_key(key: str, command: str) -> str:
    """What to tell a person who set a key that a command has not."""
    known = keys_of(command).get(key)
    if known is not None and known.takes is not Takes.MAPPING:  # removed, or of another option of its group
        return _of_another_option(key) if "." in key else f"{key}: must be given"
    for mapping, hint in ENTRIES.items():
        if key.startswith(f"{mapping}.") and mapping in keys_of(command):
            return f"{key}: {hint}"
    names = meant(key, command)
    slip = f"did you mean {either(names)}?" if names else ""
    # a word that is a key, letter by letter, may be a slip all the same: both are said
    others = [other for other in COMMAND_SCHEMAS if key in keys_of(other)]
    if others:
        has = f"{key}: smupar {command} has no such key; {either(f'smupar {other}' for other in others)} has"
        return f"{has}; {slip}" if slip else has
    return f"{key}: there is no such key; {slip or '--help lists the keys'}"


def _of_another_option(key: str) -> str:
    """What to tell of a key that only other options of its group have, as ``model.factory`` beside ``model=gpt``."""
    group, _, name = key.partition(".")
    schemas = GROUPS.get(group, {})
    having = [option for option, node in schemas.items() if name in {item.name for item in fields(node)}]
    hint = f"{either(f'{group}={option}' for option in having)} has it" if having else "--help lists the keys"
    return f"{key}: there is no such key with this {group}; {hint}"


def _broken_yaml(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    where = f"{mark.name}, line {mark.line + 1}" if mark is not None else "a configuration file"
    problem = getattr(error, "problem", None) or str(error)
    return f"{where}: is not plain YAML: {shown_text(' '.join(str(problem).split()))}"


def _launcher(error: BaseException) -> str | None:
    """A launcher that does not find its cluster."""
    for link in _chain(error):
        if isinstance(link, RuntimeError) and "slurm cluster" in str(link):
            return "hydra/launcher=submitit_slurm: there is no Slurm here (no srun); use hydra/launcher=submitit_local"
    return None


def _memory(error: BaseException) -> str | None:
    """A computation for which this machine has too little memory; None if the error is another one."""
    if not lacks_memory(error):
        return None
    amount = re.search(r"allocate ([\d.]+ ?\w+)|shape (\([\d, ]+\))", str(error))
    wanted = f" for {amount[1] or f'an array of shape {amount[2]}'}" if amount else ""
    return f"memory: this machine has too little{wanted}; use a smaller network, batch, corpus or number of workers"


def report(error: Exception, command: str, secrets: Sequence[str]) -> ExitCode:
    """Say on standard error how a command ended, without passwords; return its exit code."""
    line, code = _ending(error, command)
    if code is ExitCode.CRASHED:
        print(masked("".join(traceback.format_exception(error)), secrets), end="", file=sys.stderr)
    if line:
        # masked before it is cut: patterns that tell a password need all of the word
        shown = masked(one_line(line), secrets)
        print(f"smupar: {_cut(shown) if code is ExitCode.BAD_INPUT else shown}", file=sys.stderr)
    return code


def _cut(line: str) -> str:
    """A line without the middle of what is far too long for one: its ends name the key and the way out."""
    return line if len(line) <= LONGEST_LINE else f"{line[: LONGEST_LINE // 2]}...{line[-LONGEST_LINE // 2 :]}"


def _ending(error: Exception, command: str) -> tuple[str, ExitCode]:
    """The line about an error, empty if there is nothing to say, and the exit code."""
    if isinstance(error, BrokenPipeError):
        give_up_output()
        return "", ExitCode.GOOD
    # by exact type: a subclass that somebody adds must choose its code
    codes: dict[type[Exception], ExitCode] = {
        CheckFailedError: ExitCode.CHECK_FAILED,
        CheckUndecidedError: ExitCode.UNDECIDED,
        RunsFailedError: ExitCode.INCOMPLETE,
    }
    if type(error) in codes:
        return str(error), codes[type(error)]
    line = str(error) if isinstance(error, InputError | WordError) else refusal(error, command)
    if line is not None:
        return line, ExitCode.BAD_INPUT
    # whatever else: a fault of ours, which must not look like a check's verdict
    return "this is a fault of smupar itself, not of your input", ExitCode.CRASHED


def worst(codes: Iterable[ExitCode]) -> ExitCode:
    """The exit code of several runs."""
    # a run that did not come to its end weighs more than any verdict
    order = (
        ExitCode.CRASHED,
        ExitCode.BAD_INPUT,
        ExitCode.INCOMPLETE,
        ExitCode.CHECK_FAILED,
        ExitCode.UNDECIDED,
        ExitCode.GOOD,
    )
    return min(codes, key=order.index, default=ExitCode.GOOD)


class WithoutOverrides:
    """A stream that leaves out Hydra's list of all settings of a job that failed: it buries the message behind it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Pass a text on, unless it is that list."""
        return len(text) if text.startswith("Error executing job with overrides") else self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
