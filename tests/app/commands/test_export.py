"""``smupar export``: files for other stacks, printed or written, and what is refused."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from smupar_transfer.app.schema import EXPORT_FORMATS
from tests.app.test_own_model import TARGET, TASK, WORDS

Run = Callable[..., CompletedProcess[str]]
RECIPE = "recipe=results/recipe.yaml"


@pytest.fixture
def proxy(tiny: tuple[str, ...]) -> list[str]:
    """Words beside a recipe, which has a model of its own."""
    return [word for word in tiny if not word.startswith("model.")]


@pytest.fixture
def export(smupar: Run, proxy: list[str], results: Path) -> Run:
    del results
    return lambda *words: smupar("export", RECIPE, *proxy, *words)


@pytest.mark.parametrize("to", EXPORT_FORMATS)
def test_every_format_is_printed(export: Run, to: str) -> None:
    result = export(f"to={to}")
    assert result.returncode == 0, result.stderr
    assert "Written by smupar_transfer " in result.stdout[:200]
    assert all(line.startswith("caution: ") for line in result.stderr.splitlines())
    assert f"caution: what {to} cannot say, and what else to know: the " in result.stderr


def test_numbers_are_those_that_explain_prints(export: Run, smupar: Run, proxy: list[str]) -> None:
    exported = json.loads(export("to=json").stdout)["parameters"]
    rows = json.loads(smupar("explain", RECIPE, *proxy, "format=json").stdout)
    assert list(exported) == [row["name"] for row in rows]
    for row in rows:
        numbers = exported[row["name"]]
        assert numbers == {key: row[key] for key in numbers}


def test_a_file_is_written_and_written_anew(export: Run) -> None:
    result = export("to=torchtitan", "output=deep/groups.py")
    assert result.returncode == 0, result.stderr
    assert result.stdout == "wrote deep/groups.py\n"
    written = Path("deep/groups.py").read_text()
    assert written == export("to=torchtitan").stdout
    assert export("to=json", "output=deep/groups.py").returncode == 0, "of another format, but ours"
    assert Path("deep/groups.py").read_text() == export("to=json").stdout


def one_line(result: CompletedProcess[str], *needles: str) -> None:
    assert result.returncode == 2
    lines = [line for line in result.stderr.splitlines() if not line.startswith("caution: ")]
    assert len(lines) == 1, result.stderr
    for needle in needles:
        assert needle in lines[0]
    assert result.stdout == ""


@pytest.mark.parametrize("content", ["mine\n", "", b"\xff\xfe\x00"])
def test_what_no_export_wrote_is_left_alone(export: Run, content: str | bytes) -> None:
    before = content if isinstance(content, bytes) else content.encode()
    Path("mine.txt").write_bytes(before)
    one_line(export("to=json", "output=mine.txt"), "output=mine.txt: exists and ", "give another output=FILE")
    assert Path("mine.txt").read_bytes() == before
    one_line(export("to=json", "output=results"), "output=results: is a folder")
    one_line(export("to=json", "output=results/recipe.yaml"), "exists and is no file that smupar export wrote")


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes anywhere")
def test_a_folder_that_cannot_be_written(export: Run, tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o555)
    one_line(
        export("to=json", "output=locked/a.json"), "output=locked/a.json: cannot be written", "nothing was changed"
    )


def test_a_file_in_the_place_of_a_folder(export: Run) -> None:
    Path("taken").write_text("mine\n")
    one_line(export("to=json", "output=taken/a.json"), "output=taken/a.json: cannot be written")


def test_words_that_are_missing_or_wrong(smupar: Run, export: Run, proxy: list[str]) -> None:
    one_line(export("to=torchtitn"), "to=torchtitn: is not one of json, ", "did you mean torchtitan?")
    one_line(export(), "to: has no value; name one: json, nanogpt-mup, ")
    one_line(smupar("export", "to=json", *proxy), "recipe: has no value; give recipe=VALUE")
    one_line(smupar("export", "to=json", "recipe=absent.yaml", *proxy), "recipe=absent.yaml: cannot be read")
    one_line(export("to=json", "target.width=128"), "target.width=128: the recipe has 64")


def test_a_model_of_ones_own(smupar: Run, tmp_path: Path) -> None:
    (tmp_path / "task.py").write_text(TASK)
    assert smupar("transfer", *WORDS, *TARGET, "recipe=r.yaml").returncode == 0
    words = ("recipe=r.yaml", "model=module", "model.factory=task.py")
    exported = smupar("export", *words, "to=json")
    assert exported.returncode == 0, exported.stderr
    parameters = json.loads(exported.stdout)["parameters"]
    assert parameters["mixers.0.experts"]["density"] == 0.5
    rows = json.loads(smupar("explain", *words, "format=json").stdout)
    assert {row["name"]: row["learning_rate"] for row in rows} == {
        name: row["learning_rate"] for name, row in parameters.items()
    }
    for to in EXPORT_FORMATS:
        result = smupar("export", *words, f"to={to}")
        assert result.returncode == 0, result.stderr
    one_line(smupar("export", "recipe=r.yaml", "to=json"), "is not the task of the recipe")
