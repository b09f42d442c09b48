"""A tiny network on a tiny corpus, a finished set of results to start from, and a clean process around every call."""

from __future__ import annotations

import contextlib
import gc
import io
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from smupar_transfer.app import config_to_spec, schema
from smupar_transfer.app.main import main
from smupar_transfer.sweeps import shipped
from tests.model.conftest import source, target

__all__ = ["source", "target"]

ROOT = Path(__file__).resolve().parents[2]

SHAPE = ("model.width=16", "model.head_dim=8", "model.depth=1")
BUDGET = (
    "budget.steps=4",
    "budget.warmup_steps=1",
    "budget.batch_size=2",
    "budget.sequence_length=16",
    "budget.evaluation_batches=2",
    "budget.evaluations=3",
)
GRID = """\
    question: Does a grid of a dozen tiny runs work?
    expected: It does.
    cost: a second
    overrides: [target.width=32]
    grids:
      - parametrization.name: [sp, smupar]
        target.sparsity: [0.0, 0.5]
        hparams.learning_rate: {log2: {first: -8, last: -6, step: 1}}
        seed: [0]
    runs: 12
"""
ADAPTIVE = """\
    question: Does an adaptive grid of tiny runs work?
    expected: It does.
    cost: a second
    overrides: [target.width=16, target.sparsity=0]
    adaptive:
      key: hparams.learning_rate
      log2: {first: -8, last: -5, step: 0.5}
      coarse: 2
      reach: 1
    grids:
      - parametrization.name: [sp, mup, smupar]
        seed: [1, 0]
    runs: 42
"""


def call(*words: str) -> int:
    """The exit code of a command in this process."""
    try:
        return main(words)
    except SystemExit as ending:  # argparse ends --help and unknown flags this way
        return int(ending.code or 0)


def write_corpus(path: Path) -> Path:
    path.write_bytes(bytes(random.Random(0).choices(b"abcdefgh \n", k=4000)))
    return path


@contextlib.contextmanager
def same_process_state() -> Iterator[None]:
    arguments, environment = sys.argv, dict(os.environ)
    try:
        yield
    finally:
        sys.argv = arguments
        os.environ.clear()
        os.environ.update(environment)
        GlobalHydra.instance().clear()
        HydraConfig.instance().cfg = None  # else words of the last command count as those of the next composition


@pytest.fixture(autouse=True, scope="session")
def frozen_imports() -> Iterator[None]:
    """Spare the garbage collector what torch and the rest leave behind: composing a configuration wakes it often."""
    import torch  # noqa: F401

    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def one_core(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests run side by side, and threads that wait for each other's cores take many times as long as one."""
    monkeypatch.setattr(config_to_spec, "usable_cores", lambda: 1)


@pytest.fixture(autouse=True)
def process_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever a command leaves behind in this process, the next test does not see it."""
    monkeypatch.chdir(tmp_path)
    with same_process_state():
        yield


@pytest.fixture
def smupar(capsys: pytest.CaptureFixture[str]) -> Callable[..., CompletedProcess[str]]:
    """Run a command in this process: exit code, standard output, standard error."""

    def run(*words: str) -> CompletedProcess[str]:
        capsys.readouterr()
        code = call(*words)
        captured = capsys.readouterr()
        return CompletedProcess(words, code, captured.out, captured.err)

    return run


@pytest.fixture
def python(tmp_path: Path) -> Callable[..., CompletedProcess[str]]:
    """Run a fresh interpreter on ``python(*arguments)`` in the test's folder."""

    def run(*arguments: str) -> CompletedProcess[str]:
        return subprocess.run([sys.executable, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)

    return run


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return write_corpus(tmp_path / "corpus.txt")


@pytest.fixture
def data(corpus: Path) -> tuple[str, ...]:
    return ("data=text", f"data.path={corpus}")


@pytest.fixture
def tiny(data: tuple[str, ...]) -> tuple[str, ...]:
    """A run of a few milliseconds."""
    return (*SHAPE, *BUDGET, *data)


@pytest.fixture
def grid_file(tmp_path: Path) -> Path:
    """A person's own sweep of 12 runs."""
    path = tmp_path / "grid.yaml"
    path.write_text(textwrap.dedent(GRID), encoding="utf-8")
    return path


@pytest.fixture
def adaptive_file(tmp_path: Path) -> Path:
    """A person's own adaptive sweep: dense, so that muP and SuPar are one."""
    path = tmp_path / "adaptive.yaml"
    path.write_text(textwrap.dedent(ADAPTIVE), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of ``train``, ``transfer``, ``tune`` and of the sweep in ``grid_file``, each made once."""
    folder = tmp_path_factory.mktemp("finished")
    results, sweep = folder / "results", folder / "grid.yaml"
    sweep.write_text(textwrap.dedent(GRID), encoding="utf-8")
    corpus = write_corpus(folder / "corpus.txt")
    words = (*SHAPE, *BUDGET, "data=text", f"data.path={corpus}", f"results_dir={results}")
    with same_process_state(), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        assert call("train", *words) == 0
        assert call("transfer", *words, "target.width=64", "target.sparsity=0.75") == 0
        assert call("tune", *words, "tuning.n_trials=2", "tuning.startup_trials=1") == 0
        assert call("sweep", str(sweep), *words) == 0
    return results


@pytest.fixture
def results(finished: Path, tmp_path: Path) -> Path:
    """A copy of ``finished`` where commands look by default, with a file that is nobody's business."""
    copy = shutil.copytree(finished, tmp_path / "results")
    (copy / "notes.txt").write_text("mine\n", encoding="utf-8")
    return copy


@pytest.fixture
def snapshot() -> Callable[[Path], dict[str, bytes]]:
    """Every file below a folder, hidden ones too, byte for byte; of a database what it holds."""

    def content(path: Path) -> bytes:
        if path.suffix != ".db":
            return path.read_bytes()
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            return "\n".join(database.iterdump()).encode()

    def read(folder: Path) -> dict[str, bytes]:
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        return {str(path.relative_to(folder)): content(path) for path in files}

    return read


@pytest.fixture
def composed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., DictConfig]]:
    """Compose a command's configuration without running the command."""
    from hydra import compose, initialize_config_dir

    monkeypatch.setenv("SMUPAR_SWEEPS", str(shipped.SWEEPS))
    schema.register()
    with initialize_config_dir(config_dir=str(shipped.CONF), version_base="1.3"):
        yield lambda command, *words: compose(command, overrides=list(words))
