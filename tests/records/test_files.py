from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import MISSING, fields, is_dataclass
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
import yaml

import smupar_transfer.records
from smupar_transfer.records import (
    Confirmation,
    CoordinateRecord,
    DataSpec,
    Design,
    GPTSpec,
    Manifest,
    ModuleSpec,
    RunFailure,
    RunRecord,
    RunSpec,
    SparsitySpec,
    Tuned,
    files,
    from_plain,
    read_text,
    to_plain,
    write_atomically,
)
from smupar_transfer.theory import BaseHyperparameters, InputError, Role
from smupar_transfer.transfer import Recipe


def parts(value: Any) -> Iterator[Any]:
    """A dataclass and all dataclasses in it."""
    if is_dataclass(value):
        yield value
        for field in fields(value):
            yield from parts(getattr(value, field.name))
    elif isinstance(value, tuple):
        for item in value:
            yield from parts(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from parts(item)


@pytest.fixture
def samples(
    record: RunRecord, check: CoordinateRecord, mlp_run: RunSpec, tuned: Tuned, recipe: Recipe, manifest: Manifest
) -> dict[type[Any], Any]:
    """One instance of each dataclass that files hold."""
    failure = RunFailure("ab" * 32, "memory ran out", "node7", 1.5e9)
    own = ModuleSpec(width=8, sha256="ab" * 32, name="task")
    again = Confirmation(5, (1, 2, 3), 2.25, 0.01, (17,))
    wholes = (record, check, mlp_run, tuned, recipe, manifest, Design(), own, failure, again)
    return {type(part): part for whole in wholes for part in parts(whole)}


def test_samples_cover_every_dataclass_of_the_layer(samples: dict[type[Any], Any]) -> None:
    """A new record type is tested by being exported."""
    exported = (getattr(smupar_transfer.records, name) for name in smupar_transfer.records.__all__)
    wanted = {kind for kind in exported if isinstance(kind, type) and is_dataclass(kind)}
    assert wanted <= set(samples)


def through_json(plain: Any) -> Any:
    return json.loads(json.dumps(plain, allow_nan=False))


def through_yaml(plain: Any) -> Any:
    return yaml.safe_load(yaml.safe_dump(plain))


@pytest.mark.parametrize("through", [lambda plain: plain, through_json, through_yaml], ids=["plain", "json", "yaml"])
def test_round_trip_of_every_dataclass(samples: dict[type[Any], Any], through: Callable[[Any], Any]) -> None:
    for kind, sample in samples.items():
        again = from_plain(through(to_plain(sample)), kind, "key", "origin")
        assert again == sample
        assert [type(item) for item in vars(again).values()] == [type(item) for item in vars(sample).values()]


def test_floats_keep_every_bit(recipe: Recipe) -> None:
    odd = DataSpec("x", "y", 1, 1, bytes_per_token=0.1 + 0.2)
    for through in (through_json, through_yaml):
        assert from_plain(through(to_plain(odd)), DataSpec, "key", "origin").bytes_per_token == 0.30000000000000004


def test_plain_data_holds_no_classes(samples: dict[type[Any], Any]) -> None:
    """Enumerations that pass for strings would make YAML write Python tags."""

    def check(value: Any) -> None:
        assert type(value) in {dict, list, tuple, str, int, float, bool, type(None)}
        for key, item in value.items() if isinstance(value, dict) else ():
            assert type(key) is str
            check(item)
        for item in value if isinstance(value, list | tuple) else ():
            check(item)

    for sample in samples.values():
        check(to_plain(sample))


def refusal(plain: Any, kind: type[Any]) -> str:
    with pytest.raises(InputError) as caught:
        from_plain(plain, kind, "key", "some/file.yaml")
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_unknown_keys_are_refused_by_name(samples: dict[type[Any], Any]) -> None:
    for kind, sample in samples.items():
        message = refusal({**to_plain(sample), "learning_rat": 1}, kind)
        assert message == "key=some/file.yaml: learning_rat: unknown"


def test_missing_keys_are_refused_by_name(samples: dict[type[Any], Any]) -> None:
    for kind, sample in samples.items():
        for field in fields(kind):
            if field.default is MISSING and field.default_factory is MISSING:
                plain = to_plain(sample)
                del plain[field.name]
                assert refusal(plain, kind) == f"key=some/file.yaml: {field.name}: missing"


def mistyped(value: Any) -> list[Any]:
    """Values that a person or another program may write in the place of ``value``, and that mean nothing there."""
    if isinstance(value, bool):
        return ["yes", 1, None]
    if isinstance(value, int):
        return ["3", 3.0, True, None, [3]]
    if isinstance(value, float):
        return ["1e-3", True, [1.0]]
    if isinstance(value, StrEnum):
        return ["nonsense", 3, None]
    if isinstance(value, str):
        return [3, 1.5, True, None, ["a"]]
    return [3, "nonsense", None] if not isinstance(value, tuple) else [3, "nonsense"]


def mistyped_fields(samples: dict[type[Any], Any]) -> Iterator[tuple[type[Any], str, Any, dict[str, Any]]]:
    for kind, sample in samples.items():
        for field in fields(kind):
            value = getattr(sample, field.name)
            optional = "None" in str(field.type)
            for wrong in mistyped(value) if value is not None else ["nonsense"]:
                if not (wrong is None and optional) and not (value is None and "str" in str(field.type)):
                    yield kind, field.name, wrong, {**to_plain(sample), field.name: wrong}


def test_mistyped_keys_are_refused_by_name(samples: dict[type[Any], Any]) -> None:
    accepted = []
    count = 0
    for kind, name, wrong, plain in mistyped_fields(samples):
        count += 1
        try:
            from_plain(plain, kind, "key", "some/file.yaml")
        except InputError as error:
            assert name in str(error).partition(": ")[2], (kind, name, wrong)  # noqa: PT017
        else:
            accepted.append((kind.__name__, name, wrong))
    assert count > 200
    assert accepted == []


def test_a_key_deep_inside_is_named_with_its_path(record: RunRecord) -> None:
    plain = through_json(to_plain(record))
    plain["spec"]["optimizer"]["beta1"] = "fast"
    assert "spec.optimizer.beta1" in refusal(plain, RunRecord)
    plain = through_json(to_plain(record))
    plain["history"][1]["step"] = "last"
    assert "history[1].step" in refusal(plain, RunRecord)


def test_a_value_out_of_range_is_refused_with_the_key_people_know(gpt_run: RunSpec) -> None:
    plain = to_plain(gpt_run)
    plain["hparams"]["learning_rate"] = -1.0
    assert refusal(plain, RunSpec).startswith("hparams.learning_rate=-1.0: must be finite")


def test_a_model_of_an_unknown_kind_is_refused(gpt_run: RunSpec) -> None:
    plain = to_plain(gpt_run)
    plain["model"]["kind"] = "rnn"
    assert "kind" in refusal(plain, RunSpec)


def test_roles_are_checked_as_keys(recipe: Recipe) -> None:
    plain = to_plain(recipe)
    plain["roles"]["bottleneck"] = plain["roles"].pop(str(Role.HIDDEN))
    assert "bottleneck" in refusal(plain, Recipe)


@pytest.mark.parametrize("content", ["text, μ\n", b"\x00\xff"])
def test_write_makes_folders_and_the_whole_file(tmp_path: Path, content: str | bytes) -> None:
    path = tmp_path / "a" / "b" / "file"
    write_atomically(path, content)
    assert path.read_bytes() == (content if isinstance(content, bytes) else content.encode())
    assert [item.name for item in path.parent.iterdir()] == ["file"]


def test_written_files_can_be_read_by_others(tmp_path: Path) -> None:
    """Guards against the private mode of temporary files staying on results that a group shares."""
    path = tmp_path / "file"
    write_atomically(path, "x")
    assert path.stat().st_mode & 0o777 == 0o644


def test_write_replaces(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, "a longer first version")
    write_atomically(path, "second")
    assert path.read_text() == "second"


@pytest.mark.parametrize("call", ["fsync", "replace", "fdopen"])
def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    path = tmp_path / "file"
    write_atomically(path, "before")

    def full(*arguments: object, **more: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, full)
        with pytest.raises(InputError, match=r"^results_dir=.*file: cannot be written: No space left on device"):
            write_atomically(path, "after")
    assert path.read_text() == "before"
    assert [item.name for item in tmp_path.iterdir()] == ["file"]
    write_atomically(path, "after")
    assert path.read_text() == "after"


def test_an_interruption_leaves_no_temporary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "file", "after")
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_place_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("not a folder")
    with pytest.raises(InputError, match="cannot be written: Not a directory"):
        write_atomically(tmp_path / "results" / "file", "x")
    assert (tmp_path / "results").read_text() == "not a folder"


def test_read_text(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes("μ".encode())
    assert read_text(path, "recipe") == "μ"


def test_what_cannot_be_read_is_told_with_key_and_path(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    for name, reason in [("absent", "No such file"), ("", "Is a directory"), ("binary", "codec can't decode")]:
        with pytest.raises(InputError, match=reason) as caught:
            read_text(tmp_path / name, "recipe")
        assert str(caught.value).startswith(f"recipe={tmp_path / name}: cannot be read: ")


def test_values_that_are_equal_and_say_different_things_are_not_shared() -> None:
    """In Python 1 is True: what was read before must not hide what is refused, and -0.0 is not 0.0."""
    plain = to_plain(GPTSpec(64, 2, 16, 256, 128, tied=True))
    assert from_plain(plain, GPTSpec, "model", "a file") is from_plain({**plain}, GPTSpec, "model", "a file")
    for name, value in (("tied", 1), ("width", True), ("width", 64.0)):
        with pytest.raises(InputError, match=name):
            from_plain({**plain, name: value}, GPTSpec, "model", "a file")
    hparams = to_plain(BaseHyperparameters(0.1, 0.1))
    read = [from_plain({**hparams, "weight_decay": zero}, BaseHyperparameters, "", "") for zero in (0.0, -0.0)]
    assert [str(each.weight_decay) for each in read] == ["0.0", "-0.0"]


def test_no_more_is_remembered_than_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MOST_SHARED", 2)
    plain = [to_plain(SparsitySpec(density)) for density in (0.1, 0.2, 0.3, 0.4, 0.1)]
    read = [from_plain(each, SparsitySpec, "sparsity", "a file") for each in plain]
    assert [spec.density for spec in read] == [0.1, 0.2, 0.3, 0.4, 0.1]
    assert read[0] is not read[-1], "forgotten between"


def test_what_is_no_plain_data_is_refused_as_before() -> None:
    """YAML reads dates."""
    with pytest.raises(InputError, match="not a number"):
        from_plain({"density": date(2026, 1, 1)}, SparsitySpec, "sparsity", "a file")
