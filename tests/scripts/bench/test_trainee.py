from __future__ import annotations

import threading
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from bench import trainee as module
from bench.cells import Cell
from bench.parts import PARTS
from bench.trainee import Trainee, forget_peak, peak_bytes, serve, storage_bytes, tensors_in
from bench.variants import Variant, make
from smupar_transfer.model import GPT

CELL = Cell(64, 0.75, 2, 8, 1)
WEIGHTS = 2 * 12 * 64 * 64  # of the sparsified layers
EXISTING = WEIGHTS // 4


@pytest.mark.parametrize("name", ["textbook", "dense", "dense_bf16", "masked", "csr"])
def test_a_step_trains(name: str) -> None:
    trainee = Trainee(name, CELL)
    before = [parameter.detach().clone() for parameter in trainee.network.parameters()]
    assert trainee.step() > 0
    after = list(trainee.network.parameters())
    assert all(not torch.equal(old, new) for old, new in zip(before, after, strict=True))


def test_variants_see_the_same_tokens_and_learn_the_same() -> None:
    """Weights after two steps of AdamW agree across ways to compute."""
    trained = []
    for name in ("masked", "csr"):
        trainee = Trainee(name, CELL)
        trainee.step()
        trainee.step()
        trained.append(trainee.network.blocks[0].mlp.up.dense_weight())  # type: ignore[union-attr, operator]
    # But for a few whose gradient is rounding and nothing else: Adam steps on its sign.
    assert float(torch.isclose(trained[0], trained[1], atol=1e-5).double().mean()) > 0.995


def test_state_of_a_dense_way_is_dense() -> None:
    trainee = Trainee("textbook", CELL)
    trainee.step()
    state = trainee.state()
    assert state.parameters == state.gradients == 4 * WEIGHTS
    assert state.structure == 8 * WEIGHTS  # a mask of floats, and the product with it
    assert 0 <= state.optimizer - 8 * WEIGHTS <= 8 * 8  # and a count of steps per tensor


def test_state_of_a_compact_way_shrinks_but_counts_its_indices() -> None:
    trainee = Trainee("csr", CELL)
    trainee.step()
    state = trainee.state()
    assert state.parameters == state.gradients == 4 * EXISTING
    assert state.optimizer < 9 * EXISTING
    assert state.structure >= 12 * EXISTING  # columns, rows and places, 4 bytes each


def test_clocks_change_nothing_and_miss_nothing() -> None:
    """The same training with clocks in it, whose parts are all there and take time."""
    plain, timed = Trainee("csr", CELL), Trainee("csr", CELL)
    split = timed.split()
    for _ in range(3):
        plain.step()
    for old, new in zip(plain.network.parameters(), timed.network.parameters(), strict=True):
        assert torch.equal(old, new)
    assert tuple(split) == PARTS
    assert min(split.values()) > 0


def test_tensors_are_found_once_through_containers_modules_and_own_objects() -> None:
    weight, buffer = nn.Parameter(torch.zeros(3)), torch.zeros(5, dtype=torch.bool)
    module = nn.Module()
    module.weight = weight
    module.register_buffer("mask", buffer)
    tensors = list(tensors_in([module, {"again": weight}, (buffer, "text")]))
    assert {id(tensor) for tensor in tensors} == {id(weight), id(buffer)}
    assert len(tensors) == 2
    assert storage_bytes([weight, weight.detach(), buffer]) == 12 + 5


def test_peak_memory_has_seen_what_was_held() -> None:
    held = torch.ones(64 * 2**20, dtype=torch.uint8)
    assert peak_bytes() > held.numel()
    del held
    assert peak_bytes() > 64 * 2**20


def served(*requests: str) -> list[Any]:
    """Answers to these requests, and the end."""
    threads = torch.get_num_threads()
    ours, theirs = Pipe()
    server = threading.Thread(target=serve, args=("csr", CELL, theirs))
    server.start()
    answers = []
    try:
        assert ours.recv() == "ready"
        for request in requests:
            ours.send(request)
            answers.append(ours.recv())
    finally:
        ours.send("end")
        server.join()
        torch.set_num_threads(threads)
    return answers


needs_reset = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peaks cannot be reset here")


@needs_reset
def test_a_peak_is_forgotten_and_what_is_held_is_not() -> None:
    held = torch.ones(64 * 2**20, dtype=torch.uint8)
    passing = [torch.ones(2**20, dtype=torch.uint8) for _ in range(256)]
    before = peak_bytes()
    del passing
    assert peak_bytes() > before - 16 * 2**20  # the system counts in pieces
    assert forget_peak()
    assert held.numel() < peak_bytes() < before - 192 * 2**20


@needs_reset
def test_what_building_takes_for_a_moment_is_no_memory_of_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def greedy(variant: Variant, cell: Cell) -> tuple[GPT, torch.optim.Optimizer]:
        torch.ones(512 * 2**20, dtype=torch.uint8)
        return make(variant, cell)

    monkeypatch.setattr(module, "make", greedy)
    ((peak, _, _),) = served("memory")
    assert peak < 256 * 2**20


def test_requests_are_answered_until_the_end() -> None:
    answers = served("turn", "memory", "split")
    step, (peak, of_training, state), split = answers
    assert step > 0
    assert peak >= 0
    assert of_training == Path("/proc/self/clear_refs").exists()
    assert state.parameters == 4 * EXISTING
    assert set(split) == set(PARTS)


def test_a_turn_is_the_median_of_a_second_without_its_first_step(monkeypatch: pytest.MonkeyPatch) -> None:
    trainee = Trainee("masked", CELL)
    seconds = iter([9.0, 0.5, 0.1, 0.2, 0.3, 7.0])
    monkeypatch.setattr(trainee, "step", lambda: next(seconds))
    assert trainee.turn() == pytest.approx((0.2 + 0.3) / 2)
    assert next(seconds) == 7.0
