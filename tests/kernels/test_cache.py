"""The cache of compiled code: nobody else's code is loaded from it."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from smupar_transfer.kernels import build
from smupar_transfer.kernels.cache import make_private, refuse_strangers, user_cache


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file in a fresh cache."""
    (tmp_path / "xdg").mkdir(mode=0o755)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    folder = build.cache_folder() / "KEY"
    make_private(folder)
    (folder / "lib.so").write_bytes(b"code")
    (folder / "lib.so").chmod(0o700)
    return folder / "lib.so"


def test_folders_are_made_for_their_user_alone(library: Path) -> None:
    for folder in (library.parent, build.cache_folder(), user_cache()):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    refuse_strangers(library)


@pytest.mark.parametrize("mode", [0o020, 0o002])
@pytest.mark.parametrize("level", range(5))
def test_what_others_may_write_is_refused(library: Path, level: int, mode: int) -> None:
    """Guards against a library that somebody else put there running as this user; it once ran as root."""
    place = (library, *library.parents)[level]
    place.chmod(stat.S_IMODE(place.stat().st_mode) | mode)
    with pytest.raises(PermissionError, match=f"others may write {place}; run: chmod go-w"):
        refuse_strangers(library)
    place.chmod(stat.S_IMODE(place.stat().st_mode) | stat.S_ISVTX)
    refuse_strangers(library)


def test_a_folder_above_the_cache_is_its_owners_business(library: Path, tmp_path: Path) -> None:
    """The control: /tmp, or a group's folder that holds homes, is nothing to refuse."""
    tmp_path.chmod(0o777)
    refuse_strangers(library)


@pytest.mark.parametrize("level", range(5))
def test_what_belongs_to_somebody_else_is_refused(library: Path, level: int, monkeypatch: pytest.MonkeyPatch) -> None:
    place, real = (library, *library.parents)[level], Path.stat

    def stranger(path: Path, **more: bool) -> os.stat_result:
        status = real(path, **more)
        fields = list(status)
        fields[stat.ST_UID] = 12345
        return os.stat_result(fields) if path == place else status

    monkeypatch.setattr(Path, "stat", stranger)
    with pytest.raises(PermissionError, match=f"{place} belongs to another user"):
        refuse_strangers(library)


def test_kernels_in_a_folder_that_others_may_write_are_not_loaded(
    library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[object] = []
    own: Callable[[], tuple[Path, list[str]]] = lambda: (library, [])  # noqa: E731
    monkeypatch.setattr(build, "_library", own)
    monkeypatch.setattr(torch.ops, "load_library", loaded.append)
    monkeypatch.setattr(build, "register_operators", lambda: None)
    build.load_kernels()
    assert loaded, "the control"
    loaded.clear()
    library.chmod(0o777)
    with pytest.raises(build.NotBuiltError, match="others may write"):
        build.load_kernels()
    assert not loaded


def test_without_a_home_the_cache_is_a_folder_of_ones_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Guards containers with a bare user id, in which every command crashed."""

    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    assert user_cache() == tmp_path / f"smupar_transfer-{os.getuid()}"
