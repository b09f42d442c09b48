"""Processes that train one network do everything together, and end together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist

from smupar_transfer.theory import InputError
from smupar_transfer.training import ALONE, Ranks, joined, read_checkpoint
from smupar_transfer.training.distributed.ranks import LAUNCHED, _loss_told

Seen = list[dict[str, Any]]


def test_what_one_process_refuses_ends_all_and_the_first_says_it(seen: Seen) -> None:
    """Each would print the line otherwise, or wait for ever for the one that ended."""
    assert [process["refused by 1"] for process in seen] == ["key=1: is refused here alone", "exit 2"]
    assert [process["refused by both"] for process in seen] == ["key=0: is refused here alone", "exit 2"]
    assert [process["refused by none"] for process in seen] == ["done", "done"]


def test_a_signal_to_one_process_ends_all_after_one_checkpoint(seen: Seen, folder: Path) -> None:
    assert [process["asked to end"] for process in seen] == [143, 143]
    assert read_checkpoint(folder / "ended" / "run.pt")["progress"]["step"] == 7
    assert sorted(path.name for path in (folder / "ended").iterdir()) == ["run.1.pt", "run.pt"]


def test_alone_nobody_is_asked() -> None:
    assert ALONE.sums([1.5, 2.0]) == [1.5, 2.0]
    assert ALONE.highest(3) == 3
    assert (ALONE.shared("x"), ALONE.gathered("x")) == ("x", ["x"])
    assert ALONE.by_first(lambda: 5) == ALONE.together(lambda: 5) == 5
    assert (ALONE.is_first, ALONE.is_alone, ALONE.description) == (True, True, "")


def test_accelerators_talk_by_nccl() -> None:
    assert Ranks(0, 2, "fsdp", "cuda:0").description == "fsdp over nccl"


@pytest.fixture
def unlaunched(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in LAUNCHED:
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_without_torchrun_a_process_is_alone(unlaunched: pytest.MonkeyPatch) -> None:
    with joined(None, "cpu") as ranks:
        assert ranks is ALONE
        assert not dist.is_initialized()


@pytest.mark.parametrize("sharing", ["ddp", "fsdp"])
def test_a_person_who_forgets_torchrun_is_told(unlaunched: pytest.MonkeyPatch, sharing: str) -> None:
    with pytest.raises(InputError, match=f"distributed={sharing}: is for several processes; start it with: torchrun"):
        with_joined(sharing, "cpu")


def test_an_unknown_way_to_share_is_refused() -> None:
    with pytest.raises(InputError, match="distributed=zero: is not one of ddp, fsdp"):
        with_joined("zero", "cpu")


def test_more_processes_than_accelerators_are_refused(unlaunched: pytest.MonkeyPatch) -> None:
    for name in LAUNCHED:
        unlaunched.setenv(name, "3")
    unlaunched.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(InputError, match=r"device=cuda: has 2 accelerators .* use torchrun --nproc-per-node=2"):
        with_joined(None, "cuda")


def with_joined(sharing: str | None, device: str) -> None:
    with joined(sharing, device):
        raise AssertionError


@pytest.mark.parametrize(
    "message",
    [
        "[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:553] Connection closed by peer [127.0.0.1]:9",
        "NCCL error: remote process exited or there was a network error",
    ],
)
def test_the_loss_of_a_process_is_a_line(message: str) -> None:
    with pytest.raises(InputError, match=r"distributed=ddp, process 1: lost another process .* run the same command"):
        raising(RuntimeError(message), Ranks(1, 2, "ddp"))


def test_other_errors_are_not_taken_for_it() -> None:
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        raising(RuntimeError("shapes cannot be multiplied"), Ranks(1, 2, "ddp"))


def test_what_cannot_be_done_with_shards_is_a_line() -> None:
    error = NotImplementedError("Operator x has no sharding strategy\nmore")
    with pytest.raises(InputError, match=r"cannot do what this run needs: Operator x .*; use distributed=ddp"):
        raising(error, Ranks(0, 2, "fsdp"))
    with pytest.raises(NotImplementedError):
        raising(error, Ranks(0, 2, "ddp"))


def raising(error: Exception, ranks: Ranks) -> None:
    with _loss_told(ranks):
        raise error
