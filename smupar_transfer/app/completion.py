"""Tab completion: commands and names of sweeps here, everything after them by Hydra."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable

from smupar_transfer.app.catalogue import COMMANDS, DEFAULT_NAMES, TAKES_NAME
from smupar_transfer.app.hydra_entry import launch
from smupar_transfer.sweeps.files import sweeps_for

SHELLS = ("bash", "zsh", "fish")


def complete(words: list[str]) -> int:
    """Answer ``smupar -sc install=bash`` and the shell's queries, which put the line so far into ``COMP_LINE``."""
    action, _, shell = words[1].partition("=") if len(words) > 1 else ("", "", "")
    if action not in ("install", "uninstall", "query") or shell not in SHELLS:
        print(f"smupar: --shell-completion takes install=SHELL, SHELL one of {', '.join(SHELLS)}", file=sys.stderr)
        return 2
    if action != "query":
        # what is installed depends on the program alone, so that any command will do
        return launch("train", words, program="smupar")
    line = os.environ.get("COMP_LINE", "")
    done = line.split() if line.endswith(" ") else line.split()[:-1]
    typed = "" if line.endswith(" ") else line.split()[-1] if line.split() else ""
    if len(done) < 2:
        return _offer(COMMANDS, typed)
    command, *rest = done[1:]
    if command not in COMMANDS:
        return 0
    # these need no name, so that a first word with a point or a sign is a key
    may_start_with_key = command == "plan" or command in DEFAULT_NAMES
    if command in TAKES_NAME and not rest and not (may_start_with_key and ("." in typed or "=" in typed)):
        return _offer(sweeps_for(command), typed)
    skipped = 2 + (command in TAKES_NAME and bool(rest) and "=" not in rest[0])
    # at single blanks: one at the end of the line, after which a new word begins, is kept
    os.environ["COMP_LINE"] = " ".join(["smupar", *line.split(" ")[skipped:]])
    return launch(command, words)


def _offer(choices: Iterable[str], typed: str) -> int:
    print(" ".join(choice for choice in choices if choice.startswith(typed)))
    return 0
