"""The processes that train one network together."""

from __future__ import annotations

import os
import re
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist

from smupar_transfer.theory import InputError

DDP, FSDP = "ddp", "fsdp"
SHARINGS = (DDP, FSDP)
"""How processes share a network: each holds all of it, or each holds a part of every tensor."""
LAUNCHED = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
"""Variables of the environment that torchrun sets for each process."""
HOW = "start it with: torchrun --nproc-per-node=N -m smupar_transfer train ..."

GONE = re.compile(r"gloo|nccl|connection (closed|reset|refused)|broken pipe|timed? ?out", re.IGNORECASE)
"""What errors say that come of another process's end."""

Result = TypeVar("Result")


@dataclass(frozen=True)
class Ranks:
    """This process among those that train one network; by itself unless ``joined`` says otherwise.

    Every method but the properties is a meeting: all processes have to call it, in the same order.

    Attributes:
        rank: The number of this process, from 0.
        size: The number of processes.
        sharing: One of ``SHARINGS``; empty for a process that trains by itself.
        device: The device of this process: "cpu" or "cuda:N".
    """

    rank: int = 0
    size: int = 1
    sharing: str = ""
    device: str = "cpu"

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes and prints."""
        return self.rank == 0

    @property
    def is_alone(self) -> bool:
        """Whether nobody else has to be asked."""
        return not self.sharing

    @property
    def description(self) -> str:
        """How the network is shared, and by what processes talk, as records name it; empty for one by itself."""
        return "" if self.is_alone else f"{self.sharing} over {'nccl' if self.device.startswith('cuda') else 'gloo'}"

    def sums(self, values: Sequence[float]) -> list[float]:
        """The sum of each value over all processes, the same to the last bit in all of them."""
        if self.is_alone:
            return list(values)
        total = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(total)
        return [float(value) for value in total]

    def highest(self, number: int) -> int:
        """The largest number of any process."""
        if self.is_alone:
            return number
        largest = torch.tensor(number)
        dist.all_reduce(largest, dist.ReduceOp.MAX)
        return int(largest)

    def shared(self, value: Result) -> Result:
        """The value of the first process."""
        if self.is_alone:
            return value
        values = [value]
        dist.broadcast_object_list(values)
        return values[0]

    def gathered(self, value: Result) -> list[Result]:
        """The values of all processes, by rank."""
        if self.is_alone:
            return [value]
        values: list[Result] = [value] * self.size
        dist.all_gather_object(values, value)
        return values

    def together(self, work: Callable[[], Result]) -> Result:
        """Do something in all processes that may be refused in some: then all end, and the first says why.

        Raises:
            InputError: in the first process, what the first of them that was refused raised.
            SystemExit: in the others.
        """
        if self.is_alone:
            return work()
        result: list[Result] = []
        problem: InputError | None = None
        try:
            result.append(work())
        except InputError as error:
            problem = error
        refused = next((error for error in self.gathered(problem) if error is not None), None)
        if refused is None:
            return result[0]
        if self.is_first:
            raise refused
        # without a word, which the first has, and with the code of every refusal
        raise SystemExit(2)

    def by_first(self, work: Callable[[], Result]) -> Result:
        """Do something in the first process alone, for all.

        Raises:
            InputError: see ``together``.
            SystemExit: see ``together``.
        """
        return self.shared(self.together(lambda: work() if self.is_first else None))  # type: ignore[return-value]


ALONE = Ranks()


def is_launched() -> bool:
    """Whether torchrun, or whatever sets the same variables, started this process."""
    return all(name in os.environ for name in LAUNCHED)


@contextmanager
def joined(sharing: str | None, device: str) -> Iterator[Ranks]:
    """Meet the other processes of a run that torchrun started, for as long as the block lasts.

    Args:
        sharing: One of ``SHARINGS``; None is ``ddp`` under torchrun.
        device: The device that a person chose: "cpu" or "cuda". Each process takes an accelerator of its own.

    Raises:
        InputError: there is no such sharing, torchrun did not start this process, there are fewer accelerators than
            processes, or another process went away.
    """
    if sharing is not None and sharing not in SHARINGS:
        raise InputError("distributed", sharing, f"is not one of {', '.join(SHARINGS)}")
    if not is_launched():
        if sharing is not None:
            raise InputError("distributed", sharing, "is for several processes", HOW)
        yield ALONE
        return
    ranks = Ranks(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]), sharing or DDP, _own_device(device))
    with _loss_told(ranks):
        # gloo always: numbers and objects that processes agree on lie on the CPU
        dist.init_process_group("gloo" if ranks.device == "cpu" else "cpu:gloo,cuda:nccl")
        try:
            yield ranks
        except BaseException:
            # torchrun tells all to end when one does: this one does so already, and has its own exit code
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
            raise
        finally:
            dist.destroy_process_group()


def _own_device(device: str) -> str:
    if not device.startswith("cuda"):
        return device
    index, count = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
    if index >= count:
        problem = f"has {count} accelerators here, and process {index} needs one of its own"
        raise InputError("device", device, problem, f"use torchrun --nproc-per-node={max(1, count)}")
    torch.cuda.set_device(index)
    return f"cuda:{index}"


@contextmanager
def _loss_told(ranks: Ranks) -> Iterator[None]:
    """Say in a line that another process is gone: what talks to it raises errors of many kinds."""
    try:
        yield
    except NotImplementedError as error:  # also a RuntimeError
        if ranks.sharing != FSDP:
            raise
        problem = f"cannot do what this run needs: {str(error).partition(chr(10))[0]}"
        raise InputError("distributed", FSDP, problem, f"use distributed={DDP}") from error
    except RuntimeError as error:
        if not isinstance(error, dist.DistError) and GONE.search(str(error)) is None:
            raise
        problem = "lost another process of the run, which ended or cannot be reached"
        remedy = "run the same command again to go on from the last checkpoint"
        raise InputError("distributed", f"{ranks.sharing}, process {ranks.rank}", problem, remedy) from error
