"""The faults: each hits commands at a random moment, and is over before the command is run again."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from faults.commands import Family, Started, start

DAY = 86_400.0
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)


@dataclass
class Scene:
    """Where a fault happens.

    Attributes:
        family: The command.
        folder: The folder in which it runs; results are below it.
        source: The source of all that is random.
        seconds: How long the undisturbed command takes.
        workers: The number of its processes.
        commands: All that were started, the fault's and those before.
        mounted: Whether a file system of its own lies at ``results``.
    """

    family: Family
    folder: Path
    source: random.Random
    seconds: float
    workers: int = 1
    commands: list[Started] = field(default_factory=list)
    mounted: bool = False

    @property
    def results(self) -> Path:
        """The folder of results."""
        return self.folder / "results"

    def started(self, environment: dict[str, str] | None = None, first: Callable[[], None] | None = None) -> Started:
        """The command, started."""
        words = [*self.family.words, *([f"workers={self.workers}"] if self.workers > 1 else [])]
        self.commands.append(start(words, self.folder, environment, first))
        return self.commands[-1]

    def pause(self, command: Started) -> bool:
        """Wait for a random moment in the life of a command; whether it still lives then."""
        end = time.monotonic() + self.source.uniform(0.02, 1.0) * self.seconds
        while time.monotonic() < end and command.poll() is None:
            time.sleep(0.005)
        return command.poll() is None


Fault = Callable[[Scene], int]
"""Inflicts itself; returns how many times it hit something."""


def killed(number: signal.Signals, whom: str) -> Fault:
    """A signal to the command, to all of its processes, or to one worker, up to four times in a row."""

    def inflict(scene: Scene) -> int:
        hits = 0
        for _ in range(scene.source.randint(1, 4)):
            command = scene.started()
            if not scene.pause(command):
                break
            processes = command.processes()
            workers = [pid for pid in processes if pid != command.pid and _is_worker(pid)]
            chosen = {"parent": [command.pid], "group": processes, "worker": workers[:1] or [command.pid]}[whom]
            for pid in chosen:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
            hits += 1
            command.wait()
        return hits

    return inflict


def _is_worker(pid: int) -> bool:
    """Whether a process is one of a pool, and not the one that keeps its semaphores."""
    try:
        return b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def at_once(count: int, *, apart: bool = False) -> Fault:
    """The same command several times, perhaps each with a temporary folder of its own, as on machines of their own."""

    def inflict(scene: Scene) -> int:
        commands = []
        for index in range(count):
            own = scene.folder / f"tmp{index if apart else 0}"
            own.mkdir(exist_ok=True)
            commands.append(scene.started({"TMPDIR": str(own)}))
            time.sleep(scene.source.uniform(0, 0.3))
        for command in commands:
            command.wait()
        return 1

    return inflict


def clock_jumps(scene: Scene) -> int:
    """The machine's clock is put forward, or back, by up to a day while the command runs."""
    after, by = scene.source.uniform(0, scene.seconds), scene.source.choice((-1, 1)) * scene.source.uniform(60, DAY)

    def first() -> None:
        real, began = time.time, time.monotonic()
        time.time = lambda: real() + (by if time.monotonic() > began + after else 0.0)

    scene.started(first=first).wait()
    return 1


def disk_full(scene: Scene) -> int:
    """Somebody else fills the disk while the command runs."""
    with _small_disk(scene):
        command = scene.started()
        hit = scene.pause(command)
        filler = scene.results / "filler"
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(b"\0" * 65_536)
        command.wait()
        filler.unlink(missing_ok=True)
        return int(hit)


def files_limited(scene: Scene) -> int:
    """From some moment on, files of the command may not grow: a quota."""
    command = scene.started()
    hit = scene.pause(command)
    for pid in command.processes() if hit else []:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (scene.source.choice((0, 512, 4096)), resource.RLIM_INFINITY))
    command.wait()
    return int(hit)


def read_only(scene: Scene) -> int:
    """The results cannot be written any more."""
    scene.started().wait(scene.source.uniform(0, scene.seconds))
    scene.commands[-1].end()
    with _small_disk(scene):
        subprocess.run(["mount", "-o", "remount,ro", scene.results], check=True)
        scene.started().wait()
        subprocess.run(["mount", "-o", "remount,rw", scene.results], check=True)
    return 1


def locked(scene: Scene) -> int:
    """Somebody holds the study's database for some seconds."""
    command = scene.started()
    hit = scene.pause(command)
    for path in scene.results.glob("*/*.db") if hit else []:
        with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(path, timeout=5)) as database:
            database.execute("BEGIN EXCLUSIVE")
            time.sleep(scene.source.uniform(0.5, 4))
            database.rollback()
    command.wait()
    return int(hit)


def damaged(scene: Scene) -> int:
    """A file of a killed command is cut short, or has a bit flipped; whoever reads of it takes it away."""
    command = scene.started()
    scene.pause(command)
    command.end()
    patterns = ("*/checkpoints/*", "*/runs/*.json", "*/coordinates/*.json", "*/*.jsonl", "*/sweep.json")
    files = sorted(path for pattern in patterns for path in scene.results.glob(pattern) if path.is_file())
    if not files:
        return 0
    path = scene.source.choice(files)
    content = bytearray(path.read_bytes())
    if scene.source.random() < 0.5:
        content = content[: scene.source.randrange(len(content))]
    elif content:
        content[scene.source.randrange(len(content))] ^= 1 << scene.source.randrange(8)
    path.write_bytes(bytes(content))
    if scene.started().wait() == 2:
        path.unlink(missing_ok=True)
    return 1


@contextmanager
def _small_disk(scene: Scene) -> Iterator[None]:
    """A file system of 24 MB at ``results``, of which everything is kept afterwards."""
    kept = scene.folder / "kept"
    if scene.results.exists():
        scene.results.rename(kept)
    scene.results.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", scene.results], check=True)
    try:
        if kept.exists():
            subprocess.run(["cp", "-a", f"{kept}/.", scene.results], check=True)
            subprocess.run(["rm", "-rf", kept], check=True)
        yield
        subprocess.run(["cp", "-a", f"{scene.results}/.", kept], check=True)
    finally:
        subprocess.run(["umount", "-l", scene.results], check=True)
    scene.results.rmdir()
    kept.rename(scene.results)


def can_mount() -> bool:
    """Whether this process may mount file systems of its own."""
    able = subprocess.run(["unshare", "-m", "true"], check=False, capture_output=True)
    return os.geteuid() == 0 and able.returncode == 0


FAULTS: dict[str, tuple[Fault, int]] = {
    **{f"{number.name} to the command": (killed(number, "parent"), 1) for number in SIGNALS},
    **{f"{number.name} to all processes": (killed(number, "group"), 1) for number in (signal.SIGKILL, signal.SIGTERM)},
    "SIGKILL to the command, two workers": (killed(signal.SIGKILL, "parent"), 2),
    "SIGKILL to a worker of two": (killed(signal.SIGKILL, "worker"), 2),
    "SIGTERM to all processes, two workers": (killed(signal.SIGTERM, "group"), 2),
    "SIGHUP to the command, two workers": (killed(signal.SIGHUP, "parent"), 2),
    "two commands at once": (at_once(2), 1),
    "eight commands at once": (at_once(8), 1),
    "two commands, each with its own TMPDIR": (at_once(2, apart=True), 1),
    "clock put forward or back": (clock_jumps, 1),
    "disk full": (disk_full, 1),
    "files may not grow": (files_limited, 1),
    "results read-only": (read_only, 1),
    "database locked for seconds": (locked, 1),
    "a file cut short, or a bit flipped": (damaged, 1),
}
"""Faults, with the number of workers of the commands that they hit."""
NEEDS_MOUNT = ("disk full", "results read-only")
