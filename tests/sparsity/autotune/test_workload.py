"""Works that are near enough share one measurement; others do not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from smupar_transfer.sparsity import DENSE, Workload

WORK = Workload(64, 32, nonzero=512, full=False, tokens=256, threads=1)


@pytest.mark.parametrize(
    "near", [{"nonzero": 480}, {"nonzero": 550}, {"tokens": 200}, {"tokens": 350}, {"nonzero": 540, "tokens": 300}]
)
def test_near_works_share_a_measurement(near: dict[str, Any]) -> None:
    assert replace(WORK, **near).on_grid() == WORK.on_grid() == WORK


@pytest.mark.parametrize(
    "far",
    [
        {"nonzero": 400},
        {"nonzero": 620},
        {"tokens": 128},
        {"tokens": 400},
        {"fan_out": 65},
        {"fan_in": 33},
        {"threads": 2},
        {"dtype": torch.float64},
        {"precision": torch.bfloat16},
        {"full": True},
    ],
)
def test_what_changes_the_speed_is_measured_apart(far: dict[str, Any]) -> None:
    assert str(replace(WORK, **far).on_grid()) != str(WORK.on_grid())


@pytest.mark.parametrize("nonzero", [0, 1, 2000, 2047, 2048])
@pytest.mark.parametrize("tokens", [0, 1])
def test_the_grid_has_no_holes(nonzero: int, tokens: int) -> None:
    nearest = replace(WORK, nonzero=nonzero, tokens=tokens).on_grid()
    assert 1 <= nearest.nonzero <= nearest.size
    assert nearest.tokens == 1
    assert nearest.on_grid() == nearest


def test_the_grid_is_never_further_than_an_eighth_of_an_octave() -> None:
    size = 1024 * 1024
    for nonzero in range(1000, size, 9973):
        nearest = Workload(1024, 1024, nonzero, False, 1, 1).on_grid()
        assert 2**-0.13 < nearest.nonzero / nonzero < 2**0.13


@pytest.mark.usefixtures("needs_compiler")
@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ("masked", "expand", "native", "csr")),
        ({"dtype": torch.float64}, ("masked", "expand", "csr")),
        ({"dtype": torch.bfloat16}, ("masked", "expand")),
        ({"device": "cuda"}, ("masked", "expand", "csr")),
        ({"full": True}, (DENSE,)),
    ],
)
def test_only_what_can_compute_is_a_candidate(changes: dict[str, Any], expected: tuple[str, ...]) -> None:
    assert replace(WORK, **changes).candidates() == expected


def test_without_kernels_they_are_no_candidate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smupar_transfer.sparsity.autotune.workload.native_problem", lambda: "no compiler")
    assert WORK.candidates() == ("masked", "expand", "csr")


@pytest.mark.parametrize(
    "changes",
    [{}, {"full": True, "nonzero": 64 * 32}, {"threads": 12}, {"dtype": torch.float64, "precision": torch.bfloat16}],
)
def test_a_work_is_read_off_its_text(changes: dict[str, Any]) -> None:
    work = replace(WORK, **changes)
    assert Workload.read(str(work)) == work


@pytest.mark.parametrize(
    ("old", "new"), [("64x", "x"), ("torch.float32", "torch.sin"), ("1 threads", "model of cuda"), (" tokens", "")]
)
def test_other_texts_are_none(old: str, new: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert Workload.read(str(WORK).replace(old, new)) is None


def test_works_of_an_accelerator_are_read_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a model")
    text = str(replace(WORK, device="cuda"))
    assert Workload.read(text) == replace(WORK, device="cuda")
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "another model")
    assert Workload.read(text) is None


@pytest.mark.parametrize(("device", "where"), [("cpu", "1 threads"), ("cuda:7", "cuda:7"), ("meta", "meta")])
def test_a_device_that_is_not_here_has_its_name_too(device: str, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "get_device_name", None)
    assert str(replace(WORK, device=device)).endswith(f"float32, {where}")


def test_accelerators_are_told_apart_by_their_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"model of {device}")
    assert str(replace(WORK, device="cuda:1")).endswith("float32, model of cuda:1")
