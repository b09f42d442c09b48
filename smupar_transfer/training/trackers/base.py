"""What a tracker is: whoever keeps curves of runs for people to look at."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from smupar_transfer.theory import InputError

PROJECT = "smupar_transfer"
"""Where tools keep runs if nobody named another place in their environment variables."""


class RunState(StrEnum):
    """How a run ended."""

    FINISHED = "finished"
    """It trained its whole budget."""
    DIVERGED = "diverged"
    """Its loss was not finite, or far above where it began."""
    STOPPED = "stopped"
    """Whoever watched it gave it up, as the pruner of a search does."""
    INTERRUPTED = "interrupted"
    """Ctrl-C or SIGTERM came; it may go on later."""
    FAILED = "failed"
    """An error ended it."""


@dataclass(frozen=True)
class TrackedRun:
    """One run, as a tracker knows it.

    Attributes:
        name: The name that people see: the key of the run, or the trial of a search.
        identity: A short text that is the same when the run goes on later, and another one for every other run.
        folder: The folder of the result that the run belongs to; the name of the folder groups its runs.
        step: The number of optimizer steps that earlier sessions took; 0 for a run that begins.
    """

    name: str
    identity: str
    folder: Path
    step: int = 0

    @classmethod
    def of(cls, name: str, key: str, folder: Path, step: int) -> TrackedRun:
        """A run of a specification with that key."""
        # the folder, too: the same specification in another result is another run
        content = f"{folder.resolve()}\n{name}\n{key}"
        return cls(name, hashlib.sha256(content.encode()).hexdigest()[:16], folder, step)

    @property
    def group(self) -> str:
        """The name of the result that the run belongs to."""
        return self.folder.resolve().name

    @property
    def files(self) -> Path:
        """The folder for files of trackers that keep them here."""
        return self.folder / "trackers"


class Tracker(Protocol):
    """Told of one run. Whatever it raises ends the tracking, not the run."""

    def start(self, config: Mapping[str, object]) -> None:
        """Before the first step of this session: the specification, as nested plain data."""

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Finite values after optimizer step ``step`` (from 1), which never falls; a step may come twice."""

    def finish(self, state: RunState) -> None:
        """Last of all, once, unless ``start`` failed."""


TrackerFactory = Callable[[TrackedRun], Tracker]
"""Makes the tracker of a run; a class that takes a ``TrackedRun`` is one."""


def tool(module: str, extra: str) -> Any:
    """A module of a package that is not always there, imported when a tracker needs it.

    Args:
        module: dotted name.
        extra: which pip installs it with; the name of the tracker, too.

    Raises:
        InputError: it is not installed, or cannot be imported.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        problem = f"cannot be used: {error}"
        raise InputError("tracker", extra, problem, f"run: pip install 'smupar-transfer[{extra}]'") from error


def flat(values: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """Nested mappings under dotted keys."""
    found: dict[str, object] = {}
    for name, value in values.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return found
