"""Which files a path stands for: each real one once, whatever links lead to it, and nothing that never ends."""

from __future__ import annotations

import glob
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smupar_transfer.theory import InputError
from smupar_transfer.training.data.binary import load_binary
from smupar_transfer.training.data.corpora import load_text
from smupar_transfer.training.data.files import matches, own_files

Mess = Callable[[Path], None]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """a.txt, m/n.txt and z.txt, of different contents; another folder is beside it."""
    for name in ("a.txt", "m/n.txt", "z.txt"):
        file = tmp_path / "folder" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name * 10)
    (tmp_path / "beside").mkdir()
    return tmp_path / "folder"


def names(folder: Path, path: str = "") -> list[str]:
    return [file.relative_to(folder).as_posix() for file in own_files(str(folder / path))]


def to_itself(folder: Path) -> None:
    (folder / "loop").symlink_to(folder)


def to_itself_twice(folder: Path) -> None:
    """Two links make 2^40 paths."""
    (folder / "loop").symlink_to(folder)
    (folder / "m" / "another").symlink_to(folder)


def to_its_parent(folder: Path) -> None:
    (folder / "0").symlink_to(folder.parent)


def to_folders_and_back(folder: Path) -> None:
    (folder / "0").symlink_to(folder / "m")
    (folder / "zz").symlink_to(folder.parent / "beside")
    (folder.parent / "beside" / "back").symlink_to(folder)


def to_files(folder: Path) -> None:
    """Before and after them in the order of names."""
    (folder / "0.txt").symlink_to(folder / "z.txt")
    (folder / "zz.txt").symlink_to("a.txt")


def to_files_through_links(folder: Path) -> None:
    (folder / "0.txt").symlink_to("00.txt")
    (folder / "00.txt").symlink_to(folder / "m" / "n.txt")


def hard_links(folder: Path) -> None:
    (folder / "zz.txt").hardlink_to(folder / "z.txt")
    (folder / "m" / "zz.txt").hardlink_to(folder / "a.txt")
    (folder / "0.txt").symlink_to(folder / "zz.txt")


def hidden(folder: Path) -> None:
    (folder / ".git").symlink_to(folder)
    (folder / ".0.txt").symlink_to(folder / "nowhere")


def no_files(folder: Path) -> None:
    os.mkfifo(folder / "0.txt")
    (folder / "00.txt").symlink_to("/dev/zero")
    here = Path.cwd()
    os.chdir(folder)  # paths of sockets are short
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind("1.txt")
    finally:
        os.chdir(here)


MESSES = [
    to_itself,
    to_itself_twice,
    to_its_parent,
    to_folders_and_back,
    to_files,
    to_files_through_links,
    hard_links,
    hidden,
    no_files,
]


@pytest.mark.timeout(20)
@pytest.mark.parametrize("path", ["", "**", "**/*.txt", "**/**/*.txt"])
@pytest.mark.parametrize("mess", MESSES)
def test_each_real_file_counts_once_and_in_its_place(folder: Path, mess: Mess, path: str) -> None:
    expected = load_text(str(folder), 0.1)
    mess(folder)
    assert names(folder, path) == ["a.txt", "m/n.txt", "z.txt"]
    corpus = load_text(str(folder / path), 0.1)
    assert corpus.spec.sha256 == expected.spec.sha256
    assert corpus.spec.train_size == expected.spec.train_size


def test_a_pattern_of_several_ways_counts_a_file_once(folder: Path) -> None:
    (folder / "0").symlink_to(folder / "m")
    assert names(folder, "*/n.txt") == ["m/n.txt"]
    assert names(folder, "0/n.txt") == ["0/n.txt"]
    assert names(folder, "**/*/**/n.txt") == ["m/n.txt"]


def test_equal_content_is_no_link(folder: Path) -> None:
    """The control: a copy counts."""
    (folder / "b.txt").write_bytes((folder / "a.txt").read_bytes())
    assert names(folder) == ["a.txt", "b.txt", "m/n.txt", "z.txt"]


def test_what_is_reached_by_a_link_alone_counts(folder: Path) -> None:
    (folder.parent / "beside" / "far.txt").write_text("far")
    (folder / "k").symlink_to(folder.parent / "beside")
    (folder / "l").symlink_to(folder.parent / "beside")
    (folder / "y.txt").symlink_to(folder.parent / "beside" / "near.txt")
    (folder.parent / "beside" / "near.txt").write_text("near")
    assert names(folder) == ["a.txt", "k/far.txt", "k/near.txt", "m/n.txt", "z.txt"]


@pytest.mark.parametrize("target", ["nowhere", "0.txt"])
@pytest.mark.parametrize("path", ["", "*.txt", "0.txt", "**/0.*"])
def test_a_link_that_leads_nowhere_is_refused(folder: Path, path: str, target: str) -> None:
    (folder / "0.txt").symlink_to(folder / target)
    with pytest.raises(InputError, match="leads nowhere; mend or remove it") as caught:
        own_files(str(folder / path))
    assert (caught.value.key, caught.value.value) == ("data.path", str(folder / "0.txt"))


@pytest.mark.timeout(20)
@pytest.mark.parametrize("load", [load_text, load_binary])
def test_devices_and_pipes_are_refused(
    folder: Path, load: Callable[[str, float], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(folder / "pipe")
    (folder / "link").symlink_to("/dev/zero")
    for path in (folder / "pipe", folder / "link", Path("/dev/zero"), Path("/dev/null")):
        with pytest.raises(InputError, match=r"is neither a file nor a folder|is not a file"):
            load(str(path), 0.1)


@pytest.mark.parametrize("load", [load_text, load_binary])
def test_the_home_of_nobody_is_refused(load: Callable[[str, float], object]) -> None:
    with pytest.raises(InputError, match=r"^data\.path=~nobody-of-this-name/x: cannot be followed: "):
        load("~nobody-of-this-name/x", 0.1)


def test_a_folder_that_may_not_be_read_is_an_input_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It used to be left out without a word; the superuser may read everything, so chmod would not do."""
    scandir = os.scandir

    def refuse(path: Path) -> object:
        if Path(path).name == "m":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(InputError, match=r"folder/m: cannot be read: Permission denied$"):
        load_text(str(folder), 0.1)


NAMES = st.sampled_from(["a", "b", "a.txt", "b.txt", ".h", "a-b", "A", "c[1]", "ä"])
PARTS = st.sampled_from(["**", "*", "*.txt", "?", "[ab]*", "a**", "a", ".h", "a-b", "c[[]1]", ".*"])


@given(
    files=st.lists(st.lists(NAMES, min_size=1, max_size=4), max_size=8), pattern=st.lists(PARTS, min_size=1, max_size=4)
)
def test_without_links_it_is_what_glob_says(
    tmp_path_factory: pytest.TempPathFactory, files: list[list[str]], pattern: list[str]
) -> None:
    """In the same order, below a folder and by its absolute path."""
    root = tmp_path_factory.mktemp("tree")
    for parts in files:
        file = root.joinpath(*parts)
        if not file.exists() and not any(parent.is_file() for parent in file.parents):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("content")
    wanted = "/".join([*pattern, "*"])
    globbed = set(glob.glob(wanted, root_dir=root, recursive=True))  # noqa: PTH207 - the reference itself
    expected = sorted(name for name in globbed if (root / name).is_file())
    assert matches(wanted, root) == [root / name for name in expected]
    assert matches(str(root / wanted)) == [root / name for name in expected]
