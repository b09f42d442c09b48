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


def bomb(depth: int) -> list[object]:
    """A list that would take 9 ** depth values to write out."""
    value: list[object] = ["x"] * 9
    for _ in range(depth):
        value = [value] * 9
    return value


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(bomb(9), id="alias bomb"),
        pytest.param({str(index): index for index in range(10_000)}, id="many keys"),
        pytest.param(10**5000, id="whole number that repr refuses"),
        pytest.param(-(16**5000), id="negative whole number that repr refuses"),
        pytest.param(b"\xff" * 10_000, id="bytes"),
        pytest.param(["a\nb"], id="line break inside"),
    ],
)
def test_a_value_that_is_large_or_deep_takes_a_line_of_the_message(value: object) -> None:
    message = str(InputError("key", value, "is no number"))
    assert len(message) < 120
    assert "\n" not in message
    assert message.endswith(": is no number")


def test_a_small_value_is_shown_whole() -> None:
    """The control of the test above."""
    assert str(InputError("key", {"b": [1, 2.5], "a": None}, "is odd")).startswith("key={")
    assert "[1, 2.5]" in str(InputError("key", {"b": [1, 2.5], "a": None}, "is odd"))
    assert str(InputError("key", 2**63, "is large")) == "key=9223372036854775808: is large"


def test_text_is_shown_on_one_line_and_long_text_without_its_middle() -> None:
    assert str(InputError("name", "a\r\nb\x1b[31m\u2028c", "is odd")) == r"name=a\r\nb\x1b[31m\u2028c: is odd"
    path = "/".join(["folder"] * 36)
    assert str(InputError("data.path", path, "is missing")) == f"data.path={path}: is missing"
    message = str(InputError("data.path", f"start{'x' * 10_000}end", "is missing"))
    assert message.startswith("data.path=startxxx")
    assert message.endswith("xxxend: is missing")
    assert len(message) < 400


@pytest.mark.parametrize(
    ("key", "value", "problem", "remedy"),
    [
        ("key", "x" * 5000, "p" * 5000, "r" * 5000),
        ("key", "x" * 40, "p" * 5000, ""),
        ("k" * 5000, 1, "is wrong", "do it otherwise"),
        ("key", "\n" * 5000, "\n" * 5000, "\x1b" * 5000),
        ("key", {"x" * 500: "y" * 500}, "p" * 250, "r" * 250),
    ],
)
def test_a_message_has_at_most_300_characters(key: str, value: object, problem: str, remedy: str) -> None:
    """With the name of the program before it; what is short is kept whole."""
    message = f"smupar: {InputError(key, value, problem, remedy)}"
    assert len(message) <= 300
    assert message.isprintable()
    for part in (key, problem, remedy):
        assert len(part) > 100 or part in message


def test_a_message_that_fits_is_not_cut() -> None:
    """The control of the test above."""
    value, problem, remedy = "x" * 150, "p" * 80, "r" * 40
    assert str(InputError("key", value, problem, remedy)) == f"key={value}: {problem}; {remedy}"
