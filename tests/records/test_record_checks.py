"""Records are not believed as they stand: each lie is told with its line, and the truth beside it is read."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from smupar_transfer.records import (
    COORDINATES_FILE,
    RECORDS_FILE,
    CoordinateRecord,
    CoordinateStore,
    CutLineWarning,
    ModuleSpec,
    RunRecord,
    RunStore,
    record_checks,
)
from smupar_transfer.records.jsons import load_json
from smupar_transfer.theory import InputError

Edit = Callable[[dict[str, Any]], object]


@pytest.fixture
def store(tmp_path: Path, record: RunRecord) -> RunStore:
    """Three gathered runs."""
    store = RunStore(tmp_path)
    for seed in range(3):
        spec = replace(record.spec, seed=seed)
        store.put(replace(record, key=spec.key, spec=spec))
    store.compact()
    return store


def edited(path: Path, number: int, edit: Edit) -> None:
    """Edit the record on a line, counted from 1, as it was before lines had a checksum."""
    lines = path.read_text().splitlines()
    content = json.loads(lines[number - 1])
    del content["checksum"]
    edit(content)
    lines[number - 1] = json.dumps(content)
    path.write_text("\n".join([*lines, ""]))


def setting(**values: Any) -> Edit:
    return lambda content: content.update(values)


LIES: dict[str, tuple[Edit, str]] = {
    "another run": (lambda content: content["spec"].update(seed=99), "and what it describes has"),
    "another key": (setting(key="0" * 16), "has key 0000000000000000, and what it describes has"),
    "a path for a key": (setting(key="../../x"), "and what it describes has"),
    "a negative loss": (setting(validation_loss=-5.0), "negative loss"),
    "a negative training loss": (setting(train_loss=-5.0), "negative loss"),
    "an infinite loss": (setting(validation_loss=float("inf")), "is no number"),
    "a loss that overflows": (lambda content: content.update(validation_loss=10**400), "int too large"),
    "no loss": (setting(validation_loss=None), "says diverged=False and validation_loss=None"),
    "a loss where there is none": (setting(diverged=True), "says diverged=True and validation_loss=2.25"),
    "a negative loss on the way": (lambda content: content["history"][0].update(validation_loss=-1.0), "negative loss"),
    "an accuracy of seven": (setting(accuracy=7.0), "accuracy outside"),
    "negative tokens": (setting(tokens=-1), "says tokens=-1"),
    "tokens beyond the budget": (setting(tokens=10**9), "its budget makes 204800"),
    "negative time": (setting(wall_seconds=-1.0), "says wall_seconds=-1.0"),
    "negative epochs": (setting(epochs=-1.0), "says epochs=-1.0"),
    "more weights than there are": (setting(nonzero_parameters=10**9), "says nonzero_parameters=1000000000"),
    "a layer of no size": (lambda content: content["layers"][0].update(size=0), "keeps 32768 of 0 weights"),
    "validations out of order": (lambda content: content["history"].reverse(), "out of order"),
    "a validation after the end": (lambda content: content["history"][1].update(step=10**6), "after the end"),
    "a copy of nothing": (setting(same_as="../../x"), "says same_as, and no key of a run"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_record_that_cannot_be_is_refused_with_its_line(store: RunStore, lie: str) -> None:
    """Each of these once went into tables and figures without a word."""
    edit, said = LIES[lie]
    path = store.folder / RECORDS_FILE
    edited(path, 2, edit)
    before = path.read_bytes()
    with pytest.raises(InputError) as caught:
        list(store)
    message = str(caught.value)
    assert message.startswith(f"results_dir={path}: line 2 ")
    assert said in message
    assert "its run is then trained again" in message
    assert len(message) <= 300
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "edit",
    [
        setting(accuracy=None, bits_per_byte=None),
        setting(train_loss=None),
        setting(diverged=True, validation_loss=None, train_loss=None, bits_per_byte=None, tokens=0, history=[]),
        setting(same_as="0123456789abcdef"),
        setting(wall_seconds=0.0, step_seconds=0.0),
    ],
)
def test_unusual_records_are_read(store: RunStore, edit: Edit) -> None:
    """The control of the test above."""
    edited(store.folder / RECORDS_FILE, 2, edit)
    assert len(list(store)) == 3


def test_a_model_of_ones_own_may_have_a_negative_loss(tmp_path: Path, record: RunRecord) -> None:
    hparams = replace(record.spec.hparams, init_std=1.0)
    spec = replace(record.spec, model=ModuleSpec(256, "ab" * 32), base_width=64, hparams=hparams)
    own = replace(record, key=spec.key, spec=spec, validation_loss=-3.0, train_loss=-2.0, bits_per_byte=None)
    RunStore(tmp_path).put(own)
    assert list(RunStore(tmp_path)) == [own]


def test_a_file_of_a_run_bears_its_key(store: RunStore, tmp_path: Path, record: RunRecord) -> None:
    other = RunStore(tmp_path / "other")
    other.put(record)
    path = other.folder / "runs" / f"{record.key}.json"
    assert len(list(other)) == 1
    shutil.move(path, path.with_name("0123456789abcdef.json"))
    with pytest.raises(InputError, match=f"its record is of run {record.key}, of which the file would have the name"):
        list(other)


def test_two_lines_of_one_run_must_tell_one_outcome(store: RunStore) -> None:
    """Guards against the last of two lines winning, as when a file was put together by hand."""
    path = store.folder / RECORDS_FILE
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, lines[0], ""]))
    assert len(list(store)) == 3, "a line that says the same is the same"
    path.write_text("\n".join([*lines, lines[0], ""]))
    edited(path, 4, setting(wall_seconds=99.0))
    assert len(list(store)) == 3, "time and machine may differ"
    path.write_text("\n".join([*lines, lines[0].replace('"validation_loss": 2.25', '"validation_loss": 0.001', 1), ""]))
    with pytest.raises(InputError, match=r"line 4 is of run [0-9a-f]{16}, of which line 1 tells another outcome"):
        list(store)


def test_a_digit_that_changed_on_a_disk_is_noticed(store: RunStore) -> None:
    """No other check could tell such a loss from a result."""
    path = store.folder / RECORDS_FILE
    path.write_text(path.read_text().replace('"validation_loss": 2.25', '"validation_loss": 2.24', 1))
    with pytest.raises(InputError, match="line 1 is not as it was written: its checksum tells so; restore it"):
        list(store)


def test_no_bit_flips_unnoticed(tmp_path: Path, record: RunRecord) -> None:
    """Whatever one bit of a file becomes, it is refused, or says what it said."""
    store = RunStore(tmp_path)
    store.put(record)
    path = tmp_path / "runs" / f"{record.key}.json"
    whole, refused = path.read_bytes(), 0
    for place in range(0, 8 * len(whole), 13):  # every byte, each at another of its bits than its neighbours
        content = bytearray(whole)
        content[place // 8] ^= 1 << place % 8
        path.write_bytes(content)
        try:
            assert store.get(record.key) == record
        except InputError:
            refused += 1
    assert refused > 0.8 * 8 * len(whole) / 13, "most of a line is no blank"


def test_other_programs_may_order_and_indent_a_record(store: RunStore) -> None:
    """The control: what is said is checked, not how it is written."""
    before = list(store)
    path = store.folder / RECORDS_FILE
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(row, sort_keys=True, separators=(",", ":")) + "\n" for row in rows))
    assert list(store) == before


def test_each_line_is_parsed_once(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading 10^5 records used to parse each of them twice."""
    parsed: list[str] = []
    load = load_json

    def counted(line: str) -> Any:
        parsed.append(line)
        return load(line)

    monkeypatch.setattr(record_checks, "load_json", counted)
    assert len(list(store)) == 3
    assert parsed == (store.folder / RECORDS_FILE).read_text().splitlines()


def test_a_line_as_it_was_written_is_not_written_again_to_be_checked(
    store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That took a fifth of the time of reading it; the control is a line in another order."""
    path = store.folder / RECORDS_FILE
    written: list[str] = []
    said = record_checks._said

    def counted(content: dict[str, Any]) -> str:
        written.append(content["key"])
        return said(content)

    monkeypatch.setattr(record_checks, "_said", counted)
    records = list(store)
    assert written == []
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(dict(reversed(row.items()))) + "\n" for row in rows))
    assert list(store) == records
    assert written == [record.key for record in records]


@pytest.mark.parametrize("order", [dict, lambda row: dict(reversed(row.items()))], ids=["as written", "another"])
def test_what_is_said_behind_the_checksum_counts(
    store: RunStore, order: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    """Of a name that comes twice, JSON's readers take the last: such a line says another loss than the one written."""
    path = store.folder / RECORDS_FILE
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    lines = [json.dumps(order(row)) for row in rows]
    path.write_text("\n".join([*lines, ""]))
    assert len(list(store)) == 3, "the control"
    path.write_text("\n".join([lines[0], lines[1][:-1] + ', "validation_loss": 0.5}', lines[2], ""]))
    with pytest.raises(InputError, match="line 2 is not as it was written"):
        list(store)


def test_records_without_a_checksum_are_read(store: RunStore) -> None:
    """Older ones have none."""
    before = list(store)
    edited(store.folder / RECORDS_FILE, 2, lambda content: None)
    assert list(store) == before


@pytest.mark.parametrize("rest", ['{"schema": 1, "key"', "{", "\0" * 100])
def test_a_last_line_that_was_cut_short_is_left_out_with_a_warning(store: RunStore, rest: str) -> None:
    """Guards against a full disk, or a copy that was interrupted, blocking a sweep and its plot."""
    path = store.folder / RECORDS_FILE
    path.write_text(path.read_text() + rest)
    with pytest.warns(CutLineWarning, match="its last line, 4, is left out"):
        assert len(list(store)) == 3
    path.write_text(rest + "\n" + path.read_text())
    with pytest.raises(InputError, match="line 1 is damaged"):
        list(store)


def test_a_whole_last_line_without_an_end_counts(store: RunStore) -> None:
    path = store.folder / RECORDS_FILE
    path.write_text(path.read_text().rstrip("\n"))
    assert len(list(store)) == 3


def test_lines_end_at_line_feeds_alone(store: RunStore) -> None:
    path = store.folder / RECORDS_FILE
    for number in (1, 2, 3):
        edited(path, number, lambda content: content["environment"].update(machine="a\u2028processor"))
    path.write_text(path.read_text().replace("\\u2028", "\u2028"))
    assert path.read_text().count("\u2028") == 3
    assert {item.environment.machine for item in store} == {"a\u2028processor"}


CHECK_LIES: dict[str, tuple[Edit, str]] = {
    "another run": (lambda content: content["spec"].update(seed=99), "and what it describes has"),
    "more losses than steps": (setting(losses=[1.0] * 9), "9 losses of 2 steps"),
    "a negative size": (lambda content: content["layers"][0].update(output=[-1.0]), "negative size"),
    "a density of two": (lambda content: content["layers"][0].update(density=2.0), "density outside"),
    "negative time": (setting(wall_seconds=-1.0), "says wall_seconds"),
}


@pytest.mark.parametrize("lie", CHECK_LIES)
def test_a_coordinate_check_that_cannot_be_is_refused(tmp_path: Path, check: CoordinateRecord, lie: str) -> None:
    store = CoordinateStore(tmp_path)
    store.put(check)
    store.compact()
    assert list(store) == [check]
    edit, said = CHECK_LIES[lie]
    edited(tmp_path / COORDINATES_FILE, 1, edit)
    with pytest.raises(InputError, match=said):
        list(store)
