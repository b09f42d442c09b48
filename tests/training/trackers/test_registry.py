"""Trackers by name: those of the package, a person's own, and those that cannot be used."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import pytest

from smupar_transfer.theory import InputError
from smupar_transfer.training import Tracking, register_tracker, tracker_names
from tests.training.trackers.conftest import Recording

TOOLS = {"tensorboard": "torch.utils.tensorboard", "wandb": "wandb", "trackio": "trackio", "mlflow": "mlflow"}


def test_none_is_the_default_and_needs_nothing() -> None:
    assert Tracking().tracker == "none"
    assert tracker_names() == ["none", *TOOLS]


@pytest.mark.parametrize(("name", "hint"), [("wandv", "did you mean wandb?"), ("mine", "there are none, tensorboard")])
def test_an_unknown_name_is_refused(name: str, hint: str) -> None:
    with pytest.raises(InputError, match="is no tracker") as refused:
        Tracking(name)
    assert hint in str(refused.value)


@pytest.mark.parametrize(("name", "module"), TOOLS.items())
def test_a_missing_tool_is_refused_with_the_extra_that_brings_it(
    monkeypatch: pytest.MonkeyPatch, name: str, module: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)  # as if it were not installed
    with pytest.raises(InputError, match="tracker") as refused:
        Tracking(name)
    assert (refused.value.key, refused.value.value) == ("tracker", name)
    assert refused.value.remedy == f"run: pip install 'smupar-transfer[{name}]'"


def test_one_of_ones_own_is_known_by_its_name(recording: Recording) -> None:
    assert tracker_names()[-1] == "recording"
    register_tracker("recording", Recording())  # as a module that is imported again does


@pytest.mark.parametrize("name", ["none", "wandb", "recording"])
def test_a_name_is_not_taken_twice(recording: Recording, name: str) -> None:
    with pytest.raises(ValueError, match=f"there is another tracker '{name}' already"):
        register_tracker(name, lambda run: Recording())


def test_it_travels_to_other_processes(recording: Recording, tmp_path: Path) -> None:
    tracking = Tracking("recording", tmp_path, "trial-1")
    assert pickle.loads(pickle.dumps(tracking)) == tracking
