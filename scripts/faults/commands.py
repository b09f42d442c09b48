"""The commands that faults are inflicted on, in processes forked from this one, which has imported everything."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from smupar_transfer.app import hydra_entry  # noqa: F401 - imported here, once for all commands
from smupar_transfer.app.commands import coordinates, plot, sweep, train, tune  # noqa: F401
from smupar_transfer.app.main import main
from smupar_transfer.reporting import publish, run_page, study_page  # noqa: F401

MARK = "SMUPAR_FAULT_CAMPAIGN"
"""Variable of the environment by which the processes of a command are found, wherever they went."""
PATIENCE_SECONDS = 240.0
"""Until a command counts as hanging; machines may be busy."""
SHAPE = (
    "model.width=32", "model.head_dim=16", "model.depth=1", "budget.batch_size=2", "budget.sequence_length=16",
    "budget.evaluation_batches=2", "sparsity.backend=masked", "data=text", "data.path=../corpus.txt",
)  # fmt: skip
GRID = """\
question: Does a grid of eight tiny runs survive?
overrides: [target.width=64]
grids:
  - parametrization.name: [sp, smupar]
    target.sparsity: [0.5]
    hparams.learning_rate: {log2: {first: -8, last: -5, step: 1}}
    seed: [0]
"""
CHECKS = """\
question: Do eight tiny coordinate checks survive?
kind: coordinates
axis: width
overrides: [target.sparsity=0.5, budget.steps=8, budget.warmup_steps=0, budget.decay=none]
grids:
  - parametrization.name: [mup, smupar]
    target.width: [32, 64]
    seed: [0, 1]
"""


@dataclass(frozen=True)
class Family:
    """A command.

    Attributes:
        name: The command.
        words: The words of its command line.
        folder: The folder of its result.
        passes: Exit codes that it may end with: a coordinate check of a tiny network may well fail, or stay open.
    """

    name: str
    words: tuple[str, ...]
    folder: str
    passes: tuple[int, ...] = (0,)


FAMILIES = {
    family.name: family
    for family in (
        Family("train", ("train", *SHAPE, "budget.steps=120", "target.width=64", "target.sparsity=0.5"), "train"),
        Family(
            "tune",
            ("tune", *SHAPE, "budget.steps=12", "tuning.n_trials=8", "tuning.startup_trials=3", "seed=3"),
            "proxy",
        ),
        Family("sweep", ("sweep", "../grid.yaml", *SHAPE, "budget.steps=12"), "grid"),
        Family("coordinates", ("coordinates", "../checks.yaml", *SHAPE, "max_seeds=2"), "checks", (0, 1, 3)),
    )
}


@dataclass
class Started:
    """A command that runs, in a session of its own.

    Attributes:
        pid: Its process.
        errors: The file with what it says on standard error.
        mark: What its processes have in their environment.
        began: When it was started.
        code: How it ended; None while it runs.
    """

    pid: int
    errors: Path
    mark: str
    began: float
    code: int | None = None

    def poll(self) -> int | None:
        """How it ended, if it has."""
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.code = os.waitstatus_to_exitcode(status) if pid else None
        return self.code

    def wait(self, seconds: float = PATIENCE_SECONDS) -> int | None:
        """How it ended; None if it does not end in time."""
        end = time.monotonic() + seconds
        while self.poll() is None and time.monotonic() < end:
            time.sleep(0.01)
        return self.code

    def processes(self) -> list[int]:
        """The processes of this command that are there, itself included."""
        return [
            pid
            for pid in map(int, filter(str.isdigit, (path.name for path in Path("/proc").iterdir())))
            if self._is_own(pid)
        ]

    def _is_own(self, pid: int) -> bool:
        try:
            environment = Path(f"/proc/{pid}/environ").read_bytes()
            state = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0]
        except OSError:
            return False
        # what a process was forked with is not in its environ: the command itself is known by its number
        return state not in "ZX" and (pid == self.pid or f"{MARK}={self.mark}".encode() in environment)

    def end(self) -> None:
        """Kill whatever is left."""
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.wait(10)


def start(
    words: Sequence[str],
    folder: Path,
    environment: Mapping[str, str] | None = None,
    first: Callable[[], None] | None = None,
) -> Started:
    """Start a command in a process forked from this one.

    Args:
        words: The command line.
        folder: The folder in which it runs.
        environment: Variables that it has beside those of this process.
        first: What it does before anything else.
    """
    mark = f"{os.getpid()}.{time.monotonic_ns()}"
    errors = folder / f"stderr.{mark}"
    pid = os.fork()
    if pid == 0:
        _run(words, folder, errors, {MARK: mark, **(environment or {})}, first)
    return Started(pid, errors, mark, time.monotonic())


def _run(
    words: Sequence[str],
    folder: Path,
    errors: Path,
    environment: Mapping[str, str],
    first: Callable[[], None] | None,
) -> None:
    """Become the command; never returns."""
    code = 70
    try:
        os.setsid()
        os.chdir(folder)
        os.environ.update(environment)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for number, path in ((1, "/dev/null"), (2, str(errors))):
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            os.dup2(handle, number)
        sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
        torch.set_num_threads(1)
        if first is not None:
            first()
        code = main(list(words))
    except SystemExit as ending:
        code = ending.code if isinstance(ending.code, int) else 1
    finally:
        with contextlib.suppress(BaseException):
            sys.stderr.flush()
        os._exit(code)
