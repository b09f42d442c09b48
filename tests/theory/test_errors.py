from __future__ import annotations

import pickle

import pytest

from smupar_transfer.theory import InputError


@pytest.mark.parametrize(
    ("value", "remedy", "message"),
    [
        ("adam", "use adamw", "optimizer.name=adam: is unknown; use adamw"),
        ("adam", "", "optimizer.name=adam: is unknown"),
        (0.5, "", "optimizer.name=0.5: is unknown"),
        (None, "", "optimizer.name=None: is unknown"),
        (("a", 1), "", "optimizer.name=('a', 1): is unknown"),
    ],
)
def test_message_names_key_value_and_way_out(value: object, remedy: str, message: str) -> None:
    assert str(InputError("optimizer.name", value, "is unknown", remedy)) == message


def test_message_is_one_line() -> None:
    assert "\n" not in str(InputError("a", "b", "c", "d"))


def test_parts_stay_readable() -> None:
    error = InputError("key", 3, "problem", "remedy")
    assert (error.key, error.value, error.problem, error.remedy) == ("key", 3, "problem", "remedy")


def test_survives_the_way_back_from_a_worker_process() -> None:
    """Guards against exceptions with several arguments, which pickle cannot rebuild by default."""
    error = InputError("data.path", ["a", 1], "is empty", "give a folder")
    copied = pickle.loads(pickle.dumps(error))
    assert type(copied) is InputError
    assert str(copied) == str(error)
    assert (copied.key, copied.value) == ("data.path", ["a", 1])


def test_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="seed=-1: must not be negative"):
        raise InputError("seed", -1, "must not be negative")
