"""What two processes do together, for the tests beside it: run by torchrun's variables, without torchrun.

``python together.py FOLDER`` writes what it saw to ``FOLDER/RANK.pt``; nothing is judged here.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from smupar_transfer.records import RunRecord, RunSpec
from smupar_transfer.theory import InputError
from smupar_transfer.training import Execution, Ranks, Silent, TokenData, joined, run
from smupar_transfer.training.checkpoint import resume
from smupar_transfer.training.checkpoint_files import CheckpointFiles
from smupar_transfer.training.distributed.sharing import own_part
from smupar_transfer.training.runs import open_session
from tests.training.distributed.cases import CASES, corpus, spec_of


class StopError(Exception):
    """What stands for the end of the processes."""


class Stop(Silent):
    """Ends a run after a step, in all processes, without a checkpoint of its own."""

    def __init__(self, step: int) -> None:
        self._step = step

    def on_step(self, step: int, loss: float, tokens: int) -> None:
        if step == self._step:
            raise StopError


class Losses(Silent):
    def __init__(self) -> None:
        self.seen: list[float] = []

    def on_step(self, step: int, loss: float, tokens: int) -> None:
        self.seen.append(loss)


class Signal(Silent):
    """Sends this process a signal in the middle of a run."""

    def __init__(self, step: int, number: int) -> None:
        self._step, self._number = step, number

    def on_step(self, step: int, loss: float, tokens: int) -> None:
        if step == self._step:
            os.kill(os.getpid(), self._number)


def losses(name: str, ranks: Ranks, data: TokenData) -> dict[str, Any]:
    watcher = Losses()
    case = CASES[name]
    with case.backends(ranks.rank):
        record = run(spec_of(name), data, case.execution, watcher, ranks=ranks)
    return {"losses": watcher.seen, "record": record}


def stop_at_12(spec: RunSpec, data: TokenData, folder: Path, ranks: Ranks, execution: Execution) -> dict[str, Any]:
    """Checkpoints after steps 5 and 10; and the weights as the later one should have them, whole."""
    with suppress(StopError):
        run(spec, data, execution, Stop(12), folder / "run.pt", ranks=ranks)
    return whole_state(spec, data, folder / "run.pt", ranks, execution)


def whole_state(spec: RunSpec, data: TokenData, path: Path, ranks: Ranks, execution: Execution) -> dict[str, Any]:
    session, _ = open_session(spec, data, execution, resume(CheckpointFiles(path), spec.key, ranks), ranks)
    weights = {name: whole(tensor) for name, tensor in session.network.state_dict().items()}
    parts = {name: tuple(own_part(tensor).shape) for name, tensor in session.network.named_parameters()}
    rows = session.optimizer.state_dict()["state"]
    moments = {(index, name): whole(value) for index, row in rows.items() for name, value in row.items()}
    return {"weights": weights, "parts": parts, "moments": moments, "step": session.progress.step}


def whole(tensor: Any) -> Any:
    return tensor.full_tensor().clone() if hasattr(tensor, "full_tensor") else tensor.clone()


def refused(ranks: Ranks, work: Callable[[], None]) -> str:
    try:
        ranks.together(work)
    except InputError as error:
        return str(error)
    except SystemExit as end:
        return f"exit {end.code}"
    return "done"


def refuse(rank: int, ranks: Ranks) -> Callable[[], None]:
    def work() -> None:
        if ranks.rank == rank:
            raise InputError("key", rank, "is refused here alone")

    return work


def ended(spec: RunSpec, data: TokenData, folder: Path, ranks: Ranks) -> Any:
    """One process alone is asked to end, after step 7."""

    def end(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, end)
    observer = Signal(7, signal.SIGTERM) if ranks.rank == 1 else Silent()
    try:
        run(spec, data, Execution(backend="csr"), observer, folder / "run.pt", ranks=ranks)
    except SystemExit as caught:
        return caught.code
    return "ran on"


def everything(folder: Path, ranks_of: dict[str, Ranks]) -> dict[str, Any]:
    data = corpus()
    ddp, fsdp = ranks_of["ddp"], ranks_of["fsdp"]
    seen: dict[str, Any] = {name: losses(name, ranks_of[CASES[name].sharing], data) for name in CASES}
    spec, csr = spec_of("fsdp, compact weights"), Execution(backend="csr")
    seen["parts"] = stop_at_12(spec, data, folder / "parts", fsdp, csr)
    seen["whole"] = stop_at_12(spec, data, folder / "whole", ddp, csr)
    if ddp.is_first:  # as a single process left it, and on another machine's layout
        alone = folder / "alone"
        alone.mkdir()
        with suppress(StopError):
            run(spec, data, Execution(backend="masked"), Stop(12), alone / "run.pt")
    ddp.highest(0)
    seen["from alone"] = whole_state(spec, data, folder / "alone" / "run.pt", fsdp, csr)
    resumed: RunRecord = run(spec, data, csr, checkpoint=folder / "alone" / "run.pt", ranks=fsdp)
    seen["resumed from alone"] = resumed
    seen["refused by 1"], seen["refused by both"] = refused(ddp, refuse(1, ddp)), refused(ddp, refuse(ddp.rank, ddp))
    seen["refused by none"] = refused(ddp, lambda: None)
    seen["asked to end"] = ended(spec, data, folder / "ended", ddp)
    return seen


def main() -> None:
    folder = Path(sys.argv[1])
    torch.set_num_threads(1)
    with joined("ddp", "cpu") as ranks:
        seen = everything(folder, {"ddp": ranks, "fsdp": replace(ranks, sharing="fsdp")})
    torch.save(seen, folder / f"{os.environ['RANK']}.pt")


if __name__ == "__main__":
    main()
