"""From a layer to its backend: measured once, the same for ever after."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import torch

from smupar_transfer.sparsity import Timing, Workload, calibrate, calibrate_anew, calibrated, choose_backend
from smupar_transfer.sparsity.autotune import choice
from smupar_transfer.sparsity.autotune.choice import calibration_file

WORK = Workload(64, 32, nonzero=512, full=False, tokens=256, threads=1)


class Machine:
    """Says how fast backends are, and which works it was asked for; ``busy`` times it says five times as much."""

    def __init__(self, **seconds: float) -> None:
        self.seconds, self.asked = seconds, list[Workload]()
        self.spread, self.busy, self.now = 0.0, 0, datetime.now(UTC)

    def __call__(self, workload: Workload) -> dict[str, Timing]:
        self.asked.append(workload)
        times, self.busy = 5 if self.busy else 1, max(0, self.busy - 1)
        date = self.now.isoformat()
        return {name: Timing(times * value, 0.0, 4.0, self.spread, date) for name, value in self.seconds.items()}


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


SPARSER = replace(WORK, nonzero=256)


def test_precisions_are_measured_apart(machine: Machine) -> None:
    """For ``auto`` to know which backend is fastest in each."""
    assert choose_backend(WORK) == "native"
    machine.seconds = {"masked": 0.4, "native": 0.5}
    assert choose_backend(replace(WORK, precision=torch.bfloat16)) == "masked"
    assert choose_backend(WORK) == "native"


def test_a_busy_moment_is_seen_by_layers_that_are_alike_and_does_not_stay(machine: Machine) -> None:
    choose_backend(WORK)
    machine.busy = 1
    assert calibrate(SPARSER)["native"].seconds == 0.5
    assert machine.asked == [WORK, SPARSER, SPARSER]
    assert [layer.doubt for layer in calibrated("cpu")] == ["", ""]


def test_a_busy_moment_with_nothing_alike_beside_it_is_found_out_later(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.busy = 1
    assert calibrate(SPARSER)["native"].seconds == 2.5
    calibrate(WORK)
    doubts = {layer.workload: layer.doubt for layer in calibrated("cpu")}
    assert (doubts[WORK], "5.0x that of 512 weights" in doubts[SPARSER]) == ("", True)
    monkeypatch.setattr(choice, "_MEMORY", {})  # as in another process, at once: the same answer as in the first
    assert calibrate(SPARSER)["native"].seconds == 2.5
    machine.now += timedelta(hours=2)
    monkeypatch.setattr(choice, "_MEMORY", {})
    monkeypatch.setattr("smupar_transfer.sparsity.autotune.doubt.PATIENCE", timedelta(0))
    assert calibrate(SPARSER)["native"].seconds == 0.5
    assert machine.asked == [SPARSER, WORK, SPARSER]


def test_what_looks_well_is_never_measured_again(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.now -= timedelta(days=1000)
    calibrate(WORK)
    monkeypatch.setattr(choice, "_MEMORY", {})
    calibrate(WORK)
    assert machine.asked == [WORK]


def test_what_spreads_widely_is_measured_again_an_hour_later(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.now -= timedelta(days=1)
    machine.spread = 0.5
    calibrate(WORK)
    assert machine.asked == [WORK, WORK], "at once, too"
    machine.spread = 0.0
    monkeypatch.setattr(choice, "_MEMORY", {})
    calibrate(WORK)
    assert machine.asked == [WORK] * 3
    assert [layer.doubt for layer in calibrated("cpu")] == [""]


def test_a_layer_is_measured_anew_on_demand(machine: Machine) -> None:
    calibrate(WORK)
    machine.seconds = {"masked": 0.1, "native": 0.5}
    machine.now += timedelta(minutes=1)
    calibrate_anew(WORK)
    assert choose_backend(WORK) == "masked"
    assert [layer.timings["masked"].seconds for layer in calibrated("cpu")] == [0.1]


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
