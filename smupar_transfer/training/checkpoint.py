"""Where an interrupted run goes on: everything that the rest of the run depends on, in one file or folder."""

from __future__ import annotations

import pickle
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from smupar_transfer.records import Evaluation, RunSpec, from_plain, require_writable
from smupar_transfer.sparsity import check_moments
from smupar_transfer.theory import InputError, shown, shown_text
from smupar_transfer.training.checkpoint_files import CheckpointFiles, read_content, remove, write_content
from smupar_transfer.training.distributed.ranks import ALONE, FSDP, Ranks
from smupar_transfer.training.distributed.sharing import own_part
from smupar_transfer.training.optimizer_state import fitted_state

DAMAGE = (OSError, RuntimeError, EOFError, ValueError, LookupError, pickle.UnpicklingError, zipfile.BadZipFile)
"""What reading a file raises that is no checkpoint, or no whole one."""
FOREIGN = (RuntimeError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, AssertionError)
"""What restoring raises where a checkpoint holds other things than this run wrote."""
PARTS = {"key", "network", "optimizer", "batches", "progress"}
START_OVER = "delete it to start over"


class DamagedError(InputError):
    """A checkpoint that cannot be read, so that an older one is needed."""


@dataclass
class Progress:
    """How far a run has come.

    Attributes:
        step: The number of optimizer steps done.
        wall_seconds: The time spent so far, over all sessions of the run.
        cpu_seconds: The processor time of it, of all threads together; None if a version that did not count it began
            the run.
        first_loss: The loss of the very first step; None before it.
        window: The training losses since the last evaluation.
        step_seconds: The time of each step so far.
        history: The evaluations so far.
    """

    step: int = 0
    wall_seconds: float = 0.0
    cpu_seconds: float | None = 0.0
    first_loss: float | None = None
    window: list[float] = field(default_factory=list)
    step_seconds: list[float] = field(default_factory=list)
    history: list[Evaluation] = field(default_factory=list)

    def require_complete(self, steps: int) -> None:
        """Check that everything is there that a run of so many steps, which has come this far, keeps.

        Raises:
            ValueError: it is not.
        """
        evaluated = [0, *(evaluation.step for evaluation in self.history)]
        if not 0 <= self.step <= steps:
            raise ValueError(f"step {self.step} of a run of {steps}")
        if sorted(set(evaluated)) != evaluated or len(self.window) != self.step - evaluated[-1]:
            raise ValueError(f"{len(self.window)} losses since its last evaluation, at step {evaluated[-1]}")
        if len(self.step_seconds) != self.step or (self.first_loss is None) != (self.step == 0):
            raise ValueError(f"the times of {len(self.step_seconds)} steps, of {self.step}")


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds, as far as it could be read; whether it fits the run is seen when it is restored.

    Attributes:
        path: Where it was read.
        content: Its parts by name; see ``PARTS``.
    """

    path: Path
    content: dict[str, Any]

    def restore_network(self, network: nn.Module) -> None:
        """Give a network its weights and masks.

        Raises:
            InputError: they do not fit the network, or are not finite.
        """
        with self._fitting():
            for name, own in network.state_dict().items():
                # a name that is missing is left to load_state_dict, which tells all of them at once
                value = self.content["network"].get(name, own)
                # load_state_dict would convert without a word
                if value.dtype != own.dtype:
                    raise ValueError(f"{name} is {value.dtype}, not {own.dtype}")
            for name, _ in network.named_parameters():
                if not bool(self.content["network"].get(name, torch.zeros(())).isfinite().all()):
                    raise ValueError(f"{name} is not finite")
            network.load_state_dict(self.content["network"])

    def restore_training(
        self, spec: RunSpec, network: nn.Module, optimizer: torch.optim.Optimizer, batches: torch.Generator
    ) -> Progress:
        """Give optimizer and batches of a run their state, and tell how far the run was.

        Raises:
            InputError: something does not fit the run.
        """
        with self._fitting():
            # versions that did not count processor time wrote no such entry
            progress = from_plain({"cpu_seconds": None, **self.content["progress"]}, Progress, "progress", self.path)
            progress.require_complete(spec.budget.steps)
            state = fitted_state(self.content["optimizer"], network, optimizer, spec, progress.step)
            optimizer.load_state_dict(state)
            check_moments(optimizer)
            batches.set_state(self.content["batches"])
        return progress

    @contextmanager
    def _fitting(self) -> Iterator[None]:
        try:
            yield
        except FOREIGN as error:
            reason = error.problem if isinstance(error, InputError) else " ".join(str(error).split())
            problem = f"does not fit the network: {shown_text(reason) or type(error).__name__}"
            raise InputError("checkpoint", str(self.path), problem, START_OVER) from error


def save_checkpoint(
    files: CheckpointFiles,
    key: str,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: torch.Generator,
    progress: Progress,
    ranks: Ranks = ALONE,
) -> None:
    """Write the next generation of a checkpoint, whole or not at all.

    The first process writes a file; processes that share a network out write a folder, each its parts. Weights that are
    not finite are not written: from the generation before, the run comes to the same end.

    Raises:
        InputError: it cannot be written; see ``Ranks.together``.
    """
    # each process sees its own part alone, and all have to decide alike
    broken = not all(bool(own_part(parameter).isfinite().all()) for parameter in network.parameters())
    if ranks.highest(int(broken)):
        return
    content = {
        "key": key,
        "network": network.state_dict(),
        "optimizer": optimizer.state_dict(),
        "batches": batches.get_state(),
        "progress": asdict(progress),
    }
    if ranks.sharing == FSDP:
        _save_parts(files, content, ranks)
    else:
        ranks.together(lambda: _save_whole(files, content) if ranks.is_first else None)


def _save_whole(files: CheckpointFiles, content: dict[str, Any]) -> None:
    with files.writing() as path:
        write_content(content, path)


def _save_parts(files: CheckpointFiles, content: dict[str, Any], ranks: Ranks) -> None:
    from smupar_transfer.training.distributed.parts import write_parts

    def write() -> None:
        with files.told():
            write_parts(content, folder, ranks)

    # its name is random, and all have to write to one folder
    folder = ranks.by_first(files.begin)
    try:
        ranks.together(write)
        # once everybody's parts are there: whoever reads before sees the generation before
        ranks.together(lambda: files.finish(folder) if ranks.is_first else None)
    finally:
        if ranks.is_first:
            remove(folder)


def load_checkpoint(files: CheckpointFiles, key: str) -> Checkpoint:
    """The newest generation that can be read; a line on standard error names those that cannot.

    Raises:
        InputError: none can be read, or it belongs to a run with another key.
    """
    refused: list[DamagedError] = []
    # where there is none, reading it says so
    for path in files.existing() or [files.newest]:
        try:
            content = read_checkpoint(path)
        except DamagedError as error:
            refused.append(error)
            continue
        if content["key"] != key:
            problem = f"belongs to run {shown_text(str(content['key']))}, not to {key}"
            raise InputError("checkpoint", str(path), problem, "move it away or restore the settings it was made with")
        for damaged in refused:
            line = InputError(damaged.key, damaged.value, damaged.problem, f"going on from {path.name}")
            print(f"smupar: {line}", file=sys.stderr, flush=True)
        files.damaged = [Path(str(damaged.value)) for damaged in refused]
        return Checkpoint(path, content)
    raise refused[0]


def resume(files: CheckpointFiles, key: str, ranks: Ranks = ALONE) -> Checkpoint | None:
    """Where a run goes on, if it began before; processes that train together all get what the first reads.

    A folder of parts is read by each of them, as all of them see it.

    Raises:
        InputError: see ``load_checkpoint`` and ``Ranks.together``.
    """

    def load() -> Checkpoint | None:
        # told now, and not by the first checkpoint
        require_writable(files.newest.parent)
        files.remove_strays()
        return load_checkpoint(files, key) if files.existing() else None

    checkpoint = ranks.together(lambda: load() if ranks.is_first else None)
    if ranks.is_alone:
        return checkpoint
    folder = ranks.shared(checkpoint.path if checkpoint is not None and checkpoint.path.is_dir() else None)
    if folder is None:
        return ranks.shared(checkpoint)
    return ranks.together(lambda: checkpoint or Checkpoint(folder, read_checkpoint(folder)))


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Content of a checkpoint, a file or a folder of parts, on the CPU; nothing in it is executed.

    Raises:
        DamagedError: it is no checkpoint, or a damaged one.
        InputError: it may not be read.
    """
    try:
        content = _read_folder(path) if path.is_dir() else read_content(path)
        if not isinstance(content, dict) or set(content) != PARTS:
            raise ValueError("it holds something else")
        if not isinstance(content["network"], dict):
            raise ValueError(f"its network is {shown(content['network'])}")
    except PermissionError as error:
        raise InputError("checkpoint", str(path), f"cannot be read: {error.strerror}") from error
    except DAMAGE as error:
        # the first line alone: torch goes on about how to load the file unsafely
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DamagedError("checkpoint", str(path), f"cannot be read: {shown_text(reason)}", START_OVER) from error
    return content


def _read_folder(folder: Path) -> dict[str, Any]:
    from smupar_transfer.training.distributed.parts import read_parts  # imports a second's worth of torch

    return read_parts(folder)
