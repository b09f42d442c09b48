"""Many runs: what exists is skipped, nothing is lost."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from omegaconf import DictConfig

from smupar_transfer import training
from smupar_transfer.app import runs, specs
from smupar_transfer.records import RunRecord, RunSpec, RunStore, store, write_atomically
from smupar_transfer.theory import InputError
from smupar_transfer.training import Data, DataRequest, Execution


@pytest.fixture
def config(composed: Callable[..., DictConfig], tiny: tuple[str, ...]) -> DictConfig:
    return composed("train", *tiny)


@pytest.fixture
def request_(config: DictConfig) -> DataRequest:
    return specs.data_request(config)


@pytest.fixture
def seeds(config: DictConfig) -> list[RunSpec]:
    spec = specs.target_spec(config)
    return [replace(spec, seed=seed) for seed in (2, 0, 1)]


def test_records_come_in_the_order_of_the_specifications(
    seeds: list[RunSpec], request_: DataRequest, tmp_path: Path
) -> None:
    records = runs.train_missing("title", seeds, request_, Execution(), tmp_path / "out", 1)
    assert [record.key for record in records] == [spec.key for spec in seeds]
    assert len((tmp_path / "out" / store.RECORDS_FILE).read_text().splitlines()) == 3
    assert not (tmp_path / "out" / store.PENDING_FOLDER).exists()


def test_only_missing_runs_are_trained(
    seeds: list[RunSpec],
    request_: DataRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    first = runs.train_missing("title", seeds[:2], request_, Execution(), tmp_path, 1)
    trained: list[str] = []

    def counted(spec: RunSpec, data: Data, execution: Execution) -> RunRecord:
        trained.append(spec.key)
        return training.run(spec, data, execution)

    monkeypatch.setattr(runs, "run", counted)
    capsys.readouterr()
    again = runs.train_missing("title", seeds, request_, Execution(), tmp_path, 1)
    assert trained == [seeds[2].key]
    assert again[:2] == first
    err = capsys.readouterr().err
    assert "3/3 smupar loss" in err
    runs.train_missing("title", seeds, request_, Execution(), tmp_path, 1)
    assert len(trained) == 1


def test_a_run_that_fails_keeps_those_before_it(
    seeds: list[RunSpec], request_: DataRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(spec: RunSpec, data: Data, execution: Execution) -> RunRecord:
        if spec.key == seeds[2].key:
            raise InputError("results_dir", "x", "cannot be written")
        return training.run(spec, data, execution)

    monkeypatch.setattr(runs, "run", failing)
    with pytest.raises(InputError, match="cannot be written"):
        runs.train_missing("title", seeds, request_, Execution(), tmp_path, 1)
    assert RunStore(tmp_path).keys() == {seeds[0].key, seeds[1].key}


def test_two_processes_that_share_a_folder_lose_no_record(
    seeds: list[RunSpec], request_: DataRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As ``smupar train --multirun hydra/launcher=joblib`` does: each run gathers the records when it ends."""
    elsewhere = runs.train_missing("title", seeds, request_, Execution(), tmp_path / "elsewhere", 1)
    shared = RunStore(tmp_path / "shared")
    shared.put(elsewhere[0])

    def other_process() -> None:
        other = RunStore(shared.folder)
        other.put(elsewhere[1])
        other.compact()

    thread = threading.Thread(target=other_process)

    def interrupted_by_the_other(path: Path, content: str | bytes) -> None:
        monkeypatch.setattr(store, "write_atomically", write_atomically)
        thread.start()
        thread.join(timeout=0.5)  # it may well wait for this one to end
        write_atomically(path, content)

    monkeypatch.setattr(store, "write_atomically", interrupted_by_the_other)
    shared.compact()
    thread.join()
    assert RunStore(shared.folder).keys() == {elsewhere[0].key, elsewhere[1].key}


@pytest.mark.parametrize("workers", [0, -1])
def test_there_must_be_a_worker(seeds: list[RunSpec], request_: DataRequest, tmp_path: Path, workers: int) -> None:
    with pytest.raises(InputError, match=rf"^workers={workers}: must be at least 1"):
        runs.train_missing("title", seeds, request_, Execution(), tmp_path / "out", workers)
    assert not (tmp_path / "out").exists()
