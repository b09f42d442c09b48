"""From a layer to its backend: measured once, the same for ever after."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from smupar_transfer.sparsity import Timing, Workload, calibrate, choose_backend
from smupar_transfer.sparsity.autotune import choice
from smupar_transfer.sparsity.autotune.choice import calibration_file

WORK = Workload(64, 32, nonzero=512, full=False, tokens=256, threads=1)


class Machine:
    """Says how fast backends are, and which works it was asked for."""

    def __init__(self, **seconds: float) -> None:
        self.seconds, self.asked = seconds, list[Workload]()

    def __call__(self, workload: Workload) -> dict[str, Timing]:
        self.asked.append(workload)
        return {name: Timing(value, 0.0, 4.0) for name, value in self.seconds.items()}


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Machine:
    made = Machine(masked=1.0, native=0.5)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(choice, "measure", made)
    monkeypatch.setattr(choice, "_MEMORY", {})
    return made


def test_the_cache_is_the_users_and_of_one_machine(machine: Machine, tmp_path: Path) -> None:
    path = calibration_file("cpu")
    assert path.parent == tmp_path / "smupar_transfer" / "calibration"
    assert path == calibration_file("cpu")


def test_the_kernels_name_the_file_on_the_cpu_alone(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "machine_key", lambda *, kernels, blocking: f"kernels {kernels}")
    assert [calibration_file(device).name for device in ("cpu", "cuda")] == [
        "kernels True-3.json",
        "kernels False-3.json",
    ]


def test_near_layers_are_measured_once_a_machine(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose_backend(WORK) == choose_backend(replace(WORK, tokens=300)) == "native"
    assert machine.asked == [WORK]
    monkeypatch.setattr(choice, "_MEMORY", {})  # as in another process
    machine.seconds = {"masked": 1.0, "native": 2.0}  # in another mood
    assert choose_backend(WORK) == "native"
    assert machine.asked == [WORK]


def test_other_layers_are_measured_apart(machine: Machine) -> None:
    choose_backend(WORK)
    machine.seconds = {"masked": 1.0, "native": 2.0}
    assert choose_backend(replace(WORK, fan_in=64)) == "masked"
    assert choose_backend(WORK) == "native"


def test_a_full_mask_is_dense_without_measuring(machine: Machine) -> None:
    assert choose_backend(replace(WORK, full=True)) == "dense"
    assert machine.asked == []
    calibrate(replace(WORK, full=True))
    assert len(machine.asked) == 1
