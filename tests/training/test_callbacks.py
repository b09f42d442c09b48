"""Watching is optional, and an observer can end a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from smupar_transfer.records import Evaluation, RunSpec
from smupar_transfer.training import Observer, Silent, TokenData, run


class EnoughError(Exception):
    pass


class Impatient(Silent):
    def on_evaluation(self, evaluation: Evaluation) -> None:
        raise EnoughError


def test_an_exception_of_an_observer_ends_the_run(spec: RunSpec, corpus: TokenData, tmp_path: Path) -> None:
    observer: Observer = Impatient()
    with pytest.raises(EnoughError):
        run(spec, corpus, observer=observer, checkpoint=tmp_path / "run.pt")
    assert not (tmp_path / "run.pt").exists()


def test_a_silent_observer_changes_nothing(spec: RunSpec, corpus: TokenData) -> None:
    assert run(spec, corpus, observer=Silent()).history == run(spec, corpus).history
