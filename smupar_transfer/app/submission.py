"""Commands that are handed to a batch system, which runs as many of the same as there are workers."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig

from smupar_transfer.app import console
from smupar_transfer.app.overrides import own_flags
from smupar_transfer.launchers import PROCESSES, find_launcher
from smupar_transfer.sweeps.sweep import key_of

SUBMITTED_FOLDER = "submitted"
"""In results_dir: what batch systems write."""
NOT_HANDED_ON = frozenset({"launcher", "workers"})
"""Keys that are about who runs, not about what is run."""


@dataclass(frozen=True)
class SubmittedCommand:
    """A command line, run in the folder in which it was given.

    Attributes:
        words: The words behind ``smupar``.
        folder: The folder, which is there on every machine.
    """

    words: tuple[str, ...]
    folder: str

    def __call__(self) -> int:
        """Run it.

        Raises:
            RuntimeError: it did not end well; its output says why.
        """
        from smupar_transfer.app.main import main

        # paths among the words are relative to the folder in which they were typed
        os.chdir(self.folder)
        code = main(self.words)
        if code:
            raise RuntimeError(f"{shlex.join(['smupar', *self.words])}: exit code {int(code)}")
        return int(code)


def submitted(config: DictConfig, command: Sequence[str], name: str, words: Sequence[str]) -> bool:
    """Submit a command, if ``launcher`` names one that does so; nothing here waits for it.

    Args:
        config: The configuration.
        command: The command, with its name if it takes one.
        name: The name of its result.
        words: What a person gave.

    Returns:
        Whether it was submitted; otherwise this process shall carry it out.

    Raises:
        InputError: there is no such launcher, or it refuses.
    """
    submit = find_launcher(config.launcher).submit
    if submit is None:
        return False
    from smupar_transfer.app import config_to_spec  # imports torch, which takes a moment

    kept = [word for word in words if key_of(word) not in NOT_HANDED_ON]
    # at the end, where words win over the same ones before: a submitted command must not submit itself again
    line = (*command, *own_flags(), *kept, "workers=1", f"launcher={PROCESSES}")
    folder = Path(config.results_dir) / SUBMITTED_FOLDER
    said = submit(SubmittedCommand(line, str(Path.cwd())), config_to_spec.workers(config), folder)
    console.line(f"{said}; its output is in {folder}")
    console.line(f"they share the work among themselves; see: smupar status {name} results_dir={config.results_dir}")
    return True
