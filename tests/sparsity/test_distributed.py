"""Sparse layers in two processes that share their gradients (DistributedDataParallel over gloo)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import os, sys
import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel
from smupar_transfer.sparsity import SparseLinear, computing_backend, named_generator

rank, meeting = int(sys.argv[1]), sys.argv[2]
distributed.init_process_group("gloo", init_method="file://" + meeting, rank=rank, world_size=2)

def layer(name, backend, fan_in, fan_out):
    made = SparseLinear(fan_in, fan_out, bias=True, density=0.3, backend=backend)
    made.draw_mask(named_generator(0, "mask", name))
    made.set_weight(torch.randn(fan_out, fan_in, generator=named_generator(0, "weight", name)))
    nn.init.zeros_(made.bias)
    return made

def gradients(network, inputs, module=None):
    network.zero_grad()
    (module or network)(inputs).square().mean().backward()
    return [parameter.grad.clone() for parameter in network.parameters()]

inputs = torch.randn(10, 20, generator=named_generator(0, "test", "inputs"))
for backend in sys.argv[3:]:
    assert computing_backend(backend) == backend
    network = nn.Sequential(layer("first", backend, 20, 33), nn.GELU(), layer("second", backend, 33, 5))
    whole, half = gradients(network, inputs), gradients(network, inputs[rank::2])
    shared = gradients(network, inputs[rank::2], DistributedDataParallel(network))
    torch.testing.assert_close(shared, whole)
    assert not any(map(torch.allclose, half, whole)), "each process alone has other gradients"
distributed.barrier()
distributed.destroy_process_group()
os._exit(0)  # past the end of PyTorch's own threads, some of which at times abort there
"""


@pytest.mark.usefixtures("needs_compiler")
def test_gradients_are_the_mean_over_both_halves_of_a_batch(tmp_path: Path) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(rank), str(tmp_path / "meeting"), "masked", "expand", "csr", "native"],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
