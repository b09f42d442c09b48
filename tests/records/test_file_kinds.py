"""What a file is, and what to do with one that was given in the place of another."""

from __future__ import annotations

import json
import shutil
import sqlite3
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from smupar_transfer.records import (
    CoordinateRecord,
    CoordinateStore,
    FileKind,
    Manifest,
    RunRecord,
    RunStore,
    Tuned,
    identify,
    read_tuned,
    refuse_other,
    write_manifest,
    write_tuned,
)
from smupar_transfer.theory import InputError
from smupar_transfer.transfer import Recipe, read_recipe, write_recipe

ROOT = Path(__file__).parents[2]


@pytest.fixture
def files(
    tmp_path: Path, tuned: Tuned, recipe: Recipe, record: RunRecord, check: CoordinateRecord, manifest: Manifest
) -> dict[str, Path]:
    """One file, or folder, of each kind that commands write or read, by the name that a person knows it by."""
    folder = tmp_path / "results" / "width"
    write_tuned(folder / "tuned.yaml", tuned)
    write_recipe(folder / "recipe.yaml", recipe)
    write_manifest(folder, manifest)
    for store in (RunStore(folder), RunStore(tmp_path / "results" / "train")):
        store.put(record)
    CoordinateStore(folder).put(check)
    pending = next((tmp_path / "results" / "train" / "runs").glob("*.json"))
    for gathered in (RunStore(folder), CoordinateStore(folder)):
        gathered.compact()
    with sqlite3.connect(folder / "study.db") as database:
        database.execute("create table studies (name)")
    database.close()
    with zipfile.ZipFile(folder / "weights.pt", "w") as archive:
        archive.writestr("archive/data.pkl", b"weights")
    shutil.copy(ROOT / "sweeps" / "stability" / "lr_by_width.yaml", folder / "lr_by_width.yaml")
    shutil.copy(ROOT / "conf" / "train.yaml", folder / "train.yaml")
    (folder / "job.yaml").write_text("model:\n  width: 3\nhparams:\n  a: 1\nresults_dir: results\n")
    names = ("recipe.yaml", "tuned.yaml", "sweep.json", "records.jsonl", "coordinates.jsonl", "study.db", "weights.pt")
    by_name = {name: folder / name for name in (*names, "lr_by_width.yaml", "train.yaml", "job.yaml")}
    return {**by_name, "pending": pending, "folder": folder, "URL": Path("sqlite:///results/proxy/study.db")}


KINDS = {
    "tuned.yaml": FileKind.TUNED,
    "recipe.yaml": FileKind.RECIPE,
    "lr_by_width.yaml": FileKind.SWEEP,
    "sweep.json": FileKind.MANIFEST,
    "records.jsonl": FileKind.RECORDS,
    "coordinates.jsonl": FileKind.RECORDS,
    "pending": FileKind.RECORDS,
    "train.yaml": FileKind.CONFIGURATION,
    "job.yaml": FileKind.CONFIGURATION,
    "study.db": FileKind.DATABASE,
    "weights.pt": FileKind.CHECKPOINT,
    "folder": FileKind.FOLDER,
    "URL": FileKind.URL,
}
TAKEN = {FileKind.TUNED: "tuned.yaml", FileKind.RECIPE: "recipe.yaml", FileKind.SWEEP: "lr_by_width.yaml"}


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_file_is_known(files: dict[str, Path], name: str) -> None:
    assert set(files) == set(KINDS)
    assert identify(files[name]) is KINDS[name]


@pytest.mark.parametrize("kind", [FileKind.TUNED, FileKind.RECIPE])
def test_the_same_content_as_json_is_the_same_kind(files: dict[str, Path], tmp_path: Path, kind: FileKind) -> None:
    """JSON is YAML: whoever writes it that way is understood."""
    path = tmp_path / "same.yaml"
    path.write_text(json.dumps(yaml.safe_load(files[TAKEN[kind]].read_text())))
    assert identify(path) is kind


@pytest.mark.parametrize(
    "content", [b"", b"a: 1\n", b"\x89PNG\r\n\x1a\n", b"just a sentence", b"[1, 2]", b"hparams: 1"]
)
def test_what_is_not_known_is_left_to_its_reader(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file.yaml"
    path.write_bytes(content)
    assert identify(path) is None
    for kind in TAKEN:
        refuse_other(path, kind)


def test_a_path_that_cannot_be_is_left_to_its_reader() -> None:
    for path in (Path("nowhere.yaml"), Path("a" * 300)):
        assert identify(path) is None


@pytest.mark.parametrize("key", TAKEN)
@pytest.mark.parametrize("name", KINDS)
def test_a_file_of_another_kind_is_named_with_what_to_do_and_the_right_one_passes(
    files: dict[str, Path], key: FileKind, name: str
) -> None:
    if KINDS[name] is key:
        refuse_other(files[name], key)
        return
    with pytest.raises(InputError) as caught:
        refuse_other(files[name], key)
    message = str(caught.value)
    assert message.startswith(f"{key}={files[name]}: is ")
    assert caught.value.remedy
    assert "\n" not in message


def remedy(path: Path, key: FileKind) -> str:
    with pytest.raises(InputError) as caught:
        refuse_other(path, key)
    return caught.value.remedy


def test_remedies_are_commands_that_work(
    files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = files["folder"]
    assert remedy(files["tuned.yaml"], FileKind.RECIPE) == f"run: smupar transfer tuned={folder / 'tuned.yaml'}"
    assert remedy(files["recipe.yaml"], FileKind.TUNED) == f"run: smupar train recipe={folder / 'recipe.yaml'}"
    assert remedy(files["lr_by_width.yaml"], FileKind.TUNED) == f"run: smupar sweep {folder / 'lr_by_width.yaml'}"
    assert remedy(files["study.db"], FileKind.TUNED) == f"give tuned={folder / 'tuned.yaml'}"
    assert remedy(folder, FileKind.TUNED) == f"give tuned={folder / 'tuned.yaml'}"
    assert remedy(folder, FileKind.RECIPE) == f"give recipe={folder / 'recipe.yaml'}"
    assert remedy(folder, FileKind.SWEEP) == "give the name of its sweep: width"
    assert remedy(files["records.jsonl"], FileKind.TUNED).startswith("run: smupar plot width results_dir=")
    assert "plot" not in remedy(files["pending"], FileKind.TUNED)  # there is no sweep of that folder
    monkeypatch.chdir(tmp_path)
    assert remedy(Path("results/width/sweep.json"), FileKind.TUNED) == "run: smupar plot width"
    (folder / "tuned.yaml").unlink()
    assert "run smupar tune again" in remedy(files["study.db"], FileKind.TUNED)


def test_paths_in_remedies_are_quoted_for_a_shell(files: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "my (v2).yaml"
    shutil.copy(files["tuned.yaml"], path)
    assert remedy(path, FileKind.RECIPE) == f"run: smupar transfer 'tuned={path}'"


@pytest.mark.parametrize(
    ("read", "name", "says"),
    [
        (read_recipe, "tuned.yaml", "is a tuned point, not a recipe; run: smupar transfer tuned="),
        (read_tuned, "recipe.yaml", "is a recipe, not a tuned point; run: smupar train recipe="),
        (read_tuned, "study.db", "is the database of a study, not a tuned point; give tuned="),
        (read_recipe, "weights.pt", "is a checkpoint, not a recipe"),
        (read_recipe, "records.jsonl", "is the records of finished runs, not a recipe"),
        (read_recipe, "folder", "is a folder, not a recipe; give recipe="),
    ],
)
def test_readers_say_what_a_file_is(
    files: dict[str, Path], read: Callable[[Path], object], name: str, says: str
) -> None:
    """Nine keys were "missing" and five "unknown" of a tuned point in the place of a recipe."""
    with pytest.raises(InputError, match=says):
        read(files[name])
