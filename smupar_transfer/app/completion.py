"""Tab completion: commands and names of sweeps here, everything after them by Hydra."""

from __future__ import annotations

import os

from smupar_transfer.app.launch import launch
from smupar_transfer.app.main import COMMANDS, TAKES_NAME
from smupar_transfer.app.sweeps import shipped_sweeps


def complete(words: list[str]) -> int:
    """Answer ``smupar -sc install=bash`` and the shell's queries, which put the line so far into ``COMP_LINE``."""
    if len(words) < 2 or not words[1].startswith("query="):
        return launch("train", words, program="smupar")
    line = os.environ.get("COMP_LINE", "")
    done = line.split() if line.endswith(" ") else line.split()[:-1]
    if len(done) < 2:
        print(" ".join(COMMANDS))
        return 0
    command, *rest = done[1:]
    if command not in COMMANDS:
        return 0
    if command in TAKES_NAME and not rest:
        print(" ".join(shipped_sweeps()))
        return 0
    skipped = 2 + (command in TAKES_NAME and "=" not in rest[0])
    os.environ["COMP_LINE"] = " ".join(["smupar", *line.split(" ")[skipped:]])
    return launch(command, words)
