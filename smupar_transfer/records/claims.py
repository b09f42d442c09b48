"""Who is at work on what: files beside the data, so that commands on any number of machines can share a folder.

A claim on NAME is the file ``NAME.N``, which one process creates exclusively, and N is 0. While the process lives, a
thread of it renews the file's time. Where it is dead, another process creates ``NAME.N+1``: of two that try, one
succeeds, whatever either has read before. So N is the number of processes that died at NAME.

Nothing else is asked of a file system than that exclusive creation is exclusive, as it is on NFS since version 3:
neither locks of the kernel nor clocks that agree.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from smupar_transfer.records.liveness import has_died, this_process
from smupar_transfer.theory import InputError

HEARTBEAT_SECONDS = 10.0
"""Between two; several may fail before a claim expires."""
EXPIRY_SECONDS = 60.0
"""After so long without a heartbeat, a claim of a process on another machine counts for nothing."""
LOCK_SECONDS = 900.0
"""How long a file may be written by others before that is an error."""
CREATION_ATTEMPTS = 10
"""At making a file in a folder that other processes take away whenever it is empty."""


@dataclass(frozen=True)
class FileClaim:
    """A name that one process holds.

    Attributes:
        name: What is claimed.
        deaths: The number of processes that died while they held it.
        process: The holder, as ``this_process`` names it; empty as long as its file is being written.
        host: The name of the holder's machine.
        begun: When it was claimed, in seconds since 1970 by that machine's clock.
        nonce: Tells this claim from all others.
    """

    name: str
    deaths: int
    process: str
    host: str
    begun: float
    nonce: str


@dataclass(frozen=True)
class _Sighting:
    """A claim's file as it was read: its text, and the time of its last heartbeat in nanoseconds."""

    text: str
    heartbeat: int


class FileClaims:
    """The claims in one folder. Inside a ``with`` block claims that were taken are kept alive; its end releases them.

    Args:
        folder: The folder of the claims, made when it is needed and taken away when it is empty.
        keep_folder: Whether the folder stays in any case, because it holds other things.
    """

    def __init__(self, folder: Path, *, keep_folder: bool = False) -> None:
        self._folder, self._keep_folder = folder, keep_folder
        self._held: dict[str, FileClaim] = {}
        # by file: the heartbeat that was seen last, and since when by the clock of this process, which nobody sets
        self._unchanged_since: dict[str, tuple[int, float]] = {}
        self._ended = threading.Event()
        # a daemon: a process that ends without leaving the block must not be kept alive by it
        self._heart = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> FileClaims:
        self._heart.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ended.set()
        # before anything is released: a late heartbeat would keep alive what another process may have claimed by then
        self._heart.join(HEARTBEAT_SECONDS)
        for claim in list(self._held.values()):
            self.release(claim)
        self._remove_folder()

    def take(self, name: str) -> FileClaim | None:
        """Claim a name that no living process holds.

        Args:
            name: The name, fit for a file's.

        Returns:
            The claim; None if another process holds the name.

        Raises:
            InputError: the folder cannot be written.
        """
        deaths, before = self._newest().get(name, -1) + 1, None
        if deaths:
            before = self._sighting(f"{name}.{deaths - 1}")
            if before is None or not self._is_dead(f"{name}.{deaths - 1}", before):
                return None
        claim = FileClaim(name, deaths, this_process(), socket.gethostname(), time.time(), uuid.uuid4().hex)
        if not self._create(claim):
            return None
        self._held[name] = claim
        # What was read may have been of the past: the name was taken over and released, and begins anew.
        overtaken = self._newest().get(name) != deaths
        if overtaken or (deaths and self._sighting(f"{name}.{deaths - 1}") != before):
            del self._held[name]
            self._remove(_file(claim))
            return None
        return claim

    def release(self, claim: FileClaim) -> None:
        """Leave a name to others, and clear away what is left of those that died at it."""
        self._held.pop(claim.name, None)
        for deaths in range(claim.deaths + 1):  # the own file last: until then nobody else can take the name
            self._remove(f"{claim.name}.{deaths}")

    def names(self) -> set[str]:
        """What is claimed, be it by the living or the dead."""
        return set(self._newest())

    def clear(self, name: str) -> None:
        """Remove all claims on a name that nobody will want any more."""
        for path in self._folder.glob(f"{name}.*"):
            self._remove(path.name)
        self._remove_folder()

    def all(self) -> list[tuple[FileClaim, bool]]:
        """Every claim, and whether it counts: as well as a single look can tell."""
        claims = []
        for name, deaths in sorted(self._newest().items()):
            seen = self._sighting(f"{name}.{deaths}")
            if seen is not None:
                claim = _parsed(name, deaths, seen.text)
                claims.append((claim, not has_died(claim.process) and not self._is_overdue(seen)))
        return claims

    def _newest(self) -> dict[str, int]:
        """Names with the highest number that each has."""
        try:
            with os.scandir(self._folder) as entries:
                files = [entry.name for entry in entries]
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except OSError as error:
            raise _unusable(self._folder, error.strerror or str(error)) from error
        newest: dict[str, int] = {}
        for file in files:
            name, _, number = file.rpartition(".")
            # other files may lie there, too, as records do beside the lock on them
            if name and number.isdecimal():
                newest[name] = max(newest.get(name, -1), int(number))
        return newest

    def _sighting(self, file: str) -> _Sighting | None:
        try:
            with (self._folder / file).open(encoding="utf-8", errors="replace") as stream:
                return _Sighting(stream.read(), os.fstat(stream.fileno()).st_mtime_ns)
        except OSError:  # released meanwhile
            return None

    def _is_dead(self, file: str, seen: _Sighting) -> bool:
        """Whether the holder is known to have ended, or has been silent for so long that it must have."""
        if has_died(_parsed(file, 0, seen.text).process):
            return True
        heartbeat, since = self._unchanged_since.get(file, (None, 0.0))
        if heartbeat != seen.heartbeat:
            self._unchanged_since[file] = (seen.heartbeat, time.monotonic())
            return False
        # A clock that was set makes the living look old, too, but only until their next heartbeat.
        return time.monotonic() - since > 2 * HEARTBEAT_SECONDS and self._is_overdue(seen)

    def _is_overdue(self, seen: _Sighting) -> bool:
        """Whether the last heartbeat is too long ago, by the clock of the file system, which wrote both times."""
        try:
            with tempfile.TemporaryFile(dir=self._folder) as probe:
                now = os.fstat(probe.fileno()).st_mtime
        except OSError:  # who only reads has but the machine's own
            now = time.time()
        # either way: a time in the future is of a clock that was set back, and would not expire for as long
        return abs(now - seen.heartbeat / 1e9) > EXPIRY_SECONDS

    def _create(self, claim: FileClaim) -> bool:
        """Whether the file of a claim could be created: it was not there."""
        content = {name: value for name, value in vars(claim).items() if name not in ("name", "deaths")}
        path = self._folder / _file(claim)
        for _ in range(CREATION_ATTEMPTS):
            try:
                self._make_folder()
                # "x" decides who has the name: between a check beforehand and the creation another process might come
                with path.open("x", encoding="utf-8") as file:
                    file.write(json.dumps(content))
                return True
            except FileExistsError:
                return False
            except FileNotFoundError:  # the folder was empty a moment ago, and was taken away
                continue
            except OSError as error:
                if error.errno in (errno.ENOSPC, errno.EDQUOT):
                    self._remove(path.name)  # made, but nothing could be written into it
                raise _unusable(self._folder, error.strerror or str(error)) from error
        raise _unusable(self._folder, "it is removed again and again")

    def _make_folder(self) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except FileExistsError as error:
            if self._folder.exists() and not self._folder.is_dir():
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)) from error
            # else it was there, and was taken away at this moment

    def _remove(self, file: str) -> None:
        with contextlib.suppress(OSError):  # it is gone, or another user's: it expires
            (self._folder / file).unlink()
        self._unchanged_since.pop(file, None)

    def _remove_folder(self) -> None:
        if not self._keep_folder:
            with contextlib.suppress(OSError):  # it holds claims of others
                self._folder.rmdir()

    def _beat(self) -> None:
        while not self._ended.wait(HEARTBEAT_SECONDS):
            for claim in list(self._held.values()):
                with contextlib.suppress(OSError):
                    os.utime(self._folder / _file(claim))  # no time is given: the file system's own counts


def _file(claim: FileClaim) -> str:
    return f"{claim.name}.{claim.deaths}"


def _parsed(name: str, deaths: int, text: str) -> FileClaim:
    """The claim that a file tells of; without a process if the file is not whole."""
    try:
        content = json.loads(text)
        process, host, begun, nonce = (content[key] for key in ("process", "host", "begun", "nonce"))
        return FileClaim(name, deaths, str(process), str(host), float(begun), str(nonce))
    # the holder may be writing it at this moment, or was killed while it did
    except (ValueError, KeyError, TypeError, RecursionError):
        return FileClaim(name, deaths, "", "", 0.0, "")


def _unusable(folder: Path, reason: str) -> InputError:
    return InputError("results_dir", str(folder), f"cannot be written: {reason}", "nothing was changed")


@contextmanager
def lock_of(path: Path) -> Iterator[None]:
    """Hold a lock on a file that several processes write, on whatever machines; nothing is left beside the file.

    Args:
        path: The file, whose folder need not exist.

    Raises:
        InputError: others have held it for ``LOCK_SECONDS``, or the folder cannot be written.
    """
    name, pause = f".{path.name}.lock", 0.01
    with FileClaims(path.parent, keep_folder=True) as claims:
        given_up = time.monotonic() + LOCK_SECONDS
        while claims.take(name) is None:
            if time.monotonic() > given_up:
                hosts = {claim.host for claim, _ in claims.all() if claim.name == name}
                problem = f"has been held by a process on {', '.join(sorted(hosts))} for {LOCK_SECONDS:.0f} s"
                raise InputError("results_dir", str(path), problem, "see to that process; nothing was changed")
            time.sleep(pause)
            # a lock is mostly held for a moment; later on fewer looks at the folder will do
            pause = min(2 * pause, 0.5)
        yield
