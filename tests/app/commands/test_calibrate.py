"""``smupar calibrate``: what was measured is shown; what is missing, in doubt or asked for is measured."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from smupar_transfer.sparsity import Timing, Workload
from smupar_transfer.sparsity.autotune import choice

Run = Callable[..., CompletedProcess[str]]


class Machine:
    """Measures nothing, and says how often it was asked."""

    def __init__(self) -> None:
        self.asked, self.spread = list[str](), 0.0

    def __call__(self, workload: Workload) -> dict[str, Timing]:
        self.asked.append(f"{workload.fan_out}x{workload.fan_in}")
        date = f"2026-01-{len(self.asked):02}T00:00:00+00:00"
        names = ("dense",) if workload.full else ("masked", "expand", "native")
        return {name: Timing(0.001 * len(name), 0.0, 4.0, self.spread, date) for name in names}


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Machine:
    made = Machine()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(choice, "measure", made)
    monkeypatch.setattr(choice, "_MEMORY", {})
    monkeypatch.setattr(choice, "machine_key", lambda **_: "machine")
    return made


@pytest.fixture
def words(tiny: tuple[str, ...]) -> tuple[str, ...]:
    return "calibrate", *tiny, "target.width=32", "target.sparsity=0.75"


LAYERS = ["96x32", "32x32", "128x32", "32x128"]


def test_layers_of_the_target_are_measured_once_and_shown(
    smupar: Run, machine: Machine, words: tuple[str, ...], tmp_path: Path
) -> None:
    first, second = smupar(*words), smupar(*words)
    assert (first.returncode, second.returncode, second.stderr) == (0, 0, "")
    assert machine.asked == LAYERS
    lines = second.stdout.splitlines()
    assert lines[0] == "milliseconds of a training step of one layer: float32, 1 thread"
    assert lines[1].split() == [
        "layer",
        "density",
        "tokens",
        "dense",
        "masked",
        "expand",
        "csr",
        "native",
        "takes",
        "spread",
        "measured",
    ]
    assert ["128x32", "0.25", "32", "6", "6", "6", "masked", "0%", "2026-01-03"] in [line.split() for line in lines]
    assert "4 layers of " in lines[-2]
    assert lines[-2].endswith(", 0 measured now")
    assert lines[-1] == f"kept in {tmp_path}/cache/smupar_transfer/calibration/machine-3.json"
    assert max(map(len, lines[:-1])) <= 100


@pytest.mark.parametrize("fresh", ["--fresh", "fresh=true"])
def test_all_is_measured_anew_on_demand(smupar: Run, machine: Machine, words: tuple[str, ...], fresh: str) -> None:
    smupar(*words)
    result = smupar(*words, fresh)
    assert (result.returncode, len(machine.asked)) == (0, 8)
    assert sorted(machine.asked) == sorted(LAYERS * 2)
    assert "4 layers of" in result.stdout
    assert ", 4 measured now" in result.stdout


def test_what_is_in_doubt_is_measured_again(
    smupar: Run, machine: Machine, words: tuple[str, ...], tmp_path: Path
) -> None:
    smupar(*words)
    file = tmp_path / "cache" / "smupar_transfer" / "calibration" / "machine-3.json"
    content = json.loads(file.read_text())
    spoilt = next(key for key in content if key.startswith("96x32"))
    content[spoilt]["native"]["spread"] = 0.7
    file.write_text(json.dumps(content))
    machine.spread = 0.3
    result = smupar(*words)
    assert machine.asked[4:] == ["96x32"]
    assert "in doubt: 96x32, 768 weights, 32 tokens" in result.stdout
    assert ": spread of 30%; the next smupar calibrate measures it again" in result.stdout
    machine.spread = 0.0
    assert "in doubt" not in smupar(*words).stdout
    assert "in doubt" not in smupar(*words).stdout


def test_precisions_have_tables_of_their_own(smupar: Run, machine: Machine, words: tuple[str, ...]) -> None:
    smupar(*words)
    lines = smupar(*words, "precision=bfloat16").stdout.splitlines()
    titles = [line for line in lines if line.startswith("milliseconds")]
    told = ["weights in float32, products in bfloat16, 1 thread", "float32, 1 thread"]
    assert [line.partition(": ")[2] for line in titles] == told


def test_other_commands_know_no_such_flag(smupar: Run, tiny: tuple[str, ...]) -> None:
    assert smupar("plan", *tiny, "--fresh").returncode == 2
