"""Where there is no compiler, a command that trains says so in one line, and goes on."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import torch

from smupar_transfer.kernels import build
from smupar_transfer.records import RunStore
from smupar_transfer.training import Execution, kernel_fallback
from smupar_transfer.training.kernel_fallback import resolved

Run = Callable[..., CompletedProcess[str]]

COMPILER = "/nowhere/c++"
AUTO = (
    f"smupar: the C++ kernels cannot be built or loaded (there is no C++ compiler {COMPILER}; CXX may name one); "
    "sparse layers compute with expand, csr or masked, which is slower"
)
NATIVE = AUTO.replace("expand, csr or masked", "csr")
ONE = ("parametrization=smupar", "target.sparsity=0.5", "seed=0")
CHECK = """\
question: Does it measure?
expected: It does.
cost: a second
kind: coordinates
axis: sparsity
overrides: [target.width=32]
grids: [{parametrization.name: [smupar], target.sparsity: [0.0, 0.5], seed: [0, 1]}]
runs: 4
"""
DEMO = ("tuning.n_trials=1", "tuning.startup_trials=1", "target.width=32", "target.sparsity=0.5")
GRIDS = ("grids.sp=[0.0]", "grids.mup=[0.0]", "grids.smupar=[0.0]", "dense_grid=[]")
CACHES = (build.native_problem, build.native_is_available, build.machine_key, kernel_fallback._tell)


@pytest.fixture
def no_compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """What was found out about the machine is forgotten, before and after."""
    monkeypatch.setenv("CXX", COMPILER)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for cached in CACHES:
        cached.cache_clear()
    yield
    for cached in CACHES:
        cached.cache_clear()


def said(errors: str) -> list[str]:
    assert "Warning" not in errors
    return [line for line in errors.splitlines() if line.startswith("smupar:")]


@pytest.fixture
def words(tiny: tuple[str, ...], grid_file: Path, tmp_path: Path) -> dict[str, tuple[str, ...]]:
    """A small task for every command that trains."""
    check = tmp_path / "check.yaml"
    check.write_text(CHECK, encoding="utf-8")
    return {
        "train": ("train", *tiny, "target.sparsity=0.5"),
        "sweep": ("sweep", str(grid_file), *tiny, *ONE),
        "tune": ("tune", *tiny, *DEMO[:2]),
        "coordinates": ("coordinates", str(check), *tiny, "require=[]"),
        "demo": ("demo", *tiny, *DEMO, *GRIDS, "workers=1"),
    }


@pytest.mark.usefixtures("no_compiler")
@pytest.mark.parametrize(
    ("command", "backend", "line"),
    [
        *(("train", "auto", AUTO), ("train", "native", NATIVE), ("sweep", "auto", AUTO), ("sweep", "native", NATIVE)),
        *(("tune", "auto", AUTO), ("tune", "native", NATIVE), ("coordinates", "auto", AUTO)),
    ],
)
def test_a_command_says_it_once_and_nothing_where_all_is_done(
    smupar: Run, words: dict[str, tuple[str, ...]], command: str, backend: str, line: str
) -> None:
    asked = (*words[command], f"sparsity.backend={backend}")
    result = smupar(*asked)
    assert result.returncode == 0, result.stderr
    assert said(result.stderr) == [line]
    for cached in CACHES:
        cached.cache_clear()
    again = smupar(*asked)
    assert (again.returncode, said(again.stderr)) == (0, [])
    assert build.native_problem.cache_info().misses == 0, "nobody asked for the kernels"


@pytest.mark.usefixtures("no_compiler")
def test_a_command_that_trains_in_two_parts_says_it_once(smupar: Run, words: dict[str, tuple[str, ...]]) -> None:
    assert said(smupar(*words["demo"]).stderr) == [AUTO]


@pytest.mark.usefixtures("no_compiler")
@pytest.mark.parametrize("backend", ["masked", "csr"])
def test_who_asks_for_another_backend_is_not_told(smupar: Run, words: dict[str, tuple[str, ...]], backend: str) -> None:
    assert said(smupar(*words["train"], f"sparsity.backend={backend}").stderr) == []


@pytest.mark.usefixtures("no_compiler")
def test_a_plan_with_kernels_that_cannot_be_built_is_one_with_csr(smupar: Run, tiny: tuple[str, ...]) -> None:
    result = smupar("plan", *tiny, "target.width=32", "target.sparsity=0.5", "sparsity.backend=native")
    assert (result.returncode, said(result.stderr)) == (0, [NATIVE])
    assert all(" csr " in line for line in result.stdout.splitlines()[2:6])


def test_workers_say_nothing(words: dict[str, tuple[str, ...]], tmp_path: Path) -> None:
    """In processes of their own, as a person runs it: two runs on two workers."""
    asked = [word for word in words["sweep"] if not word.startswith("target.sparsity")]
    environment = {**os.environ, "CXX": COMPILER, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    command = [sys.executable, "-m", "smupar_transfer.app.main", *asked, "sparsity.backend=native", "workers=2"]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert said(result.stderr) == [NATIVE]
    runs = list(RunStore(Path("results/grid")))
    assert {(run.spec.sparsity.density, run.environment.backend) for run in runs} == {(0.5, "csr"), (1.0, "csr")}


@pytest.mark.parametrize("problem", [None, "there is none"])
def test_only_a_cpu_wants_kernels(
    problem: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(kernel_fallback, "native_problem", lambda: problem)
    kernel_fallback._tell.cache_clear()
    for execution in (Execution("cuda", "native"), Execution("cuda:1", "auto"), Execution(backend="masked")):
        assert resolved(execution) == execution
    assert capsys.readouterr().err == ""
    asked = [Execution(backend="native", threads=2), Execution(backend="native", threads=2), Execution(threads=2)]
    backends = ["native", "native", "auto"] if problem is None else ["csr", "csr", "auto"]
    assert [resolved(execution) for execution in asked] == [Execution("cpu", name, 2) for name in backends]
    assert len(capsys.readouterr().err.splitlines()) == (0 if problem is None else 2)
    kernel_fallback._tell.cache_clear()
