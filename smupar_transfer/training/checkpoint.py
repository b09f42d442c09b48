"""Where an interrupted run goes on: everything that the rest of the run depends on, in one file."""

from __future__ import annotations

import io
import pickle
import zipfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from smupar_transfer.records import Evaluation, write_atomically
from smupar_transfer.sparsity import LAYOUTS, SparseLinear, check_moments
from smupar_transfer.theory import InputError

DAMAGE = (pickle.UnpicklingError, zipfile.BadZipFile)
PARTS = {"key", "network", "optimizer", "batches", "progress"}


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


def save_checkpoint(
    path: Path,
    key: str,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: torch.Generator,
    progress: Progress,
) -> None:
    """Write a checkpoint over the one before, whole or not at all.

    Raises:
        InputError: the file cannot be written.
    """
    buffer = io.BytesIO()
    content = {
        "key": key,
        "network": network.state_dict(),
        "optimizer": optimizer.state_dict(),
        "batches": batches.get_state(),
        "progress": asdict(progress),
    }
    torch.save(content, buffer)
    write_atomically(path, buffer.getvalue())


def load_checkpoint(
    path: Path, key: str, network: nn.Module, optimizer: torch.optim.Optimizer, batches: torch.Generator
) -> Progress:
    """Restore a run in place and tell how far it was.

    Raises:
        InputError: the file is damaged, belongs to a run with another key, or does not fit the network.
    """
    content = read_checkpoint(path)
    if content["key"] != key:
        raise InputError(
            "checkpoint",
            str(path),
            f"belongs to run {content['key']}, not to {key}",
            "move it away or restore the settings it was made with",
        )
    try:
        network.load_state_dict(content["network"])
        optimizer.load_state_dict(_fitted(content["optimizer"], network, optimizer))
        check_moments(optimizer)
    except (RuntimeError, ValueError, LookupError, TypeError) as error:
        problem = f"does not fit the network: {' '.join(str(error).split())}"
        raise InputError("checkpoint", str(path), problem, "delete it to start over") from error
    batches.set_state(content["batches"])
    state = content["progress"]
    return Progress(**{"cpu_seconds": None, **state, "history": [Evaluation(**row) for row in state["history"]]})


def _fitted(state: dict[str, Any], network: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """An optimizer's state, its moments laid out as the weights are, whichever backend they were saved under.

    Raises:
        ValueError: a moment has no layout of its weights.
    """
    layers = {id(module.weight): module for module in network.modules() if isinstance(module, SparseLinear)}
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    moments = {
        index: {name: _moment(value, parameters[index], layers) for name, value in row.items()}
        for index, row in state["state"].items()
    }
    groups = [{key: value for key, value in group.items() if key != LAYOUTS} for group in state["param_groups"]]
    return {**state, "state": moments, "param_groups": groups}


def _moment(value: Any, parameter: Tensor, layers: dict[int, SparseLinear]) -> Any:
    """One entry of a parameter's state; a kernel that trusted a wrong shape would write past its end."""
    if not isinstance(value, Tensor) or value.ndim == 0:
        return value
    moment = layers[id(parameter)].in_layout(value) if id(parameter) in layers else value
    if moment.shape != parameter.shape:
        raise ValueError(f"moments of shape {tuple(moment.shape)} for weights of shape {tuple(parameter.shape)}")
    return moment


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Content of a checkpoint file, on the CPU; nothing in it is executed.

    Raises:
        InputError: it is no checkpoint, or a damaged one.
    """
    try:
        with zipfile.ZipFile(path) as archive:  # torch writes checksums but does not read them
            if damaged := archive.testzip():
                raise ValueError(f"{damaged} is damaged")
        content = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(content, dict) or set(content) != PARTS:
            raise ValueError("it holds something else")
    except (OSError, RuntimeError, EOFError, ValueError, LookupError, *DAMAGE) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError("checkpoint", str(path), f"cannot be read: {reason}", "delete it to start over") from error
    return content
