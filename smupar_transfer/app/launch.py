"""From words on the command line to a command's body, through Hydra, with errors that a person can act on."""

from __future__ import annotations

import importlib
import os
import re
import signal
import sys
import traceback
from collections.abc import Callable, Iterable

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from smupar_transfer.app import paths, schema
from smupar_transfer.app.endings import CheckFailedError, CheckUndecidedError, ExitCode
from smupar_transfer.app.given import key_of, keys_of
from smupar_transfer.app.hints import did_you_mean
from smupar_transfer.app.main import DEFAULT_NAMES, TAKES_NAME
from smupar_transfer.app.sweeps import shipped_sweeps, sweep_overrides
from smupar_transfer.theory import InputError


def launch(command: str, words: list[str], program: str = "") -> int:
    """Compose the configuration of a command and run it.

    Args:
        command: one of ``main.COMMANDS``.
        words: the rest of the command line.
        program: what Hydra shall take for the program's name; the command with its name if left out.

    Returns:
        Exit code, as ``main`` describes it.
    """
    os.environ["SMUPAR_SWEEPS"] = str(paths.SWEEPS)
    os.environ["HYDRA_FULL_ERROR"] = "1"  # let exceptions through: they are reported here, in one line
    schema.register()
    refused: list[Exception] = []
    signal.signal(signal.SIGTERM, _terminate)
    try:
        sys.argv = [program or f"smupar {command}", *_flags_first(_expand_name(command, words))]
        _hydra_entry(command, refused)()
        sys.stdout.flush()  # a reader that went away is noticed here, not at exit
        if refused:
            raise refused[0]
    except KeyboardInterrupt:
        print("\nsmupar: interrupted; run the same command again to go on", file=sys.stderr)
        return ExitCode.INTERRUPTED
    except InputError as error:
        return _complain(str(error), ExitCode.BAD_INPUT)
    except CheckFailedError as error:
        return _complain(str(error), ExitCode.CHECK_FAILED)
    except CheckUndecidedError as error:
        return _complain(str(error), ExitCode.UNDECIDED)
    except (HydraException, OmegaConfBaseException) as error:
        return _complain(_first_line(error), ExitCode.BAD_INPUT)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.GOOD
    except Exception:  # whatever else: a fault of ours, which must not look like a check's verdict
        traceback.print_exc()
        return _complain("this is a fault of smupar itself, not of your input", ExitCode.CRASHED)
    return ExitCode.GOOD


def _terminate(number: int, frame: object) -> None:
    """Let a polite kill, as of a batch system's time limit, end workers and files as Ctrl-C does."""
    del frame
    raise SystemExit(128 + number)


def _hydra_entry(command: str, refused: list[Exception]) -> Callable[[], None]:
    def task(config: DictConfig) -> None:
        body = importlib.import_module(f"smupar_transfer.app.commands.{command}")
        try:
            body.run(config)
        except Exception as error:
            if HydraConfig.get().mode is RunMode.MULTIRUN:  # maybe in another process: only an exception gets back
                raise
            refused.append(error)  # past Hydra, which would print all overrides before the message

    task.__module__ = __name__
    entry: Callable[[], None] = hydra.main(version_base="1.3", config_path=str(paths.CONF), config_name=command)(task)
    return entry


def _expand_name(command: str, words: list[str]) -> list[str]:
    """Put a sweep's own settings before the words of ``sweep NAME key=value``: a person may change what it sets."""
    if command not in TAKES_NAME or "-sc" in words or "--shell-completion" in words:
        return words
    name, rest = _name_and_rest(words)
    if name is None:
        if command not in DEFAULT_NAMES:
            return words
        name = DEFAULT_NAMES[command]
    if command == "plot":  # reads records only
        return [f"sweep={name}", *rest]
    typed = keys_of([word for word in rest if not word.startswith("-")])
    own = [word for word in sweep_overrides(name, _config_dir(rest)) if not _overruled(key_of(word), typed)]
    return [*own, f"sweep={name}", *rest]


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


FLAGS_WITH_VALUE = (
    "--cfg",
    "-c",
    "--package",
    "-p",
    "--config-path",
    "-cp",
    "--config-name",
    "-cn",
    "--config-dir",
    "-cd",
    "--info",
    "-i",
    "--experimental-rerun",
)


def _flags_first(words: list[str]) -> list[str]:
    """Hydra's parser wants all overrides in one piece; people write flags anywhere."""
    flags, overrides = [], []
    rest = iter(words)
    for word in rest:
        if word.startswith("-"):
            flags.append(word)
            if word in FLAGS_WITH_VALUE:
                flags.extend(value for value in [next(rest, None)] if value is not None)
        else:
            overrides.append(word)
    return [*flags, *overrides]


def _config_dir(words: list[str]) -> str | None:
    for index, word in enumerate(words):
        if word in ("--config-dir", "-cd"):
            return words[index + 1] if index + 1 < len(words) else None
        if word.startswith("--config-dir="):
            return word.partition("=")[2]
    return None


def _first_line(error: BaseException) -> str:
    """The part of a Hydra or OmegaConf message that a person needs, on one line."""
    inner = error.__cause__ if isinstance(error.__cause__, OmegaConfBaseException | HydraException) else error
    shown = error if "Could not override" in str(error) or not str(inner) else inner
    lines = [line.strip() for line in str(shown).splitlines() if line.strip()]
    lines = [line for line in lines if not re.match(r"(object_type|reference_type|full_key|See https)", line)]
    message = " ".join(lines).partition(" Config search path:")[0]
    option = re.search(r"Could not find '([^']+)/([^'/]+)' Available options in '[^']+': (.+)", message)
    if option:
        return f"{option[1]}={option[2]}: there is no such option; choose one of {option[3].replace(' ', ', ')}"
    unknown = re.search(r"Could not override '([^']+)'", message)
    if unknown:
        known = [key for key in schema.known_keys() if key != unknown[1]]  # a key of another command is no suggestion
        return f"{unknown[1]}: there is no such key; {did_you_mean(unknown[1], known, '--help lists the keys')}"
    no_setting = re.search(r"Error parsing override '([^'=]+)' missing EQUAL", message)
    if no_setting:
        return f"{no_setting[1]}: is no setting; write KEY=VALUE"
    missing = re.search(r"Missing mandatory value: (\S+)", message)
    if missing:
        hint = (
            f"name one: {', '.join(sorted(shipped_sweeps()))}" if missing[1] == "sweep" else f"give {missing[1]}=VALUE"
        )
        return f"{missing[1]}: has no value; {hint}"
    full_key = getattr(inner, "full_key", None)
    return f"{full_key}: {message}" if full_key and full_key not in message else message


def _complain(message: str, code: ExitCode) -> ExitCode:
    print(f"smupar: {message}", file=sys.stderr)
    return code
