"""Coordinate checks on disk: apart from runs, as whole as they are."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from smupar_transfer.records import (
    COORDINATES_FILE,
    RECORDS_FILE,
    CoordinateRecord,
    CoordinateStore,
    RunRecord,
    RunStore,
)
from smupar_transfer.theory import InputError


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


def test_records_of_earlier_versions_hold_no_gradient_norms(tmp_path: Path, check: CoordinateRecord) -> None:
    store = CoordinateStore(tmp_path)
    store.put(replace(check, gradient_norms=(2.0, 0.5)))
    store.compact()
    path = tmp_path / COORDINATES_FILE
    plain = json.loads(path.read_text(encoding="utf-8"))
    del plain["gradient_norms"], plain["checksum"]
    path.write_text(json.dumps(plain) + "\n", encoding="utf-8")
    (old,) = store
    assert old == replace(check, gradient_norms=())
    assert old.clip_factors == ()


def test_clip_factors_are_those_that_torch_multiplies_with(check: CoordinateRecord) -> None:
    norms = (4.0, 1.0, 0.5)
    limits = {1.0: (0.25, 1.0, 1.0), 2.0: (0.5, 1.0, 1.0), 0.0: (1.0, 1.0, 1.0)}
    for limit, factors in limits.items():
        spec = replace(check.spec, optimizer=replace(check.spec.optimizer, gradient_clip=limit))
        assert replace(check, spec=spec, gradient_norms=norms).clip_factors == pytest.approx(factors, rel=1e-5)


def test_fewer_losses_than_times_mean_divergence(check: CoordinateRecord) -> None:
    assert not check.diverged
    assert replace(check, losses=check.losses[:2]).diverged
