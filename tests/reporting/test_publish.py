"""An outcome as files."""

from __future__ import annotations

from pathlib import Path

import pytest

from smupar_transfer.records import REMARKS_FILE
from smupar_transfer.reporting.publish import publish, with_remarks
from smupar_transfer.theory import InputError
from tests.reporting.results import ABOUT, an_outcome


def test_tables_figures_and_pages_are_written(tmp_path: Path) -> None:
    publish(tmp_path / "a_sweep", ABOUT, an_outcome())
    assert (tmp_path / "index.html").exists()
    written = {path.name for path in (tmp_path / "a_sweep").iterdir()}
    figures = {f"{name}.{suffix}" for name in ("a_sweep", "other") for suffix in ("svg", "png")}
    assert written == {"README.md", "report.html", "drift.csv", "raw.csv", *figures}
    assert (tmp_path / "a_sweep" / "drift.csv").read_text() == "family,octaves\nSP,0.123457\nSP,0.123457\n"


def test_a_persons_remarks_are_on_every_page_and_stay_there(tmp_path: Path) -> None:
    folder = tmp_path / "a_sweep"
    folder.mkdir()
    (folder / REMARKS_FILE).write_text("Took <half> the time.\n\nTwice.\n", encoding="utf-8")
    publish(folder, ABOUT, an_outcome())
    assert "\n## Remarks\n\nOne cell was lost.\n\nTook &lt;half&gt; the time.\n\nTwice.\n" in (
        folder / "README.md"
    ).read_text(encoding="utf-8")
    assert "Took &lt;half&gt; the time." in (folder / "report.html").read_text(encoding="utf-8")
    assert (folder / REMARKS_FILE).exists()
    assert with_remarks(an_outcome(), tmp_path).notes == an_outcome().notes
    assert with_remarks(an_outcome(), folder).notes[-2:] == ("Took <half> the time.", "Twice.")


def test_a_folder_that_cannot_be_written_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="cannot be written"):
        publish(tmp_path / "file", ABOUT, an_outcome())
