"""Planned networks train in two processes as in one: replicated, sharded, saved and resumed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist

if not (dist.is_available() and dist.is_gloo_available()):
    pytest.skip("torch was built without gloo", allow_module_level=True)

from tests.transfer import two_processes as program

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 120


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where two processes have left what came out."""
    folder = tmp_path_factory.mktemp("two")
    command = [sys.executable, "-W", "ignore", "-m", program.__name__]
    outputs = [(folder / f"{rank}.txt").open("w") for rank in range(program.PROCESSES)]
    processes = [
        subprocess.Popen([*command, str(rank), str(folder)], cwd=ROOT, stdout=output, stderr=output)
        for rank, output in enumerate(outputs)
    ]
    try:
        codes = [process.wait(SECONDS) for process in processes]
    finally:
        for process, output in zip(processes, outputs, strict=True):
            process.kill()
            process.wait()
            output.close()
    said = "\n".join((folder / f"{rank}.txt").read_text() for rank in range(program.PROCESSES))
    assert codes == [0] * program.PROCESSES, said
    return folder


@pytest.fixture(scope="module")
def results(folder: Path) -> dict[str, Any]:
    """What came out."""
    return torch.load(folder / "results.pt")  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def alone() -> dict[str, Any]:
    """The same training in one process."""
    made, network = program.double()
    norms = program.train(network, program.optimizer_of(made, network), range(program.STEPS))
    return {"state": program.whole(network), "norms": norms}


def _require_same(ours: dict[str, Any], theirs: dict[str, Any], first_step: int = 0) -> None:
    assert ours["norms"] == pytest.approx(theirs["norms"][first_step:], rel=1e-7)
    assert all(norm > program.LARGEST_NORM for norm in ours["norms"])
    assert ours["state"].keys() == theirs["state"].keys()
    for name, value in theirs["state"].items():
        torch.testing.assert_close(ours["state"][name], value, rtol=1e-6, atol=1e-9, msg=name)
        if name.endswith("weight_mask"):
            assert not value.all()
            assert ours["state"][name.removesuffix("_mask")][~value].count_nonzero() == 0


@pytest.mark.parametrize("way", ["data parallel", "sharded"])
def test_two_processes_train_as_one_does(way: str, results: dict[str, Any], alone: dict[str, Any]) -> None:
    _require_same(results[way], alone)


def test_a_sharded_training_goes_on_from_its_checkpoint(results: dict[str, Any], alone: dict[str, Any]) -> None:
    _require_same(results["resumed"], alone, first_step=program.SAVED_AT)


def test_a_sharded_checkpoint_of_another_plan_is_refused(results: dict[str, Any]) -> None:
    assert "is of another plan" in results["resumed"]["refusal"]


@pytest.mark.filterwarnings("ignore:torch.distributed is disabled:UserWarning")
def test_one_process_goes_on_where_two_stopped(folder: Path, alone: dict[str, Any]) -> None:
    made, network = program.double(seed=4)
    optimizer = program.optimizer_of(made, network)
    program.load(network, optimizer, folder / "checkpoint")
    norms = program.train(network, optimizer, range(program.SAVED_AT, program.STEPS))
    _require_same({"state": program.whole(network), "norms": norms}, alone, first_step=program.SAVED_AT)


def test_masks_that_change_in_shards_change_as_in_one_process(results: dict[str, Any]) -> None:
    made, network = program.double()
    optimizer = program.optimizer_of(made, network)
    program.train(network, optimizer, range(2))
    program.exchange(network)
    made.update_(network, optimizer)
    norms = program.train(network, optimizer, range(2, program.STEPS))
    _require_same(results["updated"], {"state": program.whole(network), "norms": norms})


def test_masks_hold_in_shards_whose_weights_are_gathered_while_the_optimizer_steps(results: dict[str, Any]) -> None:
    assert results["evaluated"] == 0
