"""Passwords stay out of whatever is said."""

from __future__ import annotations

from collections.abc import Callable
from subprocess import CompletedProcess

import pytest

from smupar_transfer.app.masking import masked, secrets_of

Run = Callable[..., CompletedProcess[str]]
SECRET = "hunter2"
SHAPES = (
    "study.storage=postgresql://u:{}@h/db",
    "study.storage=postgresql+psycopg://u:{}@h:5432/db?sslmode=require",
    "study.storage=postgresql://u@h/db?password={}",
    "study.storage=postgresql://u@h/db?user=u&PASSWORD={}&a=b",
    "study.storage=mysql://:{}@h/db",
    "study.storage:postgresql://u:{}@h/db",
    "study.storag=postgresql://u:{}@h/db",
    "study.storage='postgresql://u:{}@h/db'",
    "postgresql://u:{}@h/db",
    "tuned=postgresql://u:{}@h/db",
    "xyzzy=postgresql://u:{}@h/db",
    "--storage=postgresql://u:{}@h/db",
    "+study.storage=postgresql://u:{}@h/db",
    "~study.storage=postgresql://u:{}@h/db",
    "model=postgresql://u:{}@h/db",
    "seed=postgresql://u:{}@h/db",
    "study=postgresql://u:{}@h/db",
    "study.storage = postgresql://u:{}@h/db",
)
PASSWORDS = (SECRET, "hun#ter2", "hun=ter2", "hun,ter2", "hun@ter2", "hun/ter2", "hun(ter)2", "hun ter2", "hun'ter2")


@pytest.mark.parametrize("shape", SHAPES)
def test_no_message_of_any_command_shows_a_password(smupar: Run, shape: str) -> None:
    """In the key it belongs to, in a misspelt one, and where it was never meant to be."""
    words = shape.format(SECRET).split(" = ")
    typed = words if len(words) == 1 else [words[0], "=", words[1]]
    for line in (["tune", *typed], ["tune", *typed, "--multirun", "seed=0,1"], typed):
        result = smupar(*line)
        assert result.returncode == 2
        assert SECRET not in result.stdout + result.stderr
        assert len(result.stderr.splitlines()) >= 1


@pytest.mark.parametrize("password", PASSWORDS)
def test_whatever_characters_it_has(smupar: Run, password: str) -> None:
    result = smupar("tune", f"study.storage=postgresql://u:{password}@h:port/db")
    assert result.returncode == 2
    assert "ter2" not in result.stderr, result.stderr
    assert "study.storage=postgresql://u:***@h" in result.stderr


def test_no_part_of_it_is_taken_for_a_host(smupar: Run, tiny: tuple[str, ...]) -> None:
    """What follows an @ in a password was looked up as a host, and named where there is none."""
    result = smupar("tune", *tiny, "study.storage=postgresql+psycopg://u:hun@ter2@nowhere.invalid/db")
    assert result.returncode == 2
    assert "ter2" not in result.stderr, result.stderr


def test_help_and_tracebacks_do_not_show_it_either(smupar: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from smupar_transfer.app.commands import tune

    word = f"study.storage=postgresql://u:{SECRET}@h/db"
    assert SECRET not in smupar("tune", word, "--help").stdout

    def broken(config: object) -> None:
        raise ZeroDivisionError(f"cannot connect to postgresql://u:{SECRET}@h/db")

    monkeypatch.setattr(tune, "run", broken)
    result = smupar("tune", word)
    assert result.returncode == 70
    assert "ZeroDivisionError: cannot connect to postgresql://u:***@h/db" in result.stderr
    assert SECRET not in result.stderr


def test_passwords_are_found_as_written_and_read() -> None:
    assert secrets_of([f"a=postgresql://u:{SECRET}@h/db", "seed=1"]) == [SECRET]
    assert secrets_of(["postgresql://u:a%20b%40c@h/db"]) == ["a%2520b%2540c", "a%20b%40c", "a b@c"]
    assert secrets_of(["data.path=a:b@c.txt", "sqlite:///x.db", "model.width=64"]) == []


def test_a_short_password_tears_no_words_apart() -> None:
    text = "study.storage=postgresql://u:p@h/db: cannot be opened: no password supplied"
    assert masked(text, secrets_of([text.partition(": ")[0]])) == text.replace(":p@", ":***@")


@pytest.mark.parametrize(
    "text",
    [
        "data.path=a:b@c.txt: is missing",
        "data.bytes_per_token=4.25: must be positive",
        "sqlite:///results/study.db",
        "a: b@c",
        "",
    ],
)
def test_what_is_no_password_is_shown(text: str) -> None:
    """The control: addresses without one, and other text."""
    assert masked(text, secrets_of([text])) == text


@pytest.mark.parametrize(
    "flag", [("--cfg", "job"), ("--cfg", "all"), ("--cfg", "job", "--resolve"), ("--info", "config")]
)
@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:s3cr3tPW@host/db", "postgresql://me:***@host/db"),
        ("postgresql://host/db?user=me&password=s3cr3tPW", "postgresql://host/db?user=me&password=***"),
        ("postgresql://me:${oc.env:OWN_PW}@host/db", ""),
    ],
)
def test_a_printed_configuration_has_no_password(
    smupar: Callable[..., CompletedProcess[str]],
    monkeypatch: pytest.MonkeyPatch,
    flag: tuple[str, ...],
    url: str,
    shown: str,
) -> None:
    """It ends in logs, and in questions to other people."""
    monkeypatch.setenv("OWN_PW", "s3cr3tPW")
    result = smupar("tune", *flag, f"study.storage='{url}'")
    assert result.returncode == 0, result.stderr
    assert "s3cr3tPW" not in result.stdout + result.stderr
    assert shown in result.stdout
    assert "n_trials: 40" in result.stdout, "the rest is there"
