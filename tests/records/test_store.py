from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from smupar_transfer.records import RECORDS_FILE, SCHEMA_VERSION, RunRecord, RunStore, to_plain
from smupar_transfer.theory import InputError

Maker = Callable[..., RunRecord]


@pytest.fixture
def make(record: RunRecord) -> Maker:
    """Records of different runs, told apart by their seed."""

    def maker(seed: int, loss: float | None = 2.25) -> RunRecord:
        spec = replace(record.spec, seed=seed)
        return replace(record, key=spec.key, spec=spec, validation_loss=loss)

    return maker


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return RunStore(tmp_path / "results" / "sweep")


def as_line(record: RunRecord) -> str:
    return json.dumps({"schema": SCHEMA_VERSION, **to_plain(record)})


def in_order(*records: RunRecord) -> list[RunRecord]:
    return sorted(records, key=lambda record: record.key)


def test_a_store_that_does_not_exist_is_empty(store: RunStore, record: RunRecord) -> None:
    assert list(store) == []
    assert store.keys() == set()
    assert record.key not in store
    store.compact()
    assert not store.folder.exists()
    with pytest.raises(KeyError):
        store.get(record.key)


def test_put_and_find(store: RunStore, make: Maker) -> None:
    first, second = make(1), make(2)
    store.put(first)
    assert first.key in store
    assert second.key not in store
    store.put(second)
    assert store.keys() == {first.key, second.key}
    assert store.get(first.key) == first
    assert list(store) == in_order(first, second)
    assert list(RunStore(store.folder)) == in_order(first, second)


def test_an_equal_key_is_replaced(store: RunStore, make: Maker) -> None:
    store.put(make(1, loss=2.5))
    store.put(make(1, loss=2.25))
    assert [record.validation_loss for record in store] == [2.25]


def test_a_run_that_diverged_is_a_record_like_others(store: RunStore, make: Maker) -> None:
    diverged = replace(make(1, loss=None), train_loss=None, bits_per_byte=None, diverged=True)
    store.put(diverged)
    store.compact()
    assert store.get(diverged.key) == diverged


def test_an_undefined_number_is_refused_before_anything_is_written(store: RunStore, make: Maker) -> None:
    """JSON knows no NaN, so other programs could not read such a file; losses that are undefined are None."""
    with pytest.raises(ValueError, match="JSON"):
        store.put(make(1, loss=float("nan")))
    assert not store.folder.exists()


def test_compact_gathers_sorted_lines(store: RunStore, make: Maker) -> None:
    records = [make(seed) for seed in range(5)]
    for item in records:
        store.put(item)
    store.compact()
    assert [path.name for path in store.folder.iterdir()] == [RECORDS_FILE]
    lines = [json.loads(line) for line in (store.folder / RECORDS_FILE).read_text().splitlines()]
    assert [line["key"] for line in lines] == sorted(item.key for item in records)
    assert list(store) == in_order(*records)
    assert all(item.key in store and store.get(item.key) == item for item in records)


def test_columns_that_others_build_on(store: RunStore, record: RunRecord) -> None:
    """The documented shape of ``records.jsonl``: other programs read these names."""
    store.put(record)
    store.compact()
    line = json.loads((store.folder / RECORDS_FILE).read_text())
    documented = ["key", "spec", "train_loss", "validation_loss", "bits_per_byte", "diverged", "tokens", "wall_seconds"]
    assert [line[name] for name in documented] == [
        record.key, line["spec"], 2.125, 2.25, 3.246, False, 204_800, 28.5
    ]  # fmt: skip
    assert line["spec"]["hparams"]["learning_rate"] == 0.03


def test_a_sweep_goes_on_after_compaction(store: RunStore, make: Maker) -> None:
    store.put(make(1, loss=2.5))
    store.put(make(2))
    store.compact()
    store.put(make(3))
    store.put(make(1, loss=2.0))
    expected = in_order(make(1, loss=2.0), make(2), make(3))
    assert list(store) == expected
    assert store.get(make(1).key).validation_loss == 2.0
    store.compact()
    assert list(store) == expected
    assert [path.name for path in store.folder.iterdir()] == [RECORDS_FILE]


def test_compacting_twice_changes_nothing(store: RunStore, make: Maker) -> None:
    store.put(make(1))
    store.compact()
    before = (store.folder / RECORDS_FILE).read_bytes()
    store.compact()
    assert (store.folder / RECORDS_FILE).read_bytes() == before


@pytest.mark.parametrize("module", ["os", "Path"])
def test_compaction_can_be_interrupted_before_and_after_its_file_is_in_place(
    store: RunStore, make: Maker, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    store.put(make(1, loss=2.5))
    store.compact()
    store.put(make(1, loss=2.0))
    store.put(make(2))

    def interrupted(*arguments: object, **more: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        if module == "os":
            patch.setattr(os, "replace", interrupted)
        else:
            patch.setattr(Path, "unlink", interrupted)
        with pytest.raises(KeyboardInterrupt):
            store.compact()
    expected = in_order(make(1, loss=2.0), make(2))
    assert list(store) == expected
    store.compact()
    assert list(store) == expected


def test_compactions_side_by_side_lose_nothing(store: RunStore, make: Maker) -> None:
    """Guards runs of hours: two commands on one results folder both compact when they end."""

    def put_and_compact(seed: int) -> None:
        other = RunStore(store.folder)
        other.put(make(seed))
        other.compact()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put_and_compact, range(32)))
    assert list(store) == in_order(*(make(seed) for seed in range(32)))


WRITER = """
import json, os, signal, sys
from pathlib import Path
from smupar_transfer.records import RunRecord, RunStore, from_plain
if sys.argv[1] == "killed":
    os.replace = lambda *arguments: os.kill(os.getpid(), signal.SIGKILL)
store = RunStore(Path(sys.argv[2]))
for line in sys.stdin:
    store.put(from_plain(json.loads(line), RunRecord, "file", "stdin"))
"""


def start_writer(store: RunStore, mode: str, records: list[RunRecord]) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, mode, str(store.folder)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, text=True)
    assert process.stdin is not None
    process.stdin.write("".join(json.dumps(to_plain(record)) + "\n" for record in records))
    process.stdin.close()
    return process


def test_a_killed_writer_does_no_harm(store: RunStore, make: Maker) -> None:
    """Guards against half a record, or a left-over temporary file, being taken for one."""
    store.put(make(1))
    assert start_writer(store, "killed", [make(2)]).wait() == -signal.SIGKILL
    left_over = [path for path in (store.folder / "runs").iterdir() if path.name != f"{make(1).key}.json"]
    assert len(left_over) == 1
    assert store.keys() == {make(1).key}
    assert make(2).key not in store
    store.put(make(2))
    store.compact()
    assert list(store) == in_order(make(1), make(2))
    assert [path.name for path in store.folder.iterdir()] == [RECORDS_FILE], "what it left is cleared away"


def test_two_processes_write_side_by_side(store: RunStore, make: Maker) -> None:
    halves = [[make(seed) for seed in seeds] for seeds in (range(20), range(20, 40))]
    processes = [start_writer(store, "whole", half) for half in halves]
    assert [process.wait() for process in processes] == [0, 0]
    assert list(store) == in_order(*halves[0], *halves[1])


GATHERER = """
import json, sys
from pathlib import Path
from smupar_transfer.records import RunRecord, RunStore, from_plain
store = RunStore(Path(sys.argv[1]))
for number, line in enumerate(sys.stdin):
    store.put(from_plain(json.loads(line), RunRecord, "file", "stdin"))
    if number % 3 == 2:
        store.compact()
"""


def test_two_machines_with_temporary_folders_of_their_own_lose_no_record(
    store: RunStore, make: Maker, tmp_path: Path
) -> None:
    """The lock used to lie in the machine's own temporary folder: 1 to 11 of 120 records were lost without a word."""
    halves = [[make(seed) for seed in seeds] for seeds in (range(60), range(60, 120))]
    processes: list[subprocess.Popen[str]] = []
    for half in halves:
        own = tmp_path / f"tmp{len(processes)}"
        own.mkdir()
        command = [sys.executable, "-c", GATHERER, str(store.folder)]
        environment = {**os.environ, "TMPDIR": str(own)}
        process = subprocess.Popen(command, stdin=subprocess.PIPE, text=True, env=environment)
        assert process.stdin is not None
        process.stdin.write("".join(json.dumps(to_plain(record)) + "\n" for record in half))
        processes.append(process)
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
    assert [process.wait() for process in processes] == [0, 0]
    assert list(store) == in_order(*halves[0], *halves[1])
    assert [path.name for path in store.folder.iterdir()] == [RECORDS_FILE]


def test_what_is_gathered_while_keys_are_read_is_not_missed(
    store: RunStore, make: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys of the gathered file used to be read first, so that records which moved into it were in neither."""
    store.put(make(1))
    read = RunStore._gathered

    def gathered_by_another(self: RunStore) -> dict[str, str]:
        monkeypatch.setattr(RunStore, "_gathered", read)
        before = read(self)
        RunStore(store.folder).compact()
        return before if self._pending_keys() else read(self)

    monkeypatch.setattr(RunStore, "_gathered", gathered_by_another)
    assert store.keys() == {make(1).key}


def test_another_users_records_in_a_folder_of_theirs_are_told_in_one_line(
    store: RunStore, make: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put(make(1))

    unlink = Path.unlink

    def forbidden(self: Path, missing_ok: bool = False) -> None:
        if self.parent.name == "runs":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        unlink(self, missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", forbidden)
        with pytest.raises(InputError, match=r"^results_dir=.*cannot be removed: Permission denied; no record is lost"):
            store.compact()
    assert list(store) == [make(1)]


DAMAGE: dict[str, Callable[[str], str]] = {
    "cut short": lambda line: line[: len(line) // 2],
    "not JSON": lambda line: "<html>",
    "a list": lambda line: "[]",
    "no key": lambda line: json.dumps({name: item for name, item in json.loads(line).items() if name != "key"}),
    "no loss": lambda line: json.dumps({**json.loads(line), "validation_loss": "low"}),
    "another schema": lambda line: json.dumps({**json.loads(line), "schema": SCHEMA_VERSION + 1}),
    "5,000 digits": lambda line: line.replace('"tokens": ', '"tokens": ' + "9" * 5000),
    "nested deeply": lambda line: "[" * 100_000,
    "not a number": lambda line: json.dumps({**json.loads(line), "validation_loss": float("nan")}),
    "no schema": lambda line: json.dumps({name: item for name, item in json.loads(line).items() if name != "schema"}),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("gathered", [True, False], ids=["gathered", "pending"])
def test_a_damaged_record_is_told_with_its_file(store: RunStore, make: Maker, gathered: bool, damage: str) -> None:
    good, bad = make(1), make(2)
    store.put(good)
    path = store.folder / "runs" / f"{bad.key}.json"
    if gathered:
        store.compact()
        path = store.folder / RECORDS_FILE
    content = (path.read_text() if gathered else "") + DAMAGE[damage](as_line(bad)) + "\n"
    path.write_text(content)
    with pytest.raises(InputError) as caught:
        list(store)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    store.put(make(3))  # something to gather
    with pytest.raises(InputError):
        store.compact()
    assert path.read_text() == content


def test_a_record_that_cannot_be_read_is_told_with_its_file(store: RunStore, make: Maker) -> None:
    """Guards against a traceback of the operating system's; a folder in the place of the file stands for all causes."""
    path = store.folder / "runs" / f"{make(1).key}.json"
    path.mkdir(parents=True)
    with pytest.raises(InputError, match="cannot be read") as caught:
        store.get(make(1).key)
    assert str(path) in str(caught.value)


def test_the_same_record_undamaged_is_read(store: RunStore, make: Maker) -> None:
    """The control of the test above."""
    store.put(make(1))
    store.compact()
    path = store.folder / RECORDS_FILE
    path.write_text(path.read_text() + as_line(make(2)) + "\n\n")
    assert list(store) == in_order(make(1), make(2))


def test_a_schema_of_another_version_says_what_to_do(store: RunStore, make: Maker) -> None:
    store.folder.mkdir(parents=True)
    (store.folder / RECORDS_FILE).write_text(DAMAGE["another schema"](as_line(make(1))))
    with pytest.raises(InputError, match=f"not of schema {SCHEMA_VERSION}; move it away"):
        store.keys()


def test_a_folder_that_cannot_be_written(tmp_path: Path, make: Maker) -> None:
    (tmp_path / "results").write_text("a file")
    with pytest.raises(InputError, match=r"^results_dir=.*cannot be written"):
        RunStore(tmp_path / "results").put(make(1))
    assert (tmp_path / "results").read_text() == "a file"


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_every_record(
    store: RunStore, make: Maker, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    store.put(make(1))
    store.compact()
    store.put(make(2))

    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, full)
        for item in (make(3), make(1, loss=9.0)):
            with pytest.raises(InputError, match="No space left on device"):
                store.put(item)
        with pytest.raises(InputError, match="No space left on device"):
            store.compact()
    assert list(store) == in_order(make(1), make(2))
    assert {path.name for path in store.folder.iterdir()} == {RECORDS_FILE, "runs"}
    assert [path.name for path in (store.folder / "runs").iterdir()] == [f"{make(2).key}.json"]


def test_what_records_have_in_common_is_one_object(store: RunStore, make: Maker) -> None:
    """Guards against the time and memory of 10^5 specifications that differ in their seed."""
    for seed in range(5):
        store.put(make(seed))
    store.compact()
    records = list(store)
    assert len({record.key for record in records}) == 5
    for part in ("model", "sparsity", "hparams", "optimizer", "data", "budget"):
        assert len({id(getattr(record.spec, part)) for record in records}) == 1, part
    assert len({id(record.environment) for record in records}) == 1
    assert len({id(layer) for record in records for layer in record.layers}) == len({*records[0].layers})
