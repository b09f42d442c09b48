"""A program that trains planned networks in two processes: ``python -m tests.transfer.two_processes RANK FOLDER``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict
from torch.distributed.checkpoint.state_dict_loader import load as read
from torch.distributed.checkpoint.state_dict_saver import save as write
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from smupar_transfer.theory import InputError
from smupar_transfer.transfer import Plan
from tests.transfer.networks import batch, loss_of, planned

KIND, GLOBAL_BATCH, STEPS, SAVED_AT, LARGEST_NORM = "transformer", 8, 4, 2, 0.05
PROCESSES = 2


def double(seed: int = 0, **options: Any) -> tuple[Plan, Any]:
    """A planned network in double precision, so that sums in another order differ by next to nothing."""
    made, network = planned(KIND, seed=seed, **options)
    return made, network.double()


def optimizer_of(made: Plan, network: nn.Module) -> Optimizer:
    """The optimizer that all trainings here have."""
    return torch.optim.AdamW(made.groups(network))


def train(network: nn.Module, optimizer: Optimizer, steps: range, rank: int = 0, processes: int = 1) -> list[float]:
    """Steps on this process' part of the same global batches; the norms of gradients before they were clipped."""
    norms = []
    size = GLOBAL_BATCH // processes
    for step in steps:
        optimizer.zero_grad()
        part = batch(KIND, seed=step, size=GLOBAL_BATCH)[rank * size : (rank + 1) * size]
        (network(part).sub(1).square().mean()).backward()
        norm: Any = nn.utils.clip_grad_norm_(network.parameters(), LARGEST_NORM)
        norms.append(float(norm.full_tensor() if hasattr(norm, "full_tensor") else norm))
        optimizer.step()
    return norms


def whole(network: nn.Module) -> dict[str, torch.Tensor]:
    """Everything that a network holds, gathered, by names without wrappers."""
    values = {}
    for name, value in network.state_dict().items():
        gathered: Any = value
        name = name.removeprefix("module.").replace("_checkpoint_wrapped_module.", "")
        values[name] = (gathered.full_tensor() if hasattr(gathered, "full_tensor") else gathered).clone()
    return values


def data_parallel(network: nn.Module) -> nn.Module:
    return DistributedDataParallel(network)


def sharded(network: Any, **options: Any) -> Any:
    mesh = init_device_mesh("cpu", (PROCESSES,))
    network.blocks = nn.ModuleList(checkpoint_wrapper(block) for block in network.blocks)
    for block in network.blocks:
        fully_shard(block, mesh=mesh, **options)
    return fully_shard(network, mesh=mesh)


def stored(network: nn.Module, optimizer: Optimizer) -> dict[str, Any]:
    """What ``torch.distributed.checkpoint`` writes and reads."""
    model, moments = get_state_dict(network, optimizer)
    return {"model": model, "optimizer": moments}


def load(network: nn.Module, optimizer: Optimizer, folder: Path) -> None:
    """Go on from a distributed checkpoint."""
    parts = stored(network, optimizer)
    read(parts, checkpoint_id=folder)
    set_state_dict(network, optimizer, model_state_dict=parts["model"], optim_state_dict=parts["optimizer"])


def _trained(wrap: Callable[[Any], Any], rank: int) -> dict[str, Any]:
    made, network = double()
    wrapped = wrap(network)
    optimizer = optimizer_of(made, wrapped)
    norms = train(wrapped, optimizer, range(STEPS), rank, PROCESSES)
    made.check(optimizer)
    return {"state": whole(wrapped), "norms": norms}


def _saved_and_resumed(rank: int, folder: Path) -> dict[str, Any]:
    made, network = double()
    network = sharded(network)
    optimizer = optimizer_of(made, network)
    train(network, optimizer, range(SAVED_AT), rank, PROCESSES)
    write(stored(network, optimizer), checkpoint_id=folder)
    again, fresh = double(seed=3)
    fresh = sharded(fresh)
    resumed = optimizer_of(again, fresh)
    load(fresh, resumed, folder)
    norms = train(fresh, resumed, range(SAVED_AT, STEPS), rank, PROCESSES)
    other, stranger = double(density=0.5)
    stranger = sharded(stranger)
    try:
        load(stranger, optimizer_of(other, stranger), folder)
    except InputError as error:
        return {"state": whole(fresh), "norms": norms, "refusal": str(error)}
    return {"state": whole(fresh), "norms": norms, "refusal": ""}


def _updated(rank: int) -> dict[str, Any]:
    """Masks that change in training, in shards."""
    made, network = double()
    network = sharded(network)
    optimizer = optimizer_of(made, network)
    train(network, optimizer, range(2), rank, PROCESSES)
    exchange(network)
    made = made.update_(network, optimizer)
    norms = train(network, optimizer, range(2, STEPS), rank, PROCESSES)
    made.check(optimizer)
    return {"state": whole(network), "norms": norms}


def exchange(network: nn.Module) -> None:
    """Keep other and more weights of one layer."""
    (mask,) = [value for name, value in network.named_buffers() if "blocks.0" in name and "up.weight_mask" in name]
    mask.copy_(torch.arange(mask.numel()).view(mask.shape) % 3 != 0)


def _evaluated_before_a_step(rank: int) -> float:
    """The largest weight off the masks, where a forward pass gathers weights between a backward pass and a step."""
    made, network = double()
    network = sharded(network, reshard_after_forward=False)
    optimizer = optimizer_of(made, network)
    loss_of(network(batch(KIND, seed=rank))).backward()  # type: ignore[no-untyped-call]
    with torch.no_grad():
        network(batch(KIND, seed=rank))
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                parameter.grad.add_(1)
    optimizer.step()
    for module in network.modules():
        if hasattr(module, "reshard"):
            module.reshard()
    values = whole(network)
    return max(
        float(values[name.removesuffix("_mask")][~mask].abs().max())
        for name, mask in values.items()
        if name.endswith("weight_mask")
    )


def main(rank: int, folder: Path) -> None:
    """Do everything, and have the first process write down what came out."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=PROCESSES)
    results = {
        "data parallel": _trained(data_parallel, rank),
        "sharded": _trained(sharded, rank),
        "resumed": _saved_and_resumed(rank, folder / "checkpoint"),
        "updated": _updated(rank),
        "evaluated": _evaluated_before_a_step(rank),
    }
    if rank == 0:
        torch.save(results, folder / "results.pt")
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
