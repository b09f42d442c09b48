"""Data are loaded once per process."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from smupar_transfer.theory import InputError
from smupar_transfer.training import DataRequest, TokenData, load


def test_equal_requests_share_their_data(tmp_path: Path) -> None:
    file = tmp_path / "corpus.txt"
    file.write_bytes(bytes(range(100)))
    request = DataRequest("text", str(file), validation_fraction=0.25)
    data = load(request)
    file.unlink()
    assert load(pickle.loads(pickle.dumps(request))) is data
    assert isinstance(data, TokenData)
    assert (len(data.train), len(data.validation)) == (75, 25)


def test_every_setting_of_a_request_reaches_the_data(tmp_path: Path) -> None:
    file = tmp_path / "corpus.bin"
    file.write_bytes(bytes(200))
    data = load(DataRequest("bin", str(file), vocab_size=50, bytes_per_token=3.5, validation_fraction=0.5))
    assert isinstance(data, TokenData)
    assert data.vocab_size == 50
    assert (data.spec.bytes_per_token, data.spec.train_size) == (3.5, 50)


def test_the_type_of_ids_reaches_the_data(tmp_path: Path) -> None:
    file = tmp_path / "corpus.bin"
    file.write_bytes(bytes(200))
    data = load(DataRequest("bin", str(file), dtype="int64"))
    assert isinstance(data, TokenData)
    assert (data.train.dtype.name, data.spec.train_size + data.spec.validation_size) == ("int64", 25)


def test_what_cannot_be_loaded_is_an_input_error() -> None:
    with pytest.raises(InputError, match="data=nonsense"):
        load(DataRequest("nonsense"))
