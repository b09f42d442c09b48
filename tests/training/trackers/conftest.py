from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from smupar_transfer.records import GPTSpec, RunSpec
from smupar_transfer.training import RunState, TrackedRun, Tracking, register_tracker
from smupar_transfer.training.trackers import guard, registry


@dataclass
class Recording:
    """Notes down what a tracker is told, and fails where it is told to."""

    fails_in: str = ""
    error: BaseException = field(default_factory=lambda: ConnectionError("the server is gone"))
    runs: list[TrackedRun] = field(default_factory=list)
    calls: list[tuple[Any, ...]] = field(default_factory=list)

    def __call__(self, run: TrackedRun) -> Recording:
        self.runs.append(run)
        return self

    def _note(self, *call: Any) -> None:
        self.calls.append(call)
        if call[0] == self.fails_in:
            raise self.error

    def start(self, config: Mapping[str, object]) -> None:
        self._note("start", dict(config))

    def log(self, values: Mapping[str, float], step: int) -> None:
        self._note("log", dict(values), step)

    def finish(self, state: RunState) -> None:
        self._note("finish", state)

    @property
    def named(self) -> list[str]:
        """Names of the calls."""
        return [call[0] for call in self.calls]

    def values(self, key: str) -> dict[int, float]:
        """What was logged under a key, by step."""
        return {call[2]: call[1][key] for call in self.calls if call[0] == "log" and key in call[1]}


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """No tracker of another test is registered, and nothing was told yet."""
    monkeypatch.setattr(registry, "_FACTORIES", dict(registry._FACTORIES))
    monkeypatch.setattr(guard, "_told", set())


@pytest.fixture(scope="session")
def spec(spec: RunSpec) -> RunSpec:
    """A run with parameters of every role."""
    assert isinstance(spec.model, GPTSpec)
    return replace(spec, model=replace(spec.model, tied=False))


@pytest.fixture
def recording(fresh: None) -> Recording:
    tracker = Recording()
    register_tracker("recording", tracker)
    return tracker


@pytest.fixture
def tracking(recording: Recording, tmp_path: Path) -> Tracking:
    return Tracking("recording", tmp_path / "results" / "mine")


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Callable[..., ModuleType]:
    """Put a module with some attributes in the place of a tool."""

    def put(name: str, **attributes: Any) -> ModuleType:
        made = ModuleType(name)
        vars(made).update(attributes)
        monkeypatch.setitem(sys.modules, name, made)
        return made

    return put
