"""Coordinate checks on disk: apart from runs, as whole as they are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from smupar_transfer.records import (
    COORDINATES_FILE,
    RECORDS_FILE,
    CoordinateRecord,
    CoordinateStore,
    Environment,
    LayerSizes,
    RunRecord,
    RunSpec,
    RunStore,
)
from smupar_transfer.theory import InputError


@pytest.fixture
def check(gpt_run: RunSpec) -> CoordinateRecord:
    spec = replace(gpt_run, budget=replace(gpt_run.budget, steps=2, warmup_steps=0))
    layer = LayerSizes("blocks.0.mlp.up", 0.125, (1.0, 1.5, 2.0), (0.5, 0.75, 1.0), (0.5, 0.5, 0.5), (0.25, 0.125))
    environment = Environment("a processor", "cpu", "masked", 1, {"python": "3.11"})
    return CoordinateRecord(spec.key, spec, (5.0, 4.5, 4.0), (layer,), 1.25, environment)


def test_round_trip_pending_and_gathered(tmp_path: Path, check: CoordinateRecord) -> None:
    store = CoordinateStore(tmp_path / "results")
    store.put(check)
    assert list(store) == [check]
    store.compact()
    assert list(store) == [check]
    assert [path.name for path in store.folder.iterdir()] == [COORDINATES_FILE]
    assert check.key in store


def test_runs_and_checks_of_one_folder_do_not_mix(tmp_path: Path, check: CoordinateRecord, record: RunRecord) -> None:
    runs, checks = RunStore(tmp_path), CoordinateStore(tmp_path)
    runs.put(record)
    checks.put(check)
    assert (runs.keys(), checks.keys()) == ({record.key}, {check.key})
    runs.compact()
    checks.compact()
    assert {path.name for path in tmp_path.iterdir()} == {RECORDS_FILE, COORDINATES_FILE}
    assert (list(runs), list(checks)) == ([record], [check])


def test_a_record_of_another_kind_is_refused(tmp_path: Path, check: CoordinateRecord) -> None:
    CoordinateStore(tmp_path).put(check)
    CoordinateStore(tmp_path).compact()
    (tmp_path / COORDINATES_FILE).rename(tmp_path / RECORDS_FILE)
    with pytest.raises(InputError, match=RECORDS_FILE):
        list(RunStore(tmp_path))


def test_fewer_losses_than_times_mean_divergence(check: CoordinateRecord) -> None:
    assert not check.diverged
    assert replace(check, losses=check.losses[:2]).diverged
