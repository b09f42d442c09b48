"""Whether a sweep may write into a folder: nothing of an earlier result is lost without a word."""

from __future__ import annotations

from pathlib import Path

import pytest

from smupar_transfer.records import MANIFEST_FILE, Manifest, write_manifest
from smupar_transfer.sweeps.overwriting import refuse_other_page, refuse_to_replace
from smupar_transfer.theory import InputError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A short path, as messages are cut where they would be too long for a line."""
    monkeypatch.chdir(tmp_path)
    return Path("results", "mine")


def earlier(folder: Path, keys: str, kind: str = "stability") -> None:
    write_manifest(folder, Manifest("mine", "q", "e", "smupar sweep mine seed=0", tuple(keys), kind=kind))


def asked(
    folder: Path, stored: str = "", planned: str = "", possible: str | None = None, kind: str = "stability"
) -> None:
    """Letters are keys of runs."""
    refuse_to_replace(folder, kind, set(stored), set(planned), lambda: set(planned if possible is None else possible))


@pytest.mark.parametrize(
    ("stored", "planned", "possible"),
    [
        ("abc", "abc", None),  # again
        ("a", "abc", None),  # it goes on
        ("abc", "abcd", None),  # it was narrowed, and is whole now
        ("abc", "ab", "abcd"),  # an adaptive one some of whose records are gone
        ("ab", "abd", None),  # changed before the run that it does without was finished
        ("abcz", "abc", None),  # a run of an even earlier sweep, which the last one did without as well
        ("", "xyz", None),  # there is nothing to lose
    ],
)
def test_what_goes_on_may_write(folder: Path, stored: str, planned: str, possible: str | None) -> None:
    earlier(folder, "abc")
    asked(folder, stored, planned, possible)


@pytest.mark.parametrize(("planned", "possible", "lost"), [("ab", None, 1), ("xyz", None, 3), ("a", "abx", 1)])
def test_what_lacks_finished_runs_may_not(folder: Path, planned: str, possible: str | None, lost: int) -> None:
    earlier(folder, "abc")
    before = (folder / MANIFEST_FILE).read_bytes()
    with pytest.raises(InputError) as caught:
        asked(folder, "abc", planned, possible)
    assert str(caught.value) == (
        f"results_dir={folder.parent}: {folder} holds {lost} finished runs that are not part of this sweep (made by: "
        f"smupar sweep mine seed=0); its tables and figures would be lost; give another results_dir, or move {folder} "
        "away"
    )
    assert (folder / MANIFEST_FILE).read_bytes() == before


def test_the_full_grid_is_expanded_only_where_it_matters(folder: Path) -> None:
    earlier(folder, "abc")
    refuse_to_replace(folder, "stability", set("abc"), set("abcd"), lambda: pytest.fail("it does not"))


@pytest.mark.parametrize(("first", "then"), [("stability", "coordinates"), ("coordinates", "gain")])
def test_a_coordinate_check_and_a_sweep_do_not_share_a_folder(folder: Path, first: str, then: str) -> None:
    earlier(folder, "abc", first)
    with pytest.raises(InputError, match=r"holds the result of another command \(made by: smupar sweep mine seed=0\)"):
        asked(folder, "", "abc", kind=then)
    asked(folder, "", "abc", kind="search" if first == "stability" else first)


@pytest.mark.parametrize("content", ["{", "[]", '{"schema": 99}'])
def test_a_damaged_description_is_written_anew_where_all_runs_are_known(folder: Path, content: str) -> None:
    folder.mkdir(parents=True)
    (folder / MANIFEST_FILE).write_text(content, encoding="utf-8")
    asked(folder, "ab", "abc")
    with pytest.raises(InputError, match=r"holds 1 finished runs that are not part of this sweep; its tables"):
        asked(folder, "abz", "abc")


@pytest.mark.parametrize("name", ["tuned.yaml", "README.md", "checkpoint.pt"])
def test_the_folder_of_another_command_is_left_alone(folder: Path, name: str) -> None:
    (folder / "runs").mkdir(parents=True)
    for ours in ("records.jsonl", "remarks.txt", ".hidden"):  # copied there, so that these runs are not trained again
        (folder / ours).touch()
    asked(folder, "ab", "abc")
    (folder / name).touch()
    with pytest.raises(
        InputError, match=rf"^results_dir=.*/mine holds {name}, which no sweep has written; give another"
    ):
        asked(folder, "", "abc")


@pytest.mark.parametrize(
    ("file", "mine", "other"),
    [
        ("sweep.json", "train", "sweep"),
        ("record.json", "tune", "train"),
        ("trials.csv", "demo", "tune"),
        ("demo.png", "tune", "demo"),
    ],
)
def test_a_page_of_another_command_is_not_overwritten(folder: Path, file: str, mine: str, other: str) -> None:
    folder.mkdir(parents=True)
    refuse_other_page(folder, mine, "name")
    (folder / file).touch()
    refuse_other_page(folder, other, "name")
    with pytest.raises(InputError) as caught:
        refuse_other_page(folder, mine, "name")
    assert str(caught.value) == (
        f"name=mine: {folder} holds a result of smupar {other}; its page would be lost; choose another name, or "
        "another results_dir"
    )
