"""A run as trackers know it, and what helps them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from smupar_transfer.training.trackers.base import TrackedRun, flat


def test_a_run_that_goes_on_keeps_its_identity_and_no_other_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = TrackedRun.of("trial-1", "abc", tmp_path / "proxy", 0)
    assert re.fullmatch(r"[0-9a-f]{16}", first.identity)
    assert TrackedRun.of("trial-1", "abc", tmp_path / "proxy", 70).identity == first.identity
    monkeypatch.chdir(tmp_path)
    assert TrackedRun.of("trial-1", "abc", Path("proxy"), 0).identity == first.identity
    others = [("trial-2", "abc", "proxy"), ("trial-1", "abd", "proxy"), ("trial-1", "abc", "other")]
    assert first.identity not in {
        TrackedRun.of(name, key, tmp_path / folder, 0).identity for name, key, folder in others
    }


def test_runs_of_a_result_are_a_group(tmp_path: Path) -> None:
    run = TrackedRun("a", "1", tmp_path / "lr_by_width")
    assert run.group == "lr_by_width"
    assert run.files == tmp_path / "lr_by_width" / "trackers"


def test_nested_data_become_dotted_keys() -> None:
    assert flat({"a": 1, "b": {"c": None, "d": {"e": [1, 2]}}, "f": {}}) == {"a": 1, "b.c": None, "b.d.e": [1, 2]}
