"""Which files a path, a folder or a pattern stands for: every real file once, in an order that is the same anywhere.

Python's own ``glob`` follows links to folders for ever, so that a folder with a link to itself counts 41 times, and one
with two such links never ends.
"""

from __future__ import annotations

import fnmatch
import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from smupar_transfer.theory import InputError


def own_path(path: str) -> Path:
    """A path that a person gave, ``~`` replaced by the home folder.

    Raises:
        InputError: there is no such person.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise InputError("data.path", path, f"cannot be followed: {error}") from error


def own_files(path: str) -> list[Path]:
    """What a person means by a file, a folder (everything below it) or a pattern, ordered by path.

    Files with several names, through links of either kind, are listed once: under the name with the fewest symbolic
    links on the way, and of several such names under the first.

    Raises:
        InputError: nothing is there, or something that is no file, or a link that leads nowhere.
    """
    place = own_path(path)
    if place.is_dir():
        files, problem = matches("**", place), "is a folder without files"
    elif place.is_file():
        return [place]
    elif place.exists():
        raise InputError("data.path", path, "is neither a file nor a folder")
    else:
        files, problem = matches(str(place)), "does not exist, and as a pattern it matches no file"
    if not files:
        raise InputError("data.path", path, problem)
    return _each_once(files)


def matches(pattern: str, root: Path | None = None) -> list[Path]:
    """Files whose path below ``root`` matches a pattern, in the order of these paths: the same wherever ``root`` is.

    Args:
        pattern: as ``glob.glob`` reads it with ``recursive=True``; hidden files match only where it names the dot.
        root: folder that a relative pattern starts from; the present one if left out.

    Raises:
        InputError: a link that leads nowhere matches.
    """
    anchor = Path(pattern).anchor
    base = Path(anchor) if anchor else root or Path()
    names = set(_expand(base, "", Path(pattern).relative_to(anchor).parts))
    files = []
    # as if every system wrote paths alike: the order of files is part of the data
    for name in sorted(names, key=lambda name: name.replace(os.sep, "/")):
        path = base / name
        if path.is_symlink() and not path.exists():
            raise InputError("data.path", str(path), "is a link that leads nowhere", "mend or remove it")
        if path.is_file():  # and no device or pipe, which might never end
            files.append(path)
    return files


def _expand(base: Path, name: str, parts: Sequence[str]) -> Iterator[str]:
    """Names below ``base`` that match the rest of a pattern, where ``name`` has matched its beginning."""
    if not parts:
        if os.path.lexists(base / name):
            yield name
        return
    part, rest = parts[0], parts[1:]
    if part == "**":
        for folder in _folders(base, name):
            yield from _expand(base, folder, rest or ("*",))
    elif not glob.has_magic(part):
        yield from _expand(base, os.path.join(name, part), rest)  # noqa: PTH118 - a Path would drop the dots in a/../b
    elif (base / name).is_dir():
        for entry in fnmatch.filter(os.listdir(base / name), part):  # noqa: PTH208 - names, not paths
            if part.startswith(".") or not entry.startswith("."):
                yield from _expand(base, os.path.join(name, entry), rest)  # noqa: PTH118


def _folders(base: Path, name: str) -> Iterator[str]:
    """A folder and those below it, hidden ones left out: each once, and not by a link if it can be reached without."""
    links, seen = [name], set()
    while links:
        links.sort()
        # links wait until everything is seen that can be reached without them
        waiting = [links.pop(0)]
        while waiting:
            folder = waiting.pop()
            real = os.path.realpath(base / folder)
            # by its real path, a folder with a link to itself ends here
            if real in seen or not Path(real).is_dir():
                continue
            seen.add(real)
            yield folder
            with os.scandir(base / folder) as entries:
                for entry in entries:
                    known = links if entry.is_symlink() else waiting
                    if not entry.name.startswith(".") and Path(entry).is_dir():  # False for links that lead nowhere
                        known.append(os.path.join(folder, entry.name))  # noqa: PTH118


def _each_once(files: Sequence[Path]) -> list[Path]:
    names: dict[object, list[Path]] = {}
    for file in files:
        names.setdefault(_identity(file), []).append(file)
    kept = {min(each, key=_links_on_the_way) if len(each) > 1 else each[0] for each in names.values()}
    return [file for file in files if file in kept]


def _links_on_the_way(file: Path) -> int:
    return sum(part.is_symlink() for part in (file, *file.parents))


def _identity(file: Path) -> object:
    """Equal for two names of one file. Numbers of files are asked for only where needed: not all systems keep them."""
    status = file.stat()
    return (status.st_dev, status.st_ino) if status.st_nlink > 1 else os.path.realpath(file)
