"""Which word a person may have meant."""

from __future__ import annotations

from smupar_transfer.sweeps.sweep import key_of
from smupar_transfer.theory import did_you_mean


def test_the_nearest_word_is_asked_for_and_a_far_one_is_not() -> None:
    assert did_you_mean("swep", ["plan", "sweep"], "choose") == "did you mean sweep?"
    assert did_you_mean("xyzzy", ["plan", "sweep"], "choose one of plan, sweep") == "choose one of plan, sweep"
    assert did_you_mean("swep", [], "none") == "none"


def test_the_key_of_a_setting_is_read_whatever_stands_before_it() -> None:
    assert {key_of(word) for word in ("a.b=1", "+a.b=x=1", "++a.b=", "~a.b")} == {"a.b"}
