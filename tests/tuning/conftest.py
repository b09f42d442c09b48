from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from sqlalchemy import event
from sqlalchemy.engine import Engine

from smupar_transfer.records import BudgetSpec, GPTSpec, RunSpec, SparsitySpec
from smupar_transfer.theory import BaseHyperparameters, OptimizerSettings
from smupar_transfer.training import Data, DataRequest, Execution, load
from smupar_transfer.tuning import Range, Search, SearchSpace, StudySettings

MakeSearch = Callable[..., Search]


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def quick_databases() -> Iterator[None]:
    """Databases that need not survive a power cut: waiting for the disk would take most of the time."""

    def relax(connection: Any, _: object) -> None:
        if isinstance(connection, sqlite3.Connection):
            connection.execute("PRAGMA synchronous=OFF")

    event.listen(Engine, "connect", relax)
    yield
    event.remove(Engine, "connect", relax)


@pytest.fixture(scope="session")
def request_(tmp_path_factory: pytest.TempPathFactory) -> DataRequest:
    """A file, since worker processes load their data themselves."""
    file = tmp_path_factory.mktemp("corpus") / "corpus.txt"
    file.write_bytes(bytes((3 * (index // 7) + index) % 40 for index in range(2_000)))
    return DataRequest("text", str(file))


@pytest.fixture(scope="session")
def data(request_: DataRequest) -> Data:
    return load(request_)


@pytest.fixture(scope="session")
def proxy(data: Data) -> RunSpec:
    """A run of a hundredth of a second, validated after 3, 6 and 9 steps."""
    return RunSpec(
        model=GPTSpec(width=16, depth=1, head_dim=8, vocab_size=256, context=8),
        base_width=16,
        sparsity=SparsitySpec(),
        parametrization="smupar",
        hparams=BaseHyperparameters(2**-5, 0.1),
        optimizer=OptimizerSettings(),
        data=data.spec,
        budget=BudgetSpec(9, batch_size=2, sequence_length=8, evaluations=3, evaluation_batches=1),
    )


@pytest.fixture(scope="session")
def space() -> SearchSpace:
    return SearchSpace({"learning_rate": Range(2**-8, 2**-2), "init_std": Range(0.05, 0.2, log=False)})


@pytest.fixture
def storage(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/study.db"


@pytest.fixture
def make_search(proxy: RunSpec, space: SearchSpace, request_: DataRequest, storage: str) -> MakeSearch:
    """A search with these settings in place of the usual ones; 2 random trials, then the sampler's model."""

    def made(n_trials: int = 3, name: str = "study", seed: int = 0, **changes: object) -> Search:
        settings = StudySettings(name, storage, n_trials, startup_trials=2, seed=seed)
        return replace(Search(settings, proxy, space, request_, Execution()), **changes)  # type: ignore[arg-type]

    return made
