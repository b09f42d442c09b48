"""What a module of a person's own registers is usable by name, in every command and every process."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from smupar_transfer.launchers.plugins import VARIABLE, add_plugins, plugins
from smupar_transfer.records import RunStore
from smupar_transfer.theory import InputError

Run = Callable[..., CompletedProcess[str]]
MODULE = """
import torch
from smupar_transfer.sparsity import MaskStructure, register_mask
from smupar_transfer.theory import SMUPAR, Power, Role, register_parametrization

register_parametrization(SMUPAR.with_rule("faster", "Faster", Role.EMBEDDING, adam_learning_rate=Power(width=0.5)))


class Band(MaskStructure):
    def draw(self, shape, density, generator):
        rows, columns = shape
        start = (torch.arange(rows) * columns // rows)[:, None]
        return (torch.arange(columns)[None, :] - start) % columns < round(density * columns)

    def nonzero(self, shape, density):
        return shape[0] * round(density * shape[1])


register_mask("band", Band())
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """The words that name a module of one's own; other processes import it, this one must not keep it."""
    (tmp_path / "own_rules.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return "--plugin", "own_rules"


@pytest.fixture
def command(python: Run) -> Run:
    """A command in a process of its own, in the test's folder."""

    def run(*words: str) -> CompletedProcess[str]:
        return python("-W", "error", "-m", "smupar_transfer", *words)

    return run


def test_a_parametrization_and_a_mask_are_chosen_like_those_of_the_package(
    command: Run, own: tuple[str, str], tiny: tuple[str, ...]
) -> None:
    words = ("explain", *tiny, "parametrization=faster", "sparsity=band", "target.width=64", "target.sparsity=0.5")
    done = command(*words, *own)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Faster with adamw")
    assert "m_d^0.5" in done.stdout
    without = command(*words)
    assert without.returncode == 2
    assert "sparsity=band: there is no such option" in without.stderr


def test_workers_know_them_and_records_are_read_with_them(
    command: Run, own: tuple[str, str], tiny: tuple[str, ...], grid_file: Path
) -> None:
    """Guards against workers, which are fresh processes, that know the package's tables alone."""
    text = grid_file.read_text(encoding="utf-8").replace("[sp, smupar]", "[faster, smupar]")
    grid_file.write_text(text, encoding="utf-8")
    done = command("sweep", str(grid_file), *tiny, "sparsity=band", "workers=2", *own)
    assert done.returncode == 0, done.stderr
    assert "Faster" in done.stdout
    name = grid_file.stem
    again = command("plot", name)
    assert again.returncode == 2
    assert "registered by a module that is named with --plugin" in again.stderr
    assert command("plot", name, *own).returncode == 0
    assert "--plugin own_rules" in (Path("results") / name / "README.md").read_text(encoding="utf-8")
    with pytest.raises(InputError, match="--plugin"):
        list(RunStore(Path("results") / name))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be imported: ModuleNotFoundError: No module named 'broken_rules'"),
        ("1 / 0", "cannot be imported: ZeroDivisionError"),
        ("def (", "cannot be imported: SyntaxError"),
    ],
)
def test_a_module_that_cannot_be_imported_is_refused_in_a_line(
    command: Run, tmp_path: Path, content: str | None, said: str
) -> None:
    if content is not None:
        (tmp_path / "broken_rules.py").write_text(content, encoding="utf-8")
    done = command("explain", "--plugin", "broken_rules")
    assert done.returncode == 2
    assert done.stderr.startswith(f"smupar: --plugin=broken_rules: {said}")
    assert done.stderr.count("\n") == 1


def test_names_are_kept_for_the_processes_that_follow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "json")
    add_plugins(["string", "json"])
    assert plugins() == ["json", "string"]
    assert os.environ[VARIABLE] == "json,string"
