"""From words on the command line to a command's body, through Hydra, with errors that a person can act on."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TextIO, cast

import hydra
from omegaconf import DictConfig

import smupar_transfer
from smupar_transfer.app import schema
from smupar_transfer.app.catalogue import DEFAULT_NAMES, TAKES_NAME
from smupar_transfer.app.checks import check_composed, check_own_folder, check_own_options
from smupar_transfer.app.endings import ExitCode
from smupar_transfer.app.flags import FLAGS_WITH_VALUE, CommandLine, sorted_line
from smupar_transfer.app.key_help import print_help
from smupar_transfer.app.masking import masked, secrets_of
from smupar_transfer.app.options import folders
from smupar_transfer.app.overrides import keys_of
from smupar_transfer.app.refusals import WithoutOverrides, report, worst
from smupar_transfer.app.settings import readable, sweep_file_named
from smupar_transfer.launchers import add_plugins, import_plugins
from smupar_transfer.records import CutLineWarning
from smupar_transfer.sweeps import shipped
from smupar_transfer.sweeps.files import sweep_overrides
from smupar_transfer.sweeps.sweep import key_of
from smupar_transfer.theory import one_line

SPELT_OUT = {("calibrate", "--fresh"): "fresh=true"}
"""Settings that may be given as flags, by command."""

SHOWS_CONFIGURATION = ("--cfg", "--info")
"""Flags with which Hydra prints the configuration, in place of running the command."""


def launch(command: str, words: list[str], program: str = "") -> int:
    """Compose the configuration of a command and run it.

    Args:
        command: The name of the command, one of ``catalogue.COMMANDS``.
        words: The rest of the command line.
        program: What Hydra shall take for the program's name; the command with its name if left out.

    Returns:
        The exit code, as ``main`` describes it.
    """
    # files in conf/ have it in their search path, which Hydra fills in from the environment
    os.environ["SMUPAR_SWEEPS"] = str(shipped.SWEEPS)
    os.environ["HYDRA_FULL_ERROR"] = "1"  # let exceptions through: they are reported here, in one line
    # before anything can fail: no message may show them
    secrets = secrets_of(words)
    refused: list[Exception] = []
    warnings.showwarning = _shown_warning
    try:
        line = command_line(command, words)
        if line.has("--version"):
            print(smupar_transfer.__version__)
            return ExitCode.GOOD
        sys.argv = [program or f"smupar {command}", *line.without("--help").words()]
        with contextlib.redirect_stderr(cast(TextIO, WithoutOverrides(sys.stderr))), _masked_output(line, secrets):
            _hydra_entry(command, refused, secrets if line.has("--help") else None)()
        sys.stdout.flush()  # a reader that went away is noticed here, not at exit
    except Exception as error:
        refused.append(error)
    return worst(report(error, command, secrets) for error in refused)


@contextlib.contextmanager
def _masked_output(line: CommandLine, secrets: Sequence[str]) -> Iterator[None]:
    """Print what Hydra says of the configuration without passwords: it ends in logs and in questions to others."""
    if not any(line.has(flag) for flag in SHOWS_CONFIGURATION):
        yield
        return
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said):
            yield
    finally:
        print(masked(said.getvalue(), secrets), end="")


def command_line(command: str, words: list[str]) -> CommandLine:
    """The words of a command line, checked, with a sweep's own settings, as Hydra shall read them.

    Raises:
        WordError: a word cannot be used.
        InputError: a sweep that is named cannot be read.
    """
    words = [SPELT_OUT.get((command, word), word) for word in words]
    typed = sorted_line(command, sweep_file_named(command, words))
    # before the schema: what plugins register is among the words that keys take
    add_plugins(value for flag, value in typed.flags if flag == "--plugin" and value)
    schema.register()
    words = typed.without("--plugin").words()
    # again, as the words of a sweep file have come to those that were typed
    line = sorted_line(command, _expand_name(command, words))
    multirun = line.has("--multirun") or "hydra.mode=MULTIRUN" in line.settings
    own_folder = _config_dir(words)
    check_own_folder(command, own_folder)
    check_own_options(own_folder, line.settings)
    settings = readable(command, line.settings, folders(own_folder), multirun=multirun)
    return CommandLine(line.flags, tuple(settings))


_show_warning = warnings.showwarning


def _shown_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Have what is the matter with a person's file told without the line of code that noticed it."""
    if issubclass(category, CutLineWarning):
        print(f"caution: {one_line(str(message))}", file=sys.stderr)
    else:
        _show_warning(message, category, filename, lineno, file, line)


def _hydra_entry(command: str, refused: list[Exception], help_without: Sequence[str] | None) -> Callable[[], None]:
    """Hydra's entry point, whose task is the body of a command.

    Args:
        command: The name of the command.
        refused: Takes what the body raises in this process, past Hydra, which would print all overrides before it.
        help_without: If not None, help is printed in place of running the body, without these passwords.
    """
    here = os.getpid()

    def task(config: DictConfig) -> None:
        try:
            if help_without is not None:
                print_help(command, config, help_without)
                return
            import_plugins()  # a launcher's process has not read the command line
            check_composed(command, config)
            importlib.import_module(f"smupar_transfer.app.commands.{command}").run(config)
        except Exception as error:
            if os.getpid() != here:  # a launcher's other process: only an exception gets back
                raise
            refused.append(error)

    task.__module__ = __name__
    # the version is named, so that newer ones of Hydra keep the defaults of this one
    entry: Callable[[], None] = hydra.main(version_base="1.3", config_path=str(shipped.CONF), config_name=command)(task)
    return entry


def _expand_name(command: str, words: list[str]) -> list[str]:
    """Put a sweep's own settings before the words of ``sweep NAME key=value``: a person may change what it sets."""
    # a line that is being completed may end within the name
    if command not in TAKES_NAME or "-sc" in words or "--shell-completion" in words:
        return words
    name, rest = _name_and_rest(words)
    if name is None:
        if command not in DEFAULT_NAMES:
            return words
        name = DEFAULT_NAMES[command]
    if command in ("plot", "status"):  # they read what is stored
        return [f"sweep={name}", *rest]
    typed = keys_of([word for word in rest if not word.startswith("-")])
    own = [word for word in sweep_overrides(name, _config_dir(rest)) if not _overruled(key_of(word), typed)]
    return [*own, f"sweep={name}", *rest]  # of two words for a key, Hydra takes the later one


def _overruled(key: str, typed: Iterable[str]) -> bool:
    """Whether a person typed a key, or a whole group that it is in: then the file has no say."""
    return any(key == word or key.startswith(f"{word}.") for word in typed)


def _name_and_rest(words: list[str]) -> tuple[str | None, list[str]]:
    """The first word that is neither setting, flag nor value of a flag, or ``sweep=NAME``, wherever it stands."""
    for index, word in enumerate(words):
        if index > 0 and words[index - 1] in FLAGS_WITH_VALUE:
            continue
        rest = words[:index] + words[index + 1 :]
        if "=" not in word and not word.startswith(("-", "+", "~")):
            return word, rest
        value = word.partition("=")[2].strip("'\"")  # Hydra's quotes, as a path with a blank needs them
        if value and key_of(word) == "sweep" and not word.startswith("~"):
            return value, rest
    return None, words


# by hand: a sweep is looked for in that folder before Hydra's parser has seen a word
def _config_dir(words: list[str]) -> str | None:
    for index, word in enumerate(words):
        if word in ("--config-dir", "-cd"):
            return words[index + 1] if index + 1 < len(words) else None
        if word.startswith("--config-dir="):
            return word.partition("=")[2]
    return None
