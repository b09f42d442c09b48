"""Many runs: what exists is skipped, nothing is lost."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from omegaconf import DictConfig

from smupar_transfer import training
from smupar_transfer.app import config_to_spec
from smupar_transfer.app.console import watch
from smupar_transfer.records import (
    FailureStore,
    FileClaims,
    RunFailure,
    RunRecord,
    RunsFailedError,
    RunSpec,
    RunStore,
    SparsitySpec,
    store,
    trained_runs,
    write_atomically,
)
from smupar_transfer.sweeps import run_missing
from smupar_transfer.sweeps.run_missing import RunContext
from smupar_transfer.sweeps.sharing import CLAIMS_FOLDER
from smupar_transfer.theory import InputError
from smupar_transfer.training import Data, DataRequest, Execution
from tests.mortal import MortalWorker, mortal

__all__ = ["mortal"]


@pytest.fixture
def config(composed: Callable[..., DictConfig], tiny: tuple[str, ...]) -> DictConfig:
    return composed("train", *tiny)


@pytest.fixture
def request_(config: DictConfig) -> DataRequest:
    return config_to_spec.data_request(config)


@pytest.fixture
def seeds(config: DictConfig) -> list[RunSpec]:
    spec = config_to_spec.target_spec(config)
    return [replace(spec, seed=seed) for seed in (2, 0, 1)]


def test_records_come_in_the_order_of_the_specifications(
    seeds: list[RunSpec], request_: DataRequest, tmp_path: Path
) -> None:
    records = run_missing.train_missing("title", seeds, RunContext(request_, Execution(), tmp_path / "out", 1))
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
    first = run_missing.train_missing("title", seeds[:2], RunContext(request_, Execution(), tmp_path, 1, watch=watch))
    trained: list[str] = []

    def counted(spec: RunSpec, data: Data, execution: Execution, *_: object, **__: object) -> RunRecord:
        trained.append(spec.key)
        return training.run(spec, data, execution)

    monkeypatch.setattr(run_missing, "run", counted)
    capsys.readouterr()
    again = run_missing.train_missing("title", seeds, RunContext(request_, Execution(), tmp_path, 1, watch=watch))
    assert trained == [seeds[2].key]
    assert again[:2] == first
    err = capsys.readouterr().err
    assert "3/3 smupar loss" in err
    run_missing.train_missing("title", seeds, RunContext(request_, Execution(), tmp_path, 1, watch=watch))
    assert len(trained) == 1


def test_a_run_that_fails_keeps_those_before_it(
    seeds: list[RunSpec], request_: DataRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(spec: RunSpec, data: Data, execution: Execution, *_: object, **__: object) -> RunRecord:
        if spec.key == seeds[2].key:
            raise InputError("results_dir", "x", "cannot be written")
        return training.run(spec, data, execution)

    monkeypatch.setattr(run_missing, "run", failing)
    with pytest.raises(InputError, match="cannot be written"):
        run_missing.train_missing("title", seeds, RunContext(request_, Execution(), tmp_path, 1, watch=watch))
    assert RunStore(tmp_path).keys() == {seeds[0].key, seeds[1].key}


def test_two_processes_that_share_a_folder_lose_no_record(
    seeds: list[RunSpec], request_: DataRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As ``smupar train --multirun hydra/launcher=joblib`` does: each run gathers the records when it ends."""
    elsewhere = run_missing.train_missing("title", seeds, RunContext(request_, Execution(), tmp_path / "elsewhere", 1))
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


def timeless(record: RunRecord) -> RunRecord:
    return replace(record, wall_seconds=0.0, step_seconds=0.0, cpu_seconds=0.0)


def named(spec: RunSpec) -> list[RunSpec]:
    return [replace(spec, parametrization=name) for name in ("mup", "init_only", "smupar", "sp")]


def test_runs_that_compute_the_same_are_trained_once(
    seeds: list[RunSpec], request_: DataRequest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The shared record is what each of them would have come to, bit for bit, but for its time."""
    wide = [replace(spec, base_width=8) for spec in named(seeds[0])]
    records = run_missing.train_missing("title", wide, RunContext(request_, Execution(), tmp_path, 1, watch=watch))
    assert [record.same_as for record in records] == [None, wide[0].key, wide[0].key, None]
    assert [record.key for record in records] == [spec.key for spec in wide]
    assert "4/4" in capsys.readouterr().err
    alone = [training.run(spec, training.load(request_), Execution()) for spec in wide]
    assert [replace(timeless(record), same_as=None) for record in records] == [timeless(record) for record in alone]
    assert records[3].validation_loss != records[0].validation_loss
    trained = trained_runs(records)
    assert len(trained) == 2
    assert sum(record.wall_seconds for record in trained) == records[0].wall_seconds + records[3].wall_seconds


def test_where_weights_are_zero_nothing_is_shared(seeds: list[RunSpec], request_: DataRequest, tmp_path: Path) -> None:
    sparse = [replace(spec, sparsity=SparsitySpec(0.5), base_width=8) for spec in named(seeds[0])]
    records = run_missing.train_missing("title", sparse, RunContext(request_, Execution(), tmp_path, 1, watch=watch))
    assert [record.same_as for record in records] == [None] * 4
    assert len({record.train_loss for record in records}) == 4


def test_a_record_that_is_there_is_shared_and_so_is_one_of_another_result(
    seeds: list[RunSpec], request_: DataRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mup, init_only, smupar, _ = named(seeds[0])
    first = run_missing.train_missing(
        "title", [mup, init_only], RunContext(request_, Execution(), tmp_path / "first", 1)
    )
    monkeypatch.setattr(run_missing, "run", None)  # nothing more is trained
    again = run_missing.train_missing("title", [smupar], RunContext(request_, Execution(), tmp_path / "first", 1))
    assert again == [replace(first[0], key=smupar.key, spec=smupar, same_as=mup.key)]
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / store.RECORDS_FILE).write_text("{\n", encoding="utf-8")  # and is left out
    context = run_missing.RunContext(
        request_, Execution(), tmp_path / "second", 1, run_missing.other_trainings(tmp_path / "second")
    )
    copied = run_missing.train_planned("title", lambda _: [mup, smupar], 2, context)
    assert copied == [first[0], again[0]]
    assert RunStore(tmp_path / "second").keys() == {mup.key, smupar.key}


def test_a_plan_is_asked_again_until_nothing_is_missing(
    seeds: list[RunSpec], request_: DataRequest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[int] = []

    def one_more(records: Mapping[str, RunRecord]) -> list[RunSpec]:
        asked.append(len(records))
        return seeds[: len(records) + 1]

    context = run_missing.RunContext(request_, Execution(), tmp_path, 1, watch=watch)
    records = run_missing.train_planned("title", one_more, 7, context)
    assert (asked, [record.key for record in records]) == ([0, 1, 2, 3], [spec.key for spec in seeds])
    err = capsys.readouterr().err
    assert "3/3" in err
    asked.clear()
    assert run_missing.train_planned("title", one_more, 7, context) == records
    assert asked == [3]


def test_what_is_missing_of_ten_thousand_runs_is_found_at_once(
    seeds: list[RunSpec], request_: DataRequest, tmp_path: Path
) -> None:
    """All names used to be put together anew for each run, which is quadratic: a second for these."""
    record = training.run(seeds[0], training.load(request_), Execution())
    specs = [replace(seeds[0], seed=seed) for seed in range(10_000)]
    records = {spec.key: record for spec in specs}
    began = time.process_time()
    context = RunContext(request_, Execution(), tmp_path, 1)
    assert len(run_missing.train_planned("title", lambda _: specs, len(specs), context, records)) == len(specs)
    assert time.process_time() - began < 0.3


@pytest.mark.parametrize("workers", [0, -1])
def test_there_must_be_a_worker(seeds: list[RunSpec], request_: DataRequest, tmp_path: Path, workers: int) -> None:
    with pytest.raises(InputError, match=rf"^workers={workers}: must be at least 1"):
        run_missing.train_missing("title", seeds, RunContext(request_, Execution(), tmp_path / "out", workers))
    assert not (tmp_path / "out").exists()


def left_by_a_dead_command(folder: Path, key: str) -> None:
    with FileClaims(folder / CLAIMS_FOLDER) as claims:
        assert claims.take(key) is not None
        path = folder / CLAIMS_FOLDER / f"{key}.0"
        content = json.loads(path.read_text())
        machine, _, birth = content["process"].rsplit("/", 2)
        path.rename(folder / "kept")  # the end of the block releases it
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({**content, "process": f"{machine}/{2**22 + 1}/{birth}"}))
    (folder / "kept").unlink()


@pytest.mark.parametrize("given_up", [True, False])
def test_a_run_that_killed_a_process_kills_no_command_that_trains_in_its_own(
    seeds: list[RunSpec], request_: DataRequest, tmp_path: Path, mortal: type[MortalWorker], given_up: bool
) -> None:
    """With one worker each command that was given died of it again."""
    if given_up:
        FailureStore(tmp_path).put(RunFailure(seeds[1].key, "its process was killed", "node7", 1.5e9))
    else:
        left_by_a_dead_command(tmp_path, seeds[1].key)
    mortal.deadly[seeds[1].seed] = 99
    context = RunContext(request_, Execution(), tmp_path, 1)
    with pytest.raises(RunsFailedError, match=r"^1 of 3 runs failed, .*: its process was killed by SIGSEGV, 3 times; "):
        run_missing.train_missing("title", seeds, context)
    assert mortal.did == [seeds[1].seed] * 3
    assert RunStore(tmp_path).keys() == {seeds[0].key, seeds[2].key}
    mortal.deadly.clear()
    assert len(run_missing.train_missing("title", seeds, context)) == 3
    assert FailureStore(tmp_path).keys() == set()


@pytest.mark.parametrize(
    "error", [MemoryError("3 GiB"), RuntimeError("DefaultCPUAllocator: can't allocate memory: 3 GiB")]
)
def test_a_run_without_enough_memory_is_recorded_and_the_others_are_trained(
    seeds: list[RunSpec], request_: DataRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def greedy(spec: RunSpec, data: Data, execution: Execution, *_: object, **__: object) -> RunRecord:
        if spec.key == seeds[0].key:
            raise error
        return training.run(spec, data, execution)

    monkeypatch.setattr(run_missing, "run", greedy)
    with pytest.raises(RunsFailedError, match=r"^1 of 3 runs failed, .*: memory ran out: .*3 GiB; "):
        run_missing.train_missing("title", seeds, RunContext(request_, Execution(), tmp_path, 1))
    assert RunStore(tmp_path).keys() == {seeds[1].key, seeds[2].key}


def test_a_claim_on_a_run_that_has_its_record_is_cleared_away(
    seeds: list[RunSpec], request_: DataRequest, tmp_path: Path
) -> None:
    """As one is left whose command was killed, or could not write any more, just after it had stored the record."""
    context = RunContext(request_, Execution(), tmp_path, 1)
    for planned in (seeds[:2], seeds, seeds):  # the last time nothing is missing
        run_missing.train_missing("title", planned, context)
        assert not (tmp_path / CLAIMS_FOLDER).exists()
        left_by_a_dead_command(tmp_path, seeds[0].key)
