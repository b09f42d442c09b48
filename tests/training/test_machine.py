"""Two machines have two names."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import pytest
import torch

from smupar_transfer.training import machine, machine_name


def thread(name: str, core: int | None = 0, *, family: int = 25, model: int = 17, socket: int = 0) -> str:
    """A block of the operating system's list."""
    where = "" if core is None else f"physical id\t: {socket}\ncore id\t\t: {core}\n"
    return f"cpu family\t: {family}\nmodel\t\t: {model}\nmodel name\t: {name}\ncpu MHz\t\t: 2596.1\n{where}\n"


def named(blocks: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    path = tmp_path / "processors"
    path.write_text("".join(blocks), encoding="utf-8")
    monkeypatch.setattr(machine, "PROCESSORS", path)
    return machine_name()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("AMD EPYC", "AMD EPYC (family 25, model 17), 2 cores"),
        ("AMD EPYC-Milan Processor", "AMD EPYC-Milan Processor (family 25, model 17), 2 cores"),
        ("Intel(R) Xeon(R) CPU @ 2.200GHz", "Intel(R) Xeon(R) CPU @ 2.200GHz (family 25, model 17), 2 cores"),
        ("AMD EPYC 9654 96-Core Processor", "AMD EPYC 9654 96-Core Processor, 2 cores"),
        ("Intel(R) Core(TM) i7-8700K CPU @ 3.70GHz", "Intel(R) Core(TM) i7-8700K CPU @ 3.70GHz, 2 cores"),
    ],
)
def test_a_name_that_hides_the_model_gets_its_numbers(
    name: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert named([thread(name, 0), thread(name, 1)], tmp_path, monkeypatch) == expected


def test_cores_are_counted_once_and_on_every_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    core = thread("Chip 1000", 0)
    assert named([core], tmp_path, monkeypatch) == "Chip 1000, 1 core"
    assert named([core, core], tmp_path, monkeypatch) == "Chip 1000, 1 core"
    assert named([core, thread("Chip 1000", 0, socket=1)], tmp_path, monkeypatch) == "Chip 1000, 2 cores"


def test_where_nothing_is_said_the_system_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert named([thread("Chip 1000", None)], tmp_path, monkeypatch) == "Chip 1000, 7 cores"
    monkeypatch.setattr(machine, "PROCESSORS", tmp_path / "absent")
    monkeypatch.setattr(platform, "processor", lambda: "")
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert machine_name() == "aarch64, 7 cores"
    blocks = ["processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\n\n"]
    assert named(blocks, tmp_path, monkeypatch) == "aarch64 (implementer 0x41, part 0xd0c), 7 cores"


def test_an_accelerator_has_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"model of {device}")
    assert machine_name("cuda:1") == "model of cuda:1"


@pytest.mark.parametrize(("bound", "usable"), [({0}, 1), ({0, 1, 2, 3}, 2)])
def test_a_process_that_is_bound_to_few_threads_has_no_more_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: set[int], usable: int
) -> None:
    """Two cores of two threads each."""
    blocks = [f"processor: {number}\nphysical id: 0\ncore id: {number // 2}\n" for number in range(4)]
    (tmp_path / "cpuinfo").write_text("\n".join(blocks))
    monkeypatch.setattr(machine, "PROCESSORS", tmp_path / "cpuinfo")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: bound, raising=False)
    assert machine.usable_cores() == usable
