from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from smupar_transfer.records import MANIFEST_FILE, Manifest, read_manifest, result_names, write_manifest
from smupar_transfer.theory import InputError


def test_round_trip(tmp_path: Path, manifest: Manifest) -> None:
    for written in (manifest, replace(manifest, keys=())):
        write_manifest(tmp_path / "sweep", written)
        assert read_manifest(tmp_path / "sweep") == written


def test_what_an_analysis_needs_survives(tmp_path: Path, manifest: Manifest) -> None:
    told = replace(
        manifest,
        proxy_hparams={"init_std": 0.117},
        kind="search",
        swept=("learning_rate", "init_std"),
        axis="width",
        tied=("sparsity",),
        reference="sp",
        full_grid=1_234,
    )
    write_manifest(tmp_path, told)
    assert read_manifest(tmp_path) == told
    assert told.saved == "Adaptive: 2 of the full grid's 1,234 runs; 1,232 were not needed."
    assert manifest.saved == ""


def test_a_file_from_before_there_were_kinds_is_read(tmp_path: Path, manifest: Manifest) -> None:
    old = {name: getattr(manifest, name) for name in ("name", "question", "expected", "command", "keys")}
    (tmp_path / MANIFEST_FILE).write_text(json.dumps({"schema": 1, **old}))
    read = read_manifest(tmp_path)
    assert (read.kind, read.swept, read.axis, read.tied) == ("stability", ("learning_rate",), "sparsity", ())
    assert (read.reference, read.full_grid, read.proxy_hparams) == (None, None, {})


def test_file_is_for_people(tmp_path: Path, manifest: Manifest) -> None:
    write_manifest(tmp_path, manifest)
    assert "It does under SμPar." in (tmp_path / MANIFEST_FILE).read_text(encoding="utf-8")


def test_a_sweep_that_was_never_run_names_the_command_to_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^sweep=width: has no results in .*width; run: smupar sweep width$"):
        read_manifest(tmp_path / "width")


@pytest.mark.parametrize("content", ["", "{", "[]", "3", "null", '"text"', "[" * 100_000, "9" * 5000, "NaN"])
def test_a_damaged_file_is_told(tmp_path: Path, content: str) -> None:
    (tmp_path / MANIFEST_FILE).write_text(content)
    with pytest.raises(InputError, match=MANIFEST_FILE):
        read_manifest(tmp_path)


@pytest.mark.parametrize("key", ["name", "question", "expected", "command", "keys"])
def test_a_missing_or_unknown_key_is_named(tmp_path: Path, manifest: Manifest, key: str) -> None:
    write_manifest(tmp_path, manifest)
    content = json.loads((tmp_path / MANIFEST_FILE).read_text())
    content[f"other_{key}"] = content.pop(key)
    (tmp_path / MANIFEST_FILE).write_text(json.dumps(content))
    with pytest.raises(InputError, match=key) as caught:
        read_manifest(tmp_path)
    assert f"{key}: missing" in str(caught.value)
    assert f"other_{key}: unknown" in str(caught.value)


def test_folders_with_a_manifest_are_results(tmp_path: Path) -> None:
    assert result_names(tmp_path / "nowhere") == []
    for name in ("b", "a"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "sweep.json").touch()
    (tmp_path / "figures").mkdir()
    assert result_names(tmp_path) == ["a", "b"]
