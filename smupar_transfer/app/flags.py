"""The flags of the command line, told apart from settings; people write them anywhere, and other programs' too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from smupar_transfer.app.keys import meant
from smupar_transfer.theory import close_words, either


class WordError(Exception):
    """A word of the command line that cannot be used; the message is a whole line."""


@dataclass(frozen=True)
class Flag:
    """One flag of Hydra's that commands take.

    Attributes:
        name: The name with its dashes.
        short: The same in short; empty if there is none.
        value: What the flag takes, as help would say it; empty if nothing.
        choices: All values it takes; empty where it takes any.
        optional: Whether the value may be left out.
    """

    name: str
    short: str = ""
    value: str = ""
    choices: tuple[str, ...] = ()
    optional: bool = False


FLAGS = (
    Flag("--help", "-h"),
    Flag("--version"),
    Flag("--cfg", "-c", "job|hydra|all", ("job", "hydra", "all")),
    Flag("--resolve"),
    Flag("--package", "-p", "NAME"),
    Flag("--run", "-r"),
    Flag("--multirun", "-m"),
    Flag("--config-dir", "-cd", "FOLDER"),
    Flag("--config-path", "-cp", "FOLDER"),
    Flag("--config-name", "-cn", "NAME"),
    Flag(
        "--info",
        "-i",
        "TOPIC",
        ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath"),
        optional=True,
    ),
    Flag("--hydra-help"),
    Flag("--plugin", "", "MODULE"),
    Flag("--shell-completion", "-sc"),
)
"""Of Hydra's parser, without those that load pickled files."""

FLAGS_WITH_VALUE = tuple(name for flag in FLAGS if flag.value for name in (flag.name, flag.short) if name)
SHOWS_AND_ENDS = ("--run", "--multirun", "--cfg", "--info", "--shell-completion")
"""Flags of which one at most can be followed."""
HINT = "settings are KEY=VALUE, flags are --help, --cfg job, --multirun, --config-dir FOLDER and --plugin MODULE"


@dataclass(frozen=True)
class CommandLine:
    """A command line, sorted.

    Attributes:
        flags: Name and value of every flag, None where there is no value.
        settings: All other words, in their order.
    """

    flags: tuple[tuple[str, str | None], ...]
    settings: tuple[str, ...]

    def has(self, name: str) -> bool:
        """Whether a flag was given."""
        return any(name == flag for flag, _ in self.flags)

    def without(self, name: str) -> CommandLine:
        """The same without a flag; without ``--help``, also without flags that would show something else."""
        dropped = {name, *(SHOWS_AND_ENDS if name == "--help" and self.has(name) else ())}
        return CommandLine(tuple(flag for flag in self.flags if flag[0] not in dropped), self.settings)

    def words(self) -> list[str]:
        """The same as words, flags first: Hydra's parser wants all settings in one piece."""
        flags = [word for flag, value in self.flags for word in (flag, value) if word is not None]
        # behind a --, since argparse takes every other word with a dash for a flag
        return [*flags, *(["--"] if any(word.startswith("-") for word in self.settings) else []), *self.settings]


def sorted_line(command: str, words: Sequence[str]) -> CommandLine:
    """Tell flags and settings of a command line apart.

    Args:
        command: The command whose keys are suggested for a flag that is none.
        words: The words behind the command.

    Raises:
        WordError: a flag is unknown, lacks its value, has a wrong one, or does not go with another.
    """
    flags: list[tuple[str, str | None]] = []
    settings: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            settings += rest
            break
        if not word.startswith("-") or word == "-":
            settings.append(word)
            continue
        name, given, value = word.partition("=")
        flag = _flag(name)
        if flag is None:
            raise WordError(_unknown(command, word, rest[0] if rest else None))
        flags.append((flag.name, _value(flag, value if given else None, rest)))
    line = CommandLine(tuple(flags), tuple(settings))
    _check_together(line)
    return line


def _flag(name: str) -> Flag | None:
    """The flag of a name, or of its unambiguous beginning, as argparse has it."""
    # a whole name wins over all that it is the beginning of
    exact = [flag for flag in FLAGS if name in (flag.name, flag.short)]
    begun = [flag for flag in FLAGS if name.startswith("--") and len(name) > 2 and flag.name.startswith(name)]
    return exact[0] if exact else begun[0] if len(begun) == 1 else None


def _value(flag: Flag, given: str | None, rest: list[str]) -> str | None:
    """The value of a flag, taken off the words behind it."""
    if not flag.value:
        if given is not None:
            raise WordError(f"{flag.name}={given}: takes no value; write {flag.name}")
        return None
    # a flag whose value may be left out takes the next word only if that is one of its values, as it may be a setting
    fits = bool(rest) and (rest[0] in flag.choices if flag.optional else not rest[0].startswith("-"))
    if given is None and fits:
        given = rest.pop(0)
    if not given and not flag.optional:
        raise WordError(f"{flag.name}: has no value; write {flag.name} {flag.value}")
    if flag.choices and given not in (*flag.choices, None):
        raise WordError(f"{flag.name}={given}: is not one of {', '.join(flag.choices)}")
    return given


def _check_together(line: CommandLine) -> None:
    given = [name for name in SHOWS_AND_ENDS if line.has(name)]
    if len(given) > 1 and not line.has("--help"):
        raise WordError(f"{given[1]}: does not go with {given[0]}; leave one of them out")
    for name in ("--resolve", "--package"):
        if line.has(name) and not line.has("--cfg"):
            raise WordError(f"{name}: changes what --cfg shows; write --cfg job {name}")


def _unknown(command: str, word: str, following: str | None) -> str:
    """What to write in the place of a flag that is none."""
    name, given, value = word.partition("=")
    if not given and following is not None and "=" not in following and not following.startswith("--"):
        value = following
    # a negative number is a value in a wrong place, no misspelt key
    keys = [] if name.strip("-").replace(".", "").isdigit() else meant(name, command)
    if keys:
        return f"{name}: is no flag; write {either(f'{key}={value}' if value else f'{key}=VALUE' for key in keys)}"
    close = close_words(name.strip("-"), [flag.name.strip("-") for flag in FLAGS])
    return f"{name}: is no flag; " + (f"did you mean --{close[0]}?" if close else HINT)
