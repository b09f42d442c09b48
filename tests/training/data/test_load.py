"""Data sets by name, and settings that do not go with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from smupar_transfer.theory import InputError
from smupar_transfer.training import DATA_NAMES, ExampleData, TokenData, load_data
from smupar_transfer.training.data import load


def test_text_and_bin_are_chosen_by_name(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(bytes(range(100)))
    text, tokens = load_data("text", str(file)), load_data("bin", str(file), bytes_per_token=2.5)
    assert isinstance(text, TokenData)
    assert isinstance(tokens, TokenData)
    assert (text.train.dtype.name, tokens.train.dtype.name) == ("uint8", "uint16")
    assert (text.spec.name, tokens.spec.name, tokens.spec.bytes_per_token) == ("text", "bin", 2.5)
    assert text.spec.sha256 == tokens.spec.sha256


def test_digits_are_chosen_by_name() -> None:
    pytest.importorskip("sklearn")
    assert isinstance(load_data("digits"), ExampleData)


def test_the_fraction_and_the_cache_are_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(load, "load_shakespeare", lambda *given: seen.append(given))
    monkeypatch.setattr(load, "load_python", lambda *given: seen.append(given))
    load_data("shakespeare", validation_fraction=0.3, cache_dir=tmp_path)
    load_data("python", validation_fraction=0.2)
    assert seen == [(0.3, tmp_path), (0.2,)]


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"^data=wikitext: is no known data set; choose from python, ") as caught:
        load_data("wikitext")
    assert all(name in str(caught.value) for name in DATA_NAMES)


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, float("nan")])
def test_a_fraction_that_leaves_a_split_empty_is_refused(fraction: float) -> None:
    with pytest.raises(InputError, match=r"^data\.validation_fraction=.*must lie in \(0, 1\)"):
        load_data("python", validation_fraction=fraction)


@pytest.mark.parametrize("name", ["text", "bin"])
def test_own_data_need_a_path(name: str) -> None:
    with pytest.raises(InputError, match=rf"^data\.path=None: is needed by data={name}"):
        load_data(name)


@pytest.mark.parametrize(
    ("name", "options", "key"),
    [
        ("python", {"path": "/data"}, "data.path"),
        ("digits", {"path": "/data"}, "data.path"),
        ("python", {"vocab_size": 50_257}, "data.vocab_size"),
        ("text", {"vocab_size": 128}, "data.vocab_size"),
        ("digits", {"vocab_size": 256}, "data.vocab_size"),
        ("shakespeare", {"bytes_per_token": 4.0}, "data.bytes_per_token"),
        ("digits", {"bytes_per_token": 1.0}, "data.bytes_per_token"),
        ("python", {"dtype": "uint16"}, "data.dtype"),
        ("text", {"dtype": "int64"}, "data.dtype"),
        ("digits", {"dtype": "uint8"}, "data.dtype"),
        ("bin", {"dtype": "float32"}, "data.dtype"),
        ("bin", {"dtype": ">u2"}, "data.dtype"),
        ("bin", {"dtype": ""}, "data.dtype"),
        ("bin", {"vocab_size": 0}, "data.vocab_size"),
        ("bin", {"bytes_per_token": 0.0}, "data.bytes_per_token"),
        ("bin", {"bytes_per_token": float("nan")}, "data.bytes_per_token"),
    ],
)
def test_settings_that_would_be_ignored_or_make_no_sense_are_refused(
    name: str, options: dict[str, Any], key: str
) -> None:
    with pytest.raises(InputError) as caught:
        load_data(name, **options)
    assert caught.value.key == key


def test_saying_that_bytes_are_bytes_is_no_mistake(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    data = load_data("text", str(tmp_path / "file"), vocab_size=256, bytes_per_token=1.0, dtype="uint8")
    assert data.spec.train_size == 9


def test_a_part_for_validation_is_refused_where_the_data_have_their_own(tmp_path: Path) -> None:
    """It was taken and did nothing."""
    for name in ("train.bin", "val.bin"):
        (tmp_path / name).write_bytes(bytes(range(256)) * 8)
    message = r"^data\.validation_fraction=0\.2: is not used by data=bin, which has a split of its own"
    with pytest.raises(InputError, match=message):
        load_data("bin", str(tmp_path), dtype="uint8", validation_fraction=0.2)
    load_data("bin", str(tmp_path), dtype="uint8")
    load_data("bin", str(tmp_path / "train.bin"), dtype="uint8", validation_fraction=0.2)
    with pytest.raises(InputError, match=r"^data\.validation_fraction=0\.2: is not used by data=digits"):
        load_data("digits", validation_fraction=0.2)
