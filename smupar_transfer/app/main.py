"""The console script ``smupar COMMAND [key=value ...]``.

This module answers ``--help`` and misspelt commands by itself: Hydra, torch and the rest are imported behind a command,
and the package's own rooms where they are needed: a Ctrl-C during imports shall find somebody who tells of it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import smupar_transfer
from smupar_transfer.app.catalogue import COMMANDS
from smupar_transfer.app.endings import ExitCode, end_politely, give_up_output

HELP = """\
usage: smupar COMMAND [key=value ...] [--help] [--cfg job] [--multirun] [--config-dir DIR]
                      [--plugin MODULE]

Tune a small dense proxy, transfer its hyperparameters to a wide sparse network,
and check that the optimum stays put.

commands:
{commands}

examples:
  smupar demo
  smupar tune tuning.n_trials=40 workers=2
  smupar transfer tuned=results/proxy/tuned.yaml target.width=256 target.sparsity=0.9375
  smupar train recipe=results/recipe.yaml
  smupar sweep lr_by_sparsity workers=2
  smupar coordinates workers=2
  smupar explain target.width=1024 target.sparsity=0.98 format=json

`smupar COMMAND --help` lists a command's keys and choices.
Tab completion: eval "$(smupar -sc install=bash)". Version {version}."""


def help_text() -> str:
    """What ``smupar --help`` prints."""
    commands = "\n".join(f"  {name:<12}{summary}" for name, summary in COMMANDS.items())
    return HELP.format(commands=commands, version=smupar_transfer.__version__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: The command line without the program's name; that of the process if left out.

    Returns:
        The exit code, one of ``endings.ExitCode``.
    """
    words = _help_last(list(sys.argv[1:] if arguments is None else arguments))
    end_politely()  # before all imports that take their time
    try:
        code = _run(words)
        sys.stdout.flush()  # a reader that went away, as `head` does, is noticed here, not at exit
        return code
    except BrokenPipeError:
        give_up_output()
        return ExitCode.GOOD
    except KeyboardInterrupt:
        print("\nsmupar: interrupted; run the same command again to go on", file=sys.stderr)
        return ExitCode.INTERRUPTED


def _run(words: list[str]) -> int:
    if not words or words[0] in HELP_FLAGS:
        # help that was asked for is a success; no command at all is a mistake that a script must notice
        print(help_text())
        return 0 if words else 2
    if words[0] in ("--version", "-V"):
        print(smupar_transfer.__version__)
        return 0
    if words[0] in ("-sc", "--shell-completion"):
        # imported here, as Hydra is below: help and misspelt commands must not wait for it
        from smupar_transfer.app.completion import complete

        return complete(words)
    command, *rest = words
    if command not in COMMANDS:
        return _unknown(command, rest)
    from smupar_transfer.app.hydra_entry import launch

    return launch(command, rest)


HELP_FLAGS = ("--help", "-h", "help")


def _help_last(words: list[str]) -> list[str]:
    """``train --help`` for ``help train``, ``--help train`` and ``train help``."""
    if len(words) > 1 and words[0] in HELP_FLAGS:
        return [words[1], "--help", *words[2:]]
    return [words[0], "--help", *words[2:]] if words[1:2] == ["help"] else words


def _unknown(word: str, rest: Sequence[str]) -> int:
    """Say what is wrong with a first word that is no command."""
    # the word may be a setting in the wrong place, with the password of a database in it
    from smupar_transfer.app.masking import masked, secrets_of
    from smupar_transfer.theory import did_you_mean

    if word.startswith("-") or "=" in word:
        named = next((item for item in rest if item in COMMANDS), "COMMAND")
        line = f"{word}: the command comes first; write smupar {named} {word}"
    else:
        hint = did_you_mean(word, COMMANDS, f"choose one of {', '.join(COMMANDS)}")
        line = f"no command {word!r}: {hint}"
    print(f"smupar: {masked(line, secrets_of([word]))}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
